"""The rules by which a change of the error is judged, and how many rows each would take."""

import math
from collections.abc import Sequence
from typing import TypeVar

from scipy.special import stdtrit

from housing.gate.evidence import Evidence
from housing.gate.policy import GatePolicy
from housing.records import CheckOutcome, Comparison

Item = TypeVar("Item")


def in_force(evidence: Evidence, policy: GatePolicy) -> GatePolicy:
    """The policy; its rule is `superior` where the same rows have been compared on before."""
    return policy.model_copy(update={"rule": "superior"}) if evidence.repeated else policy


def why_superior(looks: Sequence[int], older: int | None) -> str:
    """Why the rule is `superior` whatever the policy's own; "" where it is not.

    `looks` are the challengers judged on the same rows before, `older` the challenger if it is an
    older model than the champion.
    """
    reasons = []
    if looks:
        *most, last = (f"m{model}" for model in looks)
        names = f"{', '.join(most)} and {last}" if most else last
        reasons.append(f"{names} {'were' if most else 'was'} judged on exactly these rows before")
    if older is not None:
        reasons.append(f"m{older} is an older model than the champion")
    return " and ".join(reasons)


def limit(policy: GatePolicy) -> float:
    """Where the upper bound of the change must end."""
    return 0.0 if policy.rule == "superior" else policy.margin


def outcome(comparison: Comparison, policy: GatePolicy) -> CheckOutcome:
    """Passed, failed, or inconclusive where the change is allowed and only its bound is too wide.

    no_regression  change <= 0 and bound <= margin
    superior       bound <= 0
    non_inferior   bound <= margin
    """
    allowed = policy.margin if policy.rule == "non_inferior" else 0.0
    if comparison.effect > allowed:
        return "failed"
    return "passed" if comparison.upper <= limit(policy) else "inconclusive"


def rows_needed(comparison: Comparison, bound: float) -> int | None:
    """Test rows at which the same effect would have its bound at `bound`, None if no number would.

    The standard error falls with the square root of the rows; the effect is taken as it is.
    """
    room = bound - comparison.effect
    if room <= 0:
        return None
    return math.ceil(comparison.rows * ((comparison.upper - comparison.effect) / room) ** 2)


def rows_to_show(comparison: Comparison, margin: float, level: float) -> int | None:
    """Rows at which the same effect would be evidence of more than `margin`; None if never.

    `level` is the one-sided p-value at or below which it counts.
    """
    beyond = comparison.effect - margin
    if beyond <= 0:
        return None
    t = float(stdtrit(comparison.degrees, level))  # squared below
    return math.ceil(comparison.rows * (t * comparison.se / beyond) ** 2)


def evenly_spaced(history: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of a history, evenly over it, both ends among them; the first where one.

    A slide is seen only from far enough back, a sudden change only from near by.
    """
    if len(history) <= most:
        return list(history)
    if most < 2:
        return list(history[:most])
    return [history[round(i * (len(history) - 1) / (most - 1))] for i in range(most)]
