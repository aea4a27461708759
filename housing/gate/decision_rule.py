"""The decision rules for a change of the error, and the test rows that each requires."""

import math
from collections.abc import Sequence
from typing import TypeVar

from scipy.special import stdtrit

from housing.gate.evidence import Evidence
from housing.gate.policy import GatePolicy
from housing.records import CheckOutcome, Comparison

Item = TypeVar("Item")

NAMED = 3
"""Challengers named in a message; of more the last one and a number."""


def effective_policy(evidence: Evidence, policy: GatePolicy) -> GatePolicy:
    """The policy, with the rule `superior` if earlier comparisons used all test rows."""
    return policy.model_copy(update={"rule": "superior"}) if evidence.repeated else policy


def why_superior(judged_before: Sequence[int], older: int | None) -> str:
    """Why the rule is `superior` instead of the policy's; "" if it is not.

    `judged_before` are the challengers judged before if no test row is new since, `older` is the
    challenger if it is an older model than the champion.
    """
    reasons = []
    if judged_before:
        *most, last = (f"m{model}" for model in judged_before)
        names = f"{', '.join(most)} and {last}" if most else last
        if len(most) > NAMED:
            names = f"m{judged_before[-1]} and {len(most)} earlier challengers"
        reasons.append(f"no test row is new since {names} {'were' if most else 'was'} judged")
    if older is not None:
        reasons.append(f"m{older} is an older model than the champion")
    return " and ".join(reasons)


def limit(policy: GatePolicy) -> float:
    """The largest upper bound of the change that passes."""
    return 0.0 if policy.rule == "superior" else policy.margin


def outcome(comparison: Comparison, policy: GatePolicy) -> CheckOutcome:
    """Passed, failed, or inconclusive if only the bound of the change is too large.

    no_regression  change <= 0 and bound <= margin
    superior       bound <= 0
    non_inferior   bound <= margin
    """
    allowed = policy.margin if policy.rule == "non_inferior" else 0.0
    if comparison.effect > allowed:
        return "failed"
    return "passed" if comparison.upper <= limit(policy) else "inconclusive"


def rows_needed(comparison: Comparison, bound: float) -> int | None:
    """Test rows at which the same effect has its upper bound at `bound`; None if there are none.

    The standard error falls with the square root of the rows.
    """
    room = bound - comparison.effect
    if room <= 0:
        return None
    return math.ceil(comparison.rows * ((comparison.upper - comparison.effect) / room) ** 2)


def rows_to_show(comparison: Comparison, margin: float, level: float) -> int | None:
    """Rows at which the same effect is evidence of more than `margin`; None if there are none.

    `level` is the one-sided significance level.
    """
    beyond = comparison.effect - margin
    if beyond <= 0:
        return None
    t = float(stdtrit(comparison.degrees, level))  # squared below
    return math.ceil(comparison.rows * (t * comparison.se / beyond) ** 2)


def evenly_spaced(history: Sequence[Item], most: int) -> list[Item]:
    """At most `most` items, evenly spaced and including both ends; the first if `most` is 1."""
    if len(history) <= most:
        return list(history)
    if most < 2:
        return list(history[:most])
    return [history[round(i * (len(history) - 1) / (most - 1))] for i in range(most)]
