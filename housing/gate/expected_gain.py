"""The rule `expected_gain`: the true change of the error, given all that the runs measured.

Arithmetic of normal distributions, derived in docs/decisions/0023-expected-gain.md. A model has
four unknown numbers, all relative to an error: the level of its recipe (its expected true error
less that of the average challenger), the part of its seeds (true error less that of its recipe),
and the sampling errors of its recipe on the training rows and of the model on the test rows. The
belief about the champion's numbers is carried from verdict to verdict.

Arrays may have leading axes: a simulation judges many comparisons at once.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from housing.array_types import Floats
from housing.gate.evidence import Evidence, Standing
from housing.gate.policy import GatePolicy
from housing.records import Comparison

FORMULA = 2
"""The version of this arithmetic, recorded with the evidence."""

CHALLENGERS = 0.003
"""Standard deviation of the true errors of challengers' recipes, relative."""

PRIOR_COMPARISONS, MOST_COMPARISONS = 10, 50
"""Comparisons for which the assumed spread counts, and the latest ones that count beside it."""

AGEING = 0.0006
"""Standard deviation by which the average challenger moves against the champion from one verdict to
the next, relative to an error: the table grows and changes."""

LEAST_ERROR = 1e-9
"""Standard error of two models that err alike on every row."""

NOT_MEASURED = 1e6
"""Variance of an observation that is missing."""

# Observed are the changes on training and test rows: of (recipe, seeds, sampling error on training
# rows, on test rows) of the champion, then of the challenger. The out-of-fold error is a recipe's.
_OBSERVED = np.array([[-1.0, 0, -1, 0, 1, 0, 1, 0], [-1, -1, 0, -1, 1, 1, 0, 1]])
_CHANGE = np.array([-1.0, -1, 0, 0, 1, 1, 0, 0])


@dataclass(frozen=True)
class Noise:
    """Standard deviations, relative to the error."""

    test: float  # standard error of the change on the test rows
    training: float | None = None  # of the change of the out-of-fold error; None: not measured
    seeds: float = 0.0  # of one model's error, by the seeds of its members
    challengers: Any = CHALLENGERS  # of the true errors of challengers' recipes


@dataclass(frozen=True, eq=False)
class Belief:
    """Normal distribution of a model's four numbers; shapes (..., 4) and (..., 4, 4)."""

    mean: Floats
    covariance: Floats


@dataclass(frozen=True, eq=False)
class Posterior:
    """The true change given the evidence, and the beliefs about both models afterwards."""

    change: Any  # mean of the logarithm of the true change; a gain is negative
    sd: Any
    champion: Belief
    challenger: Belief
    surprise: Floats  # (..., 2): the observed less the expected changes, times the next
    precision: Floats  # (..., 2, 2): inverse covariance of the observed changes

    def probability(self, margin: float) -> Any:
        """Probability that the true change is a regression beyond the margin."""
        return ndtr((self.change - math.log1p(margin)) / np.maximum(self.sd, LEAST_ERROR))


def initial_belief(noise: Noise) -> Belief:
    """The belief about a model that was never compared."""
    training = 0.0 if noise.training is None else noise.training**2 / 2
    parts = noise.challengers**2, noise.seeds**2, training, noise.test**2 / 2
    variances = np.stack(np.broadcast_arrays(*parts), axis=-1)
    return Belief(np.zeros_like(variances), variances[..., None] * np.eye(4))


def next_belief(belief: Belief, noise: Noise, training_kept: float, test_kept: float) -> Belief:
    """The belief at the next verdict: sampling errors of new rows are unknown again.

    `training_kept` and `test_kept` are the shares of the present rows that were there before.
    """
    kept = np.array([1.0, 1.0, training_kept, test_kept])
    ageing = np.diag([AGEING**2, 0.0, 0.0, 0.0])
    own = (1 - kept) * initial_belief(noise).covariance
    covariance = belief.covariance * np.outer(kept, kept) + own + ageing
    return Belief(belief.mean * kept, covariance)


def posterior(champion: Belief, noise: Noise, training: Any, test: Any) -> Posterior:
    """Condition on the changes of the out-of-fold error (None: not measured) and of the test error.

    They may be arrays of the leading shape of `champion`.
    """
    own = initial_belief(noise)
    shape = champion.mean.shape[:-1]
    mean = np.concatenate([champion.mean, np.broadcast_to(own.mean, (*shape, 4))], axis=-1)
    covariance = np.zeros((*shape, 8, 8))
    covariance[..., :4, :4], covariance[..., 4:, 4:] = champion.covariance, own.covariance
    missing = np.diag([NOT_MEASURED if training is None else 0.0, 0.0])
    seen = np.stack(np.broadcast_arrays(0.0 if training is None else training, test), axis=-1)
    cross = covariance @ _OBSERVED.T
    precision = np.linalg.inv(_OBSERVED @ cross + missing)
    surprise = (precision @ (seen - mean @ _OBSERVED.T)[..., None])[..., 0]
    mean = mean + (cross @ surprise[..., None])[..., 0]
    covariance = covariance - cross @ precision @ np.swapaxes(cross, -1, -2)
    variance = covariance @ _CHANGE @ _CHANGE
    return Posterior(
        mean @ _CHANGE,
        np.sqrt(np.maximum(variance, 0)),
        Belief(mean[..., :4], covariance[..., :4, :4]),
        Belief(mean[..., 4:], covariance[..., 4:, 4:]),
        surprise,
        precision,
    )


def on_fresh_rows(found: Posterior, noise: Noise, share: Any) -> tuple[Any, Any]:
    """Mean and variance of the champion's sampling error on test rows that no verdict before this
    one used, which are such a share of all.
    """
    own = noise.test**2 / 2  # also its covariance with the observed change, which falls with it
    mean = -own * found.surprise[..., 1]
    return mean, own / share - own**2 * found.precision[..., 1, 1]


def spread_after(spread: Any, challenger: Belief, comparisons: int) -> Any:
    """The standard deviation of challengers' recipes, after one more comparison.

    A step of Fisher scoring. CHALLENGERS counts as an estimate from PRIOR_COMPARISONS exactly known
    recipes, a comparison by the share of the variance that it removes.
    """
    left = challenger.covariance[..., 0, 0]
    observed, removed = challenger.mean[..., 0] ** 2 + left, (1 - left / spread**2) ** 2
    weight = 1 / (PRIOR_COMPARISONS + removed * min(comparisons, MOST_COMPARISONS))
    return np.sqrt(spread**2 + weight * (observed - spread**2))


def passes(found: Posterior, test: Any, policy: GatePolicy) -> Any:
    """Whether the expected gain is worth a change, and a regression is improbable.

    `test` is the change on the test rows: above zero it is a veto, unless the policy has none.
    """
    enough = found.change <= highest_passing_mean(found.sd, policy)
    return enough & ((np.asarray(test) <= 0) | (not policy.regression_veto))


def highest_passing_mean(sd: Any, policy: GatePolicy) -> Any:
    """The highest mean of the true change that passes, by the standard deviation around it."""
    safe = math.log1p(policy.margin) - float(ndtri(policy.confidence)) * sd
    return np.minimum(math.log1p(-policy.cost_of_change), safe)


# --- from the record --------------------------------------------------------------------------


def of_evidence(evidence: Evidence) -> Posterior:
    """The posterior of a recorded comparison; ValueError without one."""
    noise = noise_of(evidence)
    return posterior(prior(evidence, noise), noise, *_observed(evidence))


def _observed(evidence: Evidence) -> tuple[float | None, float]:
    """Logarithms of the changes on the training rows, if measured, and on the test rows."""
    test = 0.0 if evidence.comparison is None else evidence.comparison.effect
    training = None if evidence.training is None else math.log1p(evidence.training.effect)
    return training, math.log1p(test)


def noise_of(evidence: Evidence) -> Noise:
    """The noise that the run measured; ValueError without a comparison."""
    if evidence.comparison is None:
        raise ValueError("the models were not compared")
    test = _error(evidence.comparison)
    training = None if evidence.training is None else _error(evidence.training)
    seeds = 0.0 if evidence.seed_variance is None else evidence.seed_variance.spread
    challengers = CHALLENGERS if evidence.standing is None else evidence.standing.challengers
    return Noise(test, training, seeds, challengers)


def _error(comparison: Comparison) -> float:
    """Standard error of the logarithm, larger with few degrees of freedom: a normal distribution
    then has the 95 % limit of Student's.
    """
    factor = float(stdtrit(comparison.degrees, 0.95) / ndtri(0.95))
    return max(factor * comparison.se / (1 + comparison.effect), LEAST_ERROR)


def prior(evidence: Evidence, noise: Noise) -> Belief:
    """The belief about the champion on the present rows, from earlier verdicts."""
    found = evidence.standing
    if found is None:
        return initial_belief(noise)
    belief = Belief(np.array(found.mean), np.array(found.covariance))
    training = 0 if evidence.training is None else evidence.training.rows
    reuse = evidence.holdout_reuse
    fresh = 0 if reuse is None else reuse.fresh_rows
    test_kept = min(found.test_rows, evidence.test_rows - fresh) / max(evidence.test_rows, 1)
    training_kept = min(found.training_rows / training, 1.0) if training else 1.0
    return next_belief(belief, noise, training_kept, test_kept)


def standings(evidence: Evidence) -> tuple[Standing, Standing]:
    """The beliefs about champion and challenger after the comparison, as they are recorded."""
    found, noise = of_evidence(evidence), noise_of(evidence)
    training = 0 if evidence.training is None else evidence.training.rows
    before = 0 if evidence.standing is None else evidence.standing.comparisons
    spread = spread_after(noise.challengers, found.challenger, before)
    champion, challenger = (
        Standing(
            tuple(belief.mean.tolist()),
            tuple(tuple(row) for row in belief.covariance.tolist()),
            training_rows=training,
            test_rows=evidence.test_rows,
            comparisons=before + 1,
            challengers=float(spread),
        )
        for belief in (found.champion, found.challenger)
    )
    return champion, challenger


@dataclass(frozen=True)
class GainResult:
    """The figures of the rule that messages and tables show."""

    gain: float  # expected; a regression is negative
    probability: float  # of a regression beyond the margin
    highest: float | None  # change on the test rows up to which it passes; None: no change does
    passes: bool
    worth: bool  # whether the gain is at least the cost of a change
    vetoed: bool  # whether only the measured change on the test rows keeps the champion


def judged(evidence: Evidence, policy: GatePolicy) -> GainResult:
    """Judge a recorded comparison; ValueError without one."""
    found, noise = of_evidence(evidence), noise_of(evidence)
    training, test = _observed(evidence)
    shifted = posterior(prior(evidence, noise), noise, training, test + 1)
    room = float(highest_passing_mean(found.sd, policy) - found.change)
    slope = float(shifted.change - found.change)
    highest = math.expm1(test + room / slope) if slope > 0 else None
    if highest is not None and policy.regression_veto:
        highest = min(highest, 0.0)
    passed = bool(passes(found, test, policy))
    return GainResult(
        gain=-math.expm1(found.change),
        probability=float(found.probability(policy.margin)),
        highest=highest,
        passes=passed,
        worth=bool(found.change <= math.log1p(-policy.cost_of_change)),
        vetoed=room >= 0 and not passed,
    )
