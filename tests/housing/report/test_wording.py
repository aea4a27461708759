"""How figures read."""

import pytest

from housing import formatting
from housing.records import BatchSummary, CheckResult, RunOutcome, Verdict
from housing.report import wording


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"), (0.0204, "20 ms"), (0.1, "0.1 s"), (9.96, "10.0 s"), (59.4, "59 s"),
        (60, "1 min 00 s"), (135.2, "2 min 15 s"), (3599.6, "1 h 00 min"), (7380, "2 h 03 min"),
    ],
)  # fmt: skip
def test_durations_are_written_in_words(seconds, text):
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.041, "+4.1 %"),
        (-0.041, "\N{MINUS SIGN}4.1 %"),
        (0.0, "0 %"),
        (-0.0001, "0 %"),
        (0.0004, "0 %"),
    ],
)
def test_changes_carry_their_sign(value, text):
    assert formatting.change(value) == text


def test_a_bound_is_never_rounded_to_the_flattering_side():
    assert formatting.bound(0.01001) == "+1.1 %"
    assert formatting.bound(-0.02179) == "\N{MINUS SIGN}2.1 %"
    assert formatting.bound(0.01) == "+1.0 %"


def test_only_accepted_batches_bring_rows_in():
    batches = (
        BatchSummary(1, "landing", "a", "accepted", "", 10, 8, 2),
        BatchSummary(2, "landing", "b", "quarantined", "", 5, 4, 1),
    )
    assert wording.totals(batches) == (15, 8, 3)


def test_every_outcome_has_a_headline_and_a_next_step(make_report):
    assert all(outcome.headline for outcome in RunOutcome)
    for outcome in RunOutcome:
        assert wording.next_step(make_report(outcome=outcome))


def test_a_promotion_names_the_rollback_command(make_report):
    step = wording.next_step(make_report(outcome="promoted"))
    assert "m8 (boosting) is now the champion" in step
    assert "housing rollback" in step


def test_the_first_champion_cannot_be_undone_by_a_rollback(make_report):
    assert "rollback" not in wording.next_step(make_report(outcome="promoted", champion=""))


def test_a_check_that_could_not_run_asks_for_a_person(make_report):
    broken = Verdict("inconclusive", "x", (CheckResult("identity", "error", "x"),))
    step = wording.next_step(make_report(outcome="inconclusive", verdict=broken))
    assert "could not run" in step
    unsure = Verdict("inconclusive", "x", (CheckResult("identity", "inconclusive", "x"),))
    step = wording.next_step(make_report(outcome="inconclusive", verdict=unsure))
    assert step.startswith("Nothing to do: m7 (forest) stays")
