"""Operating characteristic of the gate: the probability that a challenger passes, by true change.

The measured change of the error is the true change plus a sampling error of the test rows, normal
with the spatially robust standard error. The other checks can only lower the probability.

Selection: the champion was chosen on the same rows, so its sampling error there is negative on
average, and more so after more comparisons. The sampling errors of models are taken as independent,
each with half of the variance of the change, and earlier challengers as equally good; then the
distribution of the champion's sampling error after each comparison follows step by step.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

from housing.array_types import Floats
from housing.formatting import short_percent, two_digits
from housing.gate import gain_power
from housing.gate.evidence import Evidence
from housing.gate.expected_gain import Noise
from housing.gate.policy import GatePolicy, Rule
from housing.metric import metric_named
from housing.problem import MINUS
from housing.records import Comparison

DETECTION = 0.8
"""Power: the probability with which a true gain is to be promoted."""

DEFAULT_REGRESSION = 0.01
"""The true regression of which the pass rate is reported if the margin is zero."""

SMALLEST_RATE = 0.0001
"""Rates below it are reported as "fewer than"."""

LARGEST_GAIN = 0.99
"""Up to it a gain is searched that the rule `expected_gain` promotes."""

CURVE = tuple(x / 400 for x in range(-20, 21))
"""True changes of the error at which the curve is drawn: -5 % to +5 % in steps of 0.25 %."""


NOISE = np.linspace(-8, 8, 1601)
"""Grid of a model's sampling error on the test rows, in its standard deviations."""


@dataclass(frozen=True)
class OperatingCharacteristic:
    """Pass rates of the gate; changes of the error are relative, negative is better.

    All but `first_curve` hold after `earlier` comparisons on the same test rows.
    """

    rule: Rule
    margin: float
    rows: int
    se: float  # standard error of the measured change
    earlier: int | None  # earlier comparisons on these rows; None: unknown, taken as 0
    bias: float  # expected relative selection bias of the champion's error
    regression: float  # the margin, as a true regression
    passes: float  # probability that it passes
    no_change: float  # probability that an equal challenger passes
    gain_needed: float | None  # true gain promoted with probability DETECTION; None: any
    challengers: float | None  # spread of earlier challengers; None: as good as the champion
    curve: tuple[tuple[float, float], ...]  # (true change, probability)
    first_curve: tuple[tuple[float, float], ...]  # for the first comparison on the rows
    metric: str = "rmse"  # whose change it is

    @property
    def message(self) -> str:
        """Pass rate of a regression and power, in words."""
        power = f"promotes an equal challenger in {_rate(self.no_change)} of runs"
        if self.gain_needed is not None:
            gain = two_digits(100 * self.gain_needed)
            power = f"needs a {gain} % gain to be promoted in {_rate(DETECTION)} of runs"
        regression = two_digits(100 * self.regression)
        return (
            f"On {self.rows:,} test rows the rule {self.rule} lets a {regression} % regression "
            f"of the {metric_named(self.metric).label} through in {_rate(self.passes)} of runs "
            f"and {power}. {self.holds_for}"
        )

    @property
    def holds_for(self) -> str:
        """For which comparison the rates hold."""
        if self.earlier is None:
            return (
                "These rates hold for the first comparison on these rows; how many there "
                "were before is not recorded."
            )
        if not self.earlier:
            return "These rates hold for the first comparison on these rows."
        if_so = "if earlier challengers were as good as the champion"
        if self.challengers is not None:
            if_so = (
                f"if the true errors of challengers vary by {short_percent(self.challengers, 2)}"
            )
        return (
            f"These rates hold for comparison {self.earlier + 1:,} on these rows, {if_so}. The "
            f"expected selection bias of the error of the champion is "
            f"{MINUS}{short_percent(self.bias, 2)}."
        )


def _rate(chance: float) -> str:
    if chance < SMALLEST_RATE:
        return f"fewer than {two_digits(100 * SMALLEST_RATE)} %"
    return f"{two_digits(100 * chance)} %"


def largest_passing_change(comparison: Comparison, policy: GatePolicy) -> float:
    """The largest measured change that passes the rule at this standard error."""
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
    seed_spread: float = 0.0,
    earlier: int = 0,
    noise: Noise | None = None,
) -> float:
    """Probability that a challenger with the true change `change` passes the deciding rule.

    `seed_spread` adds variance from the training seed, if `change` is that of a recipe and not of
    one model; `earlier` comparisons on the same rows have selected the champion. `noise` is what
    the rule `expected_gain` knows besides the comparison.
    """
    if policy.rule == "expected_gain":
        return gain_power.chance(_noise(comparison, noise), policy, change, earlier=earlier)
    one = comparison.se / math.sqrt(2)
    spread = math.hypot(one, seed_spread)
    limit = largest_passing_change(comparison, policy)
    room = limit - change
    if spread == 0:
        return float(room >= 0)
    if not earlier or one == 0:
        return float(ndtr(room / math.hypot(comparison.se, seed_spread)))
    weights = _champion_noise(limit / one, earlier)
    return float(weights @ ndtr((room + one * NOISE) / spread))


def _noise(comparison: Comparison, noise: Noise | None) -> Noise:
    return replace(noise or Noise(0.0), test=comparison.se)


def selection_bias(
    comparison: Comparison, policy: GatePolicy, earlier: int, noise: Noise | None = None
) -> float:
    """Expected share by which selection makes the champion's error on the test rows too low."""
    if policy.rule == "expected_gain":
        return gain_power.selection_bias(_noise(comparison, noise), policy, earlier)
    one = comparison.se / math.sqrt(2)
    if not earlier or one == 0:
        return 0.0
    return -one * float(
        _champion_noise(largest_passing_change(comparison, policy) / one, earlier) @ NOISE
    )


@lru_cache(maxsize=64)
def _champion_noise(limit: float, earlier: int) -> Floats:
    """Weights of NOISE for the champion after `earlier` comparisons with equally good challengers.

    A challenger becomes champion if its sampling error is at most `limit` above the champion's, in
    standard deviations of one model's sampling error.
    """
    density = np.exp(-(NOISE**2) / 2)
    own: Floats = density / density.sum()
    weights = own
    stays = ndtr(-(NOISE + limit))  # probability that the next challenger fails
    for _ in range(earlier):
        below = np.interp(NOISE - limit, NOISE, np.cumsum(weights) - weights / 2)
        weights = weights * stays + own * (1 - below)
        weights = weights / weights.sum()
    return weights


def earlier_comparisons(evidence: Evidence) -> int | None:
    """Earlier comparisons on these test rows; None if not recorded.

    The first decision made the first champion and compared it with no other model.
    """
    return None if evidence.holdout_reuse is None else max(evidence.holdout_reuse.decisions - 1, 0)


def operating_characteristic(
    comparison: Comparison,
    policy: GatePolicy,
    *,
    earlier: int | None = None,
    noise: Noise | None = None,
) -> OperatingCharacteristic:
    """The gate's pass rates after `earlier` comparisons on the rows; `noise` as in `chance`."""
    regression, used = policy.margin or DEFAULT_REGRESSION, earlier or 0

    def passing(change: float, times: int = used) -> float:
        return chance(comparison, policy, change, earlier=times, noise=noise)

    gain = _gain_needed(comparison, policy, used, noise)
    by_spread = policy.rule == "expected_gain"
    changes = (*_beyond(CURVE[0], gain or 0.0), *CURVE)
    return OperatingCharacteristic(
        rule=policy.rule,
        margin=policy.margin,
        rows=comparison.rows,
        se=comparison.se,
        earlier=earlier,
        bias=selection_bias(comparison, policy, used, noise),
        regression=regression,
        passes=passing(regression),
        no_change=passing(0.0),
        gain_needed=gain,
        challengers=_noise(comparison, noise).challengers if by_spread else None,
        curve=tuple((x, passing(x)) for x in changes),
        first_curve=tuple((x, passing(x, 0)) for x in changes),
        metric=comparison.metric,
    )


def _beyond(first: float, gain: float) -> Iterator[float]:
    """Changes left of the curve's first, to a tenth beyond the gain: the curve reaches its mark."""
    if -gain < first:
        yield from np.linspace(-1.1 * gain, first, 10)[:-1].tolist()


def _gain_needed(
    comparison: Comparison, policy: GatePolicy, earlier: int, noise: Noise | None
) -> float | None:
    """The true gain that passes with probability DETECTION; None if an equal model does or none.

    A gain is a share of the error, so it is below 1.
    """

    def missing(gain: float) -> float:
        return DETECTION - chance(comparison, policy, -gain, earlier=earlier, noise=noise)

    if missing(0.0) <= 0:
        return None
    most = 20 * comparison.se - largest_passing_change(comparison, policy)
    if policy.rule == "expected_gain":
        most = LARGEST_GAIN
        if missing(most) > 0:
            return None
    return _root(missing, 0.0, most)


def rows_for(
    comparison: Comparison,
    policy: GatePolicy,
    gain: float,
    *,
    earlier: int | None = None,
    noise: Noise | None = None,
) -> int | None:
    """Test rows at which a true gain is promoted with probability DETECTION; None if never.

    The standard error falls with the square root of the rows. `earlier` and `noise` as in `chance`.
    """

    def missing(logarithm: float) -> float:
        shrunk = replace(comparison, se=comparison.se * math.exp(logarithm))
        return DETECTION - chance(shrunk, policy, -gain, earlier=earlier or 0, noise=noise)

    smallest, largest = -_MOST_LOG, _MOST_LOG
    if missing(smallest) > 0:
        return None
    if missing(largest) <= 0:
        return 2
    factor = math.exp(_root(missing, smallest, largest))
    return math.ceil(comparison.rows / factor**2)


_MOST_LOG = math.log(1e4)
"""Standard errors are searched within a factor of ten thousand of the measured one."""


def _root(function: Any, low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-12, rtol=1e-12))
