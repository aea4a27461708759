"""What a gate can and cannot see: the chance that a challenger passes, by how good it truly is.

The measured change of the error is its true change plus the luck of the test rows, whose size
is tonight's standard error among neighbours. Under normal luck the chance of passing the deciding
rule follows; the other checks can only lower it. Pure functions of a comparison and a policy.

The champion was chosen on the same rows, and the more challengers were compared there, the luckier
it is on them. Each model's luck is taken to be independent, of the variance that two of them give
the change, and each earlier challenger to be as good as its champion: then the champion's luck
after any number of comparisons has a distribution that is computed here step by step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

from housing.gate import words
from housing.gate.evidence import Evidence
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


LUCK = np.linspace(-8, 8, 1601)
"""Luck of a model on the test rows, in its standard deviations: where its distribution is kept."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OperatingCharacteristic:
    """What tonight's gate lets through; a change of the error is relative, negative is better.

    All but `first_curve` holds after `earlier` comparisons on the same test rows.
    """

    rule: Rule
    margin: float
    rows: int
    se: float  # of the measured change: the luck of the test rows
    earlier: int | None  # comparisons on these rows before tonight's; None: not known, taken as 0
    bias: float  # expected share by which the champion's error on them is too low by selection
    regression: float  # the true regression that is asked about: the margin
    passes: float  # chance that it passes
    no_change: float  # chance that a challenger exactly as good passes
    gain_needed: float | None  # true gain that is promoted in DETECTION of nights; None: certain
    curve: tuple[tuple[float, float], ...]  # (true change, chance of passing)
    first_curve: tuple[tuple[float, float], ...]  # the same for the first comparison on the rows

    @property
    def message(self) -> str:
        """The two numbers in words, and for which night they hold."""
        seen = f"promotes an equal challenger in {_rate(self.no_change)} of nights"
        if self.gain_needed is not None:
            gain = words.two_digits(100 * self.gain_needed)
            seen = f"needs a {gain} % gain to be promoted in {_rate(DETECTION)} of nights"
        regression = words.two_digits(100 * self.regression)
        return (
            f"On {self.rows:,} test rows the rule {self.rule} lets a {regression} % regression "
            f"through in {_rate(self.passes)} of nights and {seen}. {self.holds_for}"
        )

    @property
    def holds_for(self) -> str:
        """For which night the rates hold."""
        if self.earlier is None:
            return (
                "These rates hold for the first comparison on these rows; how many there were "
                "before is not recorded."
            )
        if not self.earlier:
            return "These rates hold for the first comparison on these rows."
        return (
            f"These rates hold for comparison {self.earlier + 1:,} on these rows, if the "
            f"challengers before were as good as the champion: by selection its error is expected "
            f"to look {words.percent(self.bias, 2)} lower on them than it is."
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
    comparison: Comparison,
    policy: GatePolicy,
    change: float,
    *,
    luck: float = 0.0,
    earlier: int = 0,
) -> float:
    """Chance that a challenger whose true change is `change` passes the deciding rule.

    `luck` adds the luck of training, where `change` is that of a recipe and not of one model;
    `earlier` comparisons on the same rows have chosen the champion.
    """
    one = comparison.se / math.sqrt(2)
    spread = math.hypot(one, luck)
    limit = cut(comparison, policy)
    room = limit - change
    if spread == 0:
        return float(room >= 0)
    if not earlier or one == 0:
        return float(ndtr(room / math.hypot(comparison.se, luck)))
    weights = _champion_luck(limit / one, earlier)
    return float(weights @ ndtr((room + one * LUCK) / spread))


def selection_bias(comparison: Comparison, policy: GatePolicy, earlier: int) -> float:
    """Expected share by which the champion's error on the test rows is too low by selection."""
    one = comparison.se / math.sqrt(2)
    if not earlier or one == 0:
        return 0.0
    return -one * float(_champion_luck(cut(comparison, policy) / one, earlier) @ LUCK)


@lru_cache(maxsize=64)
def _champion_luck(limit: float, earlier: int) -> Floats:
    """Weights of LUCK for the champion after so many comparisons with equally good challengers.

    A challenger becomes champion where its luck is at most `limit` above the champion's (in
    standard deviations of one model's luck; negative is lucky).
    """
    density = np.exp(-(LUCK**2) / 2)
    own: Floats = density / density.sum()
    weights = own
    stays = ndtr(-(LUCK + limit))  # chance that the next challenger does not pass, by luck
    for _ in range(earlier):
        below = np.interp(LUCK - limit, LUCK, np.cumsum(weights) - weights / 2)
        weights = weights * stays + own * (1 - below)
        weights = weights / weights.sum()
    return weights


def earlier_comparisons(evidence: Evidence) -> int | None:
    """Comparisons that tonight's test rows have served before; None where it is not recorded.

    The first decision on them made the first champion and compared it with no other.
    """
    return None if evidence.holdout_reuse is None else max(evidence.holdout_reuse.decisions - 1, 0)


def operating_characteristic(
    comparison: Comparison,
    policy: GatePolicy,
    changes: Sequence[float] = CURVE,
    *,
    earlier: int | None = None,
) -> OperatingCharacteristic:
    """The curve and the two numbers of one night's gate, after so many earlier comparisons."""
    regression, used = policy.margin or ASKED, earlier or 0

    def passing(change: float, times: int = used) -> float:
        return chance(comparison, policy, change, earlier=times)

    return OperatingCharacteristic(
        rule=policy.rule,
        margin=policy.margin,
        rows=comparison.rows,
        se=comparison.se,
        earlier=earlier,
        bias=selection_bias(comparison, policy, used),
        regression=regression,
        passes=passing(regression),
        no_change=passing(0.0),
        gain_needed=_gain_needed(comparison, policy, used),
        curve=tuple((x, passing(x)) for x in changes),
        first_curve=tuple((x, passing(x, 0)) for x in changes),
    )


def _gain_needed(comparison: Comparison, policy: GatePolicy, earlier: int) -> float | None:
    """The true gain that passes in DETECTION of nights; None where an equal model does."""

    def missing(gain: float) -> float:
        return DETECTION - chance(comparison, policy, -gain, earlier=earlier)

    if missing(0.0) <= 0:
        return None
    most = 20 * comparison.se - cut(comparison, policy)
    return _root(missing, 0.0, most)


def rows_for(
    comparison: Comparison, policy: GatePolicy, gain: float, *, earlier: int | None = None
) -> int | None:
    """Test rows at which a true gain is promoted in DETECTION of nights; None if never.

    The standard error falls with the square root of the rows. `earlier` as in `chance`: with as
    many comparisons on those rows.
    """

    def missing(logarithm: float) -> float:
        shrunk = replace(comparison, se=comparison.se * math.exp(logarithm))
        return DETECTION - chance(shrunk, policy, -gain, earlier=earlier or 0)

    smallest, largest = -_MOST_LOG, _MOST_LOG
    if missing(smallest) > 0:
        return None
    if missing(largest) <= 0:
        return 2
    factor = math.exp(_root(missing, smallest, largest))
    return math.ceil(comparison.rows / factor**2)


_MOST_LOG = math.log(1e4)
"""Standard errors are looked for within a factor of ten thousand of tonight's."""


def _root(function: Any, low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-12, rtol=1e-12))
