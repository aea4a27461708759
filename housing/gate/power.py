"""What a gate can and cannot see: the chance that a challenger passes, by how good it truly is.

The measured change of the error is its true change plus the luck of the test rows, whose size
is tonight's standard error among neighbours. Under normal luck the chance of passing the deciding
rule follows; the other checks can only lower it. Pure functions of a comparison and a policy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri, stdtrit

from housing.gate import words
from housing.gate.policy import GatePolicy, Rule
from housing.records import Comparison

DETECTION = 0.8
"""The rate at which a true gain counts as one that the gate can see."""

ASKED = 0.01
"""The regression that is asked about where the margin is zero."""

LEAST_SHOWN = 0.0001
"""Chances below it read as fewer than this."""

CURVE = tuple(x / 400 for x in range(-20, 21))
"""True changes of the error at which the curve is drawn: -5 % to +5 % in steps of 0.25 %."""


@dataclass(frozen=True)
class OperatingCharacteristic:
    """What tonight's gate lets through; a change of the error is relative, negative is better."""

    rule: Rule
    margin: float
    rows: int
    se: float  # of the measured change: the luck of the test rows
    regression: float  # the true regression that is asked about: the margin
    passes: float  # chance that it passes
    no_change: float  # chance that a challenger exactly as good passes
    gain_needed: float | None  # true gain that is promoted in DETECTION of nights; None: certain
    curve: tuple[tuple[float, float], ...]  # (true change, chance of passing)

    @property
    def sentence(self) -> str:
        """The two numbers in words."""
        seen = f"promotes an equal challenger in {_rate(self.no_change)} of nights"
        if self.gain_needed is not None:
            gain = words.two_digits(100 * self.gain_needed)
            seen = f"needs a {gain} % gain to be promoted in {_rate(DETECTION)} of nights"
        regression = words.two_digits(100 * self.regression)
        return (
            f"On {self.rows:,} test rows the rule {self.rule} lets a {regression} % regression "
            f"through in {_rate(self.passes)} of nights and {seen}."
        )


def _rate(chance: float) -> str:
    if chance < LEAST_SHOWN:
        return f"fewer than {words.two_digits(100 * LEAST_SHOWN)} %"
    return f"{words.two_digits(100 * chance)} %"


def cut(comparison: Comparison, policy: GatePolicy) -> float:
    """The largest measured change that passes the rule, at this comparison's standard error."""
    half = float(stdtrit(comparison.degrees, policy.confidence)) * comparison.se
    match policy.rule:
        case "superior":
            return -half
        case "non_inferior":
            return policy.margin - half
        case _:
            return min(0.0, policy.margin - half)


def chance(
    comparison: Comparison, policy: GatePolicy, change: float, *, luck: float = 0.0
) -> float:
    """Chance that a challenger whose true change is `change` passes the deciding rule.

    `luck` adds the luck of training, where `change` is that of a recipe and not of one model.
    """
    spread = math.hypot(comparison.se, luck)
    room = cut(comparison, policy) - change
    if spread == 0:
        return float(room >= 0)
    return float(ndtr(room / spread))


def operating_characteristic(
    comparison: Comparison, policy: GatePolicy, changes: Sequence[float] = CURVE
) -> OperatingCharacteristic:
    """The curve and the two numbers of one night's gate."""
    regression = policy.margin or ASKED
    gain = comparison.se * float(ndtri(DETECTION)) - cut(comparison, policy)
    return OperatingCharacteristic(
        rule=policy.rule,
        margin=policy.margin,
        rows=comparison.rows,
        se=comparison.se,
        regression=regression,
        passes=chance(comparison, policy, regression),
        no_change=chance(comparison, policy, 0.0),
        gain_needed=gain if gain > 0 else None,
        curve=tuple((x, chance(comparison, policy, x)) for x in changes),
    )


def rows_for(comparison: Comparison, policy: GatePolicy, gain: float) -> int | None:
    """Test rows at which a true gain is promoted in DETECTION of nights; None if never.

    The standard error falls with the square root of the rows.
    """
    z, t = float(ndtri(DETECTION)), float(stdtrit(comparison.degrees, policy.confidence))
    demands = {
        "superior": [(z + t, gain)],
        "non_inferior": [(z + t, policy.margin + gain)],
        "no_regression": [(z, gain), (z + t, policy.margin + gain)],
    }[policy.rule]
    if any(room <= 0 for _, room in demands):
        return None
    return math.ceil(comparison.rows * max((k * comparison.se / room) ** 2 for k, room in demands))
