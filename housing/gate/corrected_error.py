"""A model's error on the test rows with the selection bias removed.

A model becomes or stays champion partly because its sampling error on the test rows was low, so the
error shown there is too low on average. `gate.expected_gain` estimates that sampling error from all
verdicts, under every rule: the mean of the estimate is removed, its uncertainty stays.
How far the result is off, and how often the interval contains the true error, is measured by
`benchmarks.gate.champion_error`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from housing.gate import expected_gain
from housing.gate.evidence import CorrectedError, Evidence, ModelMetrics
from housing.gate.expected_gain import Belief
from housing.gate.policy import GatePolicy
from housing.records import Interval, Metrics

UNUSED, ALL, NOT_SELECTED = "unused test rows", "all test rows", "not selected on these rows"
"""Sources of a corrected error. The champion's is measured on rows that no earlier verdict used if
there are enough, else on all. A first champion was compared with none: nothing is corrected."""


def with_corrections(evidence: Evidence, policy: GatePolicy) -> Evidence:
    """The evidence with the corrected error of each model."""
    ours, theirs = evidence.challenger, evidence.champion
    if theirs is None:
        ours = _corrected(ours, ours.metrics, 0.0, 0.0, 0.0, NOT_SELECTED, 0)
        return replace(evidence, challenger=ours)
    if evidence.comparison is None:
        return evidence
    found, noise = expected_gain.of_evidence(evidence), expected_gain.noise_of(evidence)
    before = 0 if evidence.standing is None else evidence.standing.comparisons

    own = noise.test**2 / 2

    def on_all(model: ModelMetrics, belief: Belief) -> ModelMetrics:
        mean, variance = belief.mean[-1], belief.covariance[-1, -1]
        return _corrected(model, model.metrics, mean, variance, own, ALL, before + 1)

    champion, reuse = on_all(theirs, found.champion), evidence.holdout_reuse
    if reuse is not None and reuse.fresh is not None and reuse.fresh_rows >= policy.min_test_rows:
        share = reuse.fresh_rows / evidence.test_rows
        mean, variance = expected_gain.on_fresh_rows(found, noise, share)
        champion = _corrected(theirs, reuse.fresh, mean, variance, own / share, UNUSED, before + 1)
    return replace(evidence, challenger=on_all(ours, found.challenger), champion=champion)


def _corrected(
    model: ModelMetrics,
    shown: Metrics | None,
    mean: Any,
    variance: Any,
    own: float,
    source: str,
    verdicts: int,
) -> ModelMetrics:
    """The model with its corrected error, from the shown ones; see `correction`."""
    if shown is None:
        return model
    error = shown.error
    half = (error.upper - error.value) / error.value if error.value > 0 else 0.0
    factor, half = (float(each) for each in correction(half, error.confidence, mean, variance, own))
    value = error.value * factor
    limits = max(value * (1 - half), 0.0), value * (1 + half)
    interval = Interval(value, *limits, error.confidence)
    corrected = CorrectedError(interval, source, shown.rows, 1 - 1 / factor, verdicts)
    return replace(model, corrected=corrected)


def correction(half: Any, confidence: float, mean: Any, variance: Any, own: Any) -> tuple[Any, Any]:
    """The factor of an error, and the relative half width of its interval after the correction.

    `half` is the half width before. It contains the model's own sampling error, whose variance was
    `own` before the verdicts; now its mean is `mean` and its variance `variance`. Selection does
    not change the rest, which comes from rows that are hard for every model. Arrays broadcast.
    """
    z = ndtri((1 + confidence) / 2)
    common = np.maximum((half / z) ** 2 - own, 0.0)
    return np.exp(-mean), np.minimum(half, z * np.sqrt(common + variance))
