"""The rule `expected_gain` in the check `no-regression`: outcome, message and figures."""

from dataclasses import asdict
from typing import Any

from housing.formatting import change, interval, short_percent
from housing.gate import expected_gain, messages
from housing.gate.evidence import Evidence
from housing.gate.expected_gain import GainResult
from housing.gate.policy import GatePolicy
from housing.metric import metric_named
from housing.records import CheckOutcome, CheckResult, Comparison

DIGITS = 2


def result(
    name: str, evidence: Evidence, policy: GatePolicy, figures: dict[str, Any]
) -> CheckResult:
    """Failed if the gain is not worth a change or the test rows veto; inconclusive if only a
    regression is too probable.
    """
    found = expected_gain.judged(evidence, policy)
    figures = {**figures, **_figures(evidence, policy, found)}
    outcome: CheckOutcome = "passed" if found.passes else "inconclusive"
    if found.vetoed or not found.worth:
        outcome = "failed"
    message = f"{_summary(evidence, policy, found)} {_ending(policy, found)}"
    return CheckResult(name, outcome, message, figures)


def needs(evidence: Evidence, policy: GatePolicy) -> str:
    """The change on the test rows that passes with the same other evidence."""
    return _highest(expected_gain.judged(evidence, policy))


def _figures(evidence: Evidence, policy: GatePolicy, found: GainResult) -> dict[str, Any]:
    training = evidence.training
    return {
        "expected_gain": found.gain,
        "probability_of_regression": found.probability,
        "largest_passing_change": found.highest,
        "cost_of_change": policy.cost_of_change,
        "training": None if training is None else messages.figures(training),
        "standing": None if evidence.standing is None else asdict(evidence.standing),
    }


def _summary(evidence: Evidence, policy: GatePolicy, found: GainResult) -> str:
    probability = "below 0.01 %"
    if found.probability >= SMALLEST:
        probability = short_percent(found.probability, DIGITS)
    gain = short_percent(abs(found.gain), DIGITS)
    return (
        f"The expected gain in {metric_named(evidence.metric).label} is "
        f"{'-' * (found.gain < 0)}{gain}; the probability of a regression "
        f"beyond {short_percent(policy.margin, 2)} is {probability}. {_sources(evidence)}"
    )


SMALLEST = 0.0001


def _sources(evidence: Evidence) -> str:
    """The measured changes, and how far the champion's test error is expected to be off."""
    label = metric_named(evidence.metric).label
    text = f"The {label} changes by {_source(evidence.comparison)} test rows"
    if evidence.training is not None:
        text += f" and out of fold by {_source(evidence.training)} training rows"
    standing = evidence.standing
    if standing is not None:
        count = standing.comparisons
        verdicts = "an earlier verdict" if count == 1 else f"{count:,} earlier verdicts"
        off = standing.mean[-1]
        text += (
            f"; after {verdicts} the champion's error on test rows is expected to be "
            f"{short_percent(abs(off), DIGITS)} {'below' if off < 0 else 'above'} its true error"
        )
    return f"{text}."


def _source(comparison: Comparison | None) -> str:
    if comparison is None:
        raise ValueError("the models were not compared")
    shown = f"{change(comparison.effect, DIGITS)} ({interval(comparison)})"
    return f"{shown} on {comparison.rows:,}"


def _ending(policy: GatePolicy, found: GainResult) -> str:
    if not found.worth:
        required = short_percent(policy.cost_of_change, DIGITS)
        return f"A change of the champion needs an expected gain of {required}. {_highest(found)}"
    if found.vetoed:
        return (
            "The rule keeps the champion where the challenger's error on the test rows is above "
            f"the champion's. {_highest(found)}"
        )
    if not found.passes:
        most = short_percent(1 - policy.confidence, DIGITS)
        return f"A regression may have a probability of {most}. {_highest(found)}"
    return _highest(found)


def _highest(found: GainResult) -> str:
    if found.highest is None:
        return "No change on the test rows passes with the other evidence."
    most = change(found.highest, DIGITS) if found.highest else "0 %"
    if found.passes:
        return f"It would not pass with a change above {most} on the test rows."
    return f"It would pass with a change of at most {most} on the test rows."
