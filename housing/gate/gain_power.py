"""How often a challenger passes the rule `expected_gain` after earlier comparisons on the rows.

Earlier comparisons are simulated as the rule assumes them: challengers vary as earlier verdicts
found, and all rows are used each time. The rate of a true change then follows without drawing, as
the posterior mean is linear in both observed changes.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from housing.array_types import Floats
from housing.gate.expected_gain import (
    Belief,
    Noise,
    highest_passing_mean,
    initial_belief,
    next_belief,
    passes,
    posterior,
)
from housing.gate.policy import GatePolicy

CHAINS = 1_000
"""Simulated sequences of comparisons."""

DEVIATIONS = ndtri((np.arange(101) + 0.5) / 101)
"""Deviations of a challenger on the test rows, in standard deviations."""


@dataclass(frozen=True, eq=False)
class _Champions:
    """Champions after some comparisons, shape (CHAINS,): deviations, and the rule against them.

    A challenger with the changes c on training and d on test rows passes where
    start + on_training c + on_test d <= most.
    """

    training: Floats
    test: Floats
    start: Floats
    on_training: Floats
    on_test: Floats
    most: Floats


def chance(noise: Noise, policy: GatePolicy, change: float, *, earlier: int = 0) -> float:
    """Probability that a challenger with a true change passes after `earlier` comparisons."""
    found = _champions_after(noise, policy, earlier)
    own = np.sqrt(np.diagonal(initial_belief(noise).covariance))
    true = math.log1p(change)
    test = true + own[3] * DEVIATIONS - found.test[:, None]
    mean = found.start + found.on_training * (true - found.training)
    room = (found.most - mean)[:, None] - found.on_test[:, None] * test
    # The out-of-fold error does not have the challenger's seeds, so it lies off its true error by
    # them as well.
    spread = np.maximum(found.on_training * np.hypot(own[1], own[2]), 1e-12)[:, None]
    rate = ndtr(room / spread)
    return float(np.mean(rate * (test <= 0) if policy.regression_veto else rate))


def selection_bias(noise: Noise, policy: GatePolicy, earlier: int) -> float:
    """Expected share by which selection makes the champion's error on the test rows too low."""
    return -float(_champions_after(noise, policy, earlier).test.mean()) if earlier else 0.0


def _champions_after(noise: Noise, policy: GatePolicy, earlier: int) -> _Champions:
    rule = (policy.cost_of_change, policy.margin, policy.confidence, policy.regression_veto)
    return _champions(noise, rule, earlier)


@lru_cache(maxsize=64)
def _champions(noise: Noise, rule: tuple[float, float, float, bool], earlier: int) -> _Champions:
    names = ("cost_of_change", "margin", "confidence", "regression_veto")
    policy = GatePolicy.model_validate(dict(zip(names, rule, strict=True)))
    rng, initial = np.random.default_rng(0), initial_belief(noise)
    sd = np.sqrt(np.diagonal(initial.covariance))
    belief = Belief(np.tile(initial.mean, (CHAINS, 1)), np.tile(initial.covariance, (CHAINS, 1, 1)))
    champion = sd * rng.standard_normal((CHAINS, 4))
    measured = noise.training is not None
    for _ in range(earlier):
        challenger = sd * rng.standard_normal((CHAINS, 4))
        beyond = challenger - champion
        training = beyond[:, 0] + beyond[:, 2] if measured else None
        test = beyond[:, 0] + beyond[:, 1] + beyond[:, 3]
        found = posterior(belief, noise, training, test)
        passed = passes(found, test, policy)
        champion = np.where(passed[:, None], challenger, champion)
        belief = Belief(
            np.where(passed[:, None], found.challenger.mean, found.champion.mean),
            np.where(passed[:, None, None], found.challenger.covariance, found.champion.covariance),
        )
        belief = next_belief(belief, noise, 1.0, 1.0)
    none = None if not measured else 0.0
    start = posterior(belief, noise, none, np.zeros(CHAINS))
    on_test = posterior(belief, noise, none, np.ones(CHAINS)).change - start.change
    on_training = np.zeros(CHAINS)
    if measured:
        on_training = posterior(belief, noise, 1.0, np.zeros(CHAINS)).change - start.change
    most = highest_passing_mean(start.sd, policy)
    training = champion[:, 2] - champion[:, 1]  # less its true error, which has its seeds
    return _Champions(training, champion[:, 3], start.change, on_training, on_test, most)
