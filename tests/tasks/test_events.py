"""Events and outcomes are one list each: nothing is missing where one is looked up."""

import re
from pathlib import Path

from deployments.cli.output import EXIT_CODES
from housing.notify import NEEDS_A_PERSON
from housing.records import Event, RunOutcome
from tasks.events import EVENTS, OUTSIDE

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_every_event_has_a_name_in_the_orchestrator_or_a_reason_not_to() -> None:
    assert {*EVENTS, *OUTSIDE} == {*Event}
    assert not {*EVENTS} & OUTSIDE
    assert len({*EVENTS.values()}) == len(EVENTS)


def test_every_outcome_has_an_exit_code() -> None:
    assert {*EXIT_CODES} == {*RunOutcome}


def test_what_cannot_be_put_right_by_itself_needs_a_person() -> None:
    assert {
        Event.FAILED, Event.MISSED, Event.NOT_READY, Event.BACKUP_NOT_VERIFIED,
        Event.RELOAD_FAILED, Event.AWAITING_APPROVAL, Event.DRIFT,
    } <= NEEDS_A_PERSON  # fmt: skip


def test_operations_lists_every_event_and_its_name_in_the_feed() -> None:
    text = OPERATIONS.read_text()
    rows = re.findall(r"^\| (`[^|]*`) \|", text.partition("| event |")[2], re.MULTILINE)
    assert {e for row in rows for e in re.findall(r"`([^`]+)`", row)} >= {*Event}
    assert [name for name in EVENTS.values() if f"`{name}`" not in text] == []
