"""Outcomes and events are one list each, and everything that depends on one stands beside it."""

import re
from pathlib import Path

from housing.records import Event, RunOutcome

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_exit_codes_are_those_of_the_manual() -> None:
    assert {outcome: outcome.exit_code for outcome in RunOutcome} == {
        "promoted": 0, "nothing new": 0, "dry run": 0, "done": 0,
        "kept": 3, "blocked": 3, "inconclusive": 4, "awaiting approval": 6,
    }  # fmt: skip


def test_an_outcome_is_an_event_unless_nothing_was_judged() -> None:
    assert {*RunOutcome} - {*Event} == {RunOutcome.NOTHING_NEW, RunOutcome.DONE}


def test_events_of_prefect_have_names_of_their_own() -> None:
    named = [event.feed_name for event in Event if event.feed_name]
    assert len({*named}) == len(named)
    assert {event for event in Event if not event.feed_name} == {
        Event.FAILED, Event.MISSED, Event.RELOAD_FAILED, Event.MIRROR_BEHIND,
    }  # fmt: skip


def test_urgent_events_are_those_that_need_a_person() -> None:
    assert {event for event in Event if event.urgent} == {
        Event.FAILED, Event.MISSED, Event.NOT_READY, Event.BACKUP_NOT_VERIFIED,
        Event.RELOAD_FAILED, Event.AWAITING_APPROVAL, Event.DRIFT,
    }  # fmt: skip


def test_operations_lists_every_event_and_its_name_in_the_feed() -> None:
    text = OPERATIONS.read_text()
    rows = re.findall(r"^\| (`[^|]*`) \|", text.partition("| event |")[2], re.MULTILINE)
    assert {e for row in rows for e in re.findall(r"`([^`]+)`", row)} >= {*Event}
    assert [e.feed_name for e in Event if f"`{e.feed_name}`" not in text and e.feed_name] == []
