"""Sequential evidence that a share differs from that of the test rows.

A mixture likelihood ratio of two hypotheses about live windows: all have the share of the test
rows, or from one of the windows on it is another. The share is unknown under both and has the
posterior of the test rows, so however many labels follow, its uncertainty is that of the test set.
Under the first hypothesis the ratio is a martingale of mean at most one: the probability that it
ever exceeds 1/a is at most a (Ville, 1939), however often it is evaluated (compare Shin, Ramdas and
Rinaldo, 2023, "E-detectors"). Likelihoods are binomial, without a normal approximation, in counts
divided by the design effect.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from housing.array_types import Floats

Counts = npt.ArrayLike

SELECTION = 1.25
"""Factor on the variance of the test share: the champion was selected on these rows. The best of
ten candidates whose errors correlate by 0.9 has a selection bias of 0.5 standard errors."""

MONTH = 720
"""Windows over which the probability of a false alarm is spread: one an hour for 30 days."""

FIRST = 0.25
"""Prior weight of a change before the first window; the other windows of a month share the rest."""

SHIFTS = (0.25, 0.5, 1.0, 2.0)
"""Alternatives, in the logarithm of the odds."""

_GRID = np.linspace(-4.5, 4.5, 37)
"""Values of the unknown share, in standard errors of its log odds."""


def log_evidence(
    expected: tuple[Counts, Counts],
    live: tuple[Counts, Counts],
    *,
    way: int,
    design_effect: float,
) -> Floats:
    """Logarithm of the evidence after each window, shape (windows, ...).

    `expected` are hits and rows of the test set, shape (...); `live` those of the windows, shape
    (windows, ...). `way` is 1 where the share may have risen and -1 where it may have fallen.
    """
    weights, log_p, log_q, ratio_p, ratio_q = _hypotheses(expected, way, design_effect)
    hits, rows = (np.asarray(c, dtype=np.float64) / design_effect for c in live)
    null = weights
    changed = np.full(ratio_p.shape, -np.inf)
    found = np.empty(hits.shape)
    for t, (k, n) in enumerate(zip(hits, rows, strict=True)):
        k, misses = np.asarray(k)[..., None], np.asarray(n - k)[..., None]
        null = null + k * log_p + misses * log_q
        begins = np.log(FIRST if t == 0 else (1 - FIRST) / (MONTH - 1))
        changed = np.logaddexp(changed, begins)
        changed += k[..., None] * ratio_p + misses[..., None] * ratio_q
        either = logsumexp(null[..., None] + changed, axis=(-2, -1)) - np.log(len(SHIFTS))
        found[t] = either - logsumexp(null, axis=-1)
    return found


def _hypotheses(
    expected: tuple[Counts, Counts], way: int, design_effect: float
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Log weights of each unknown share, its log p and log(1 - p), shape (..., grid), and by how
    much each shift changes these two, shape (..., grid, shifts)."""
    hits, rows = (np.asarray(c, dtype=np.float64) for c in expected)
    scale = design_effect * SELECTION
    a, b = hits / scale + 0.5, (rows - hits) / scale + 0.5  # Jeffreys
    spread = np.sqrt(1 / a + 1 / b)
    odds = np.log(a / b)[..., None] + spread[..., None] * _GRID
    log_p, log_q = _logs(odds)
    weights = a[..., None] * log_p + b[..., None] * log_q
    shifted_p, shifted_q = _logs(odds[..., None] + way * np.asarray(SHIFTS))
    return weights, log_p, log_q, shifted_p - log_p[..., None], shifted_q - log_q[..., None]


def _logs(odds: Floats) -> tuple[Floats, Floats]:
    """log p and log(1 - p) of log odds."""
    return -np.logaddexp(0.0, -odds), -np.logaddexp(0.0, odds)
