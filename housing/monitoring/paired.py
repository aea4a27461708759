"""A sequential test of whether another model is better than the champion on the same rows.

The test may be repeated after each monitoring run at one error probability. The loss of a row is
the bounded absolute logarithm of predicted over actual value; the statistic is the mean difference
of two models' losses, with a standard error that allows for correlated errors of neighbouring
rows. For rows in random order, the covariance of two interim statistics is the variance of the
later one (Jennison and Turnbull, 1997). The standardised mean is therefore, in information time, a
Brownian motion divided by the root of time, and Robbins' mixture boundary (1970) is valid at all
times together. That is asymptotic (Waudby-Smith et al., 2024), hence FEWEST_ROWS and Student's t.
The statistic does not depend on the order of the rows or on earlier tests.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from housing.array_types import Floats
from housing.evaluation.compare import bounded_errors
from housing.evaluation.spatial_se import SpatialCells, spatial_error
from housing.schema import TABLE

FEWEST_ROWS = 100
"""Least number of rows: with fewer, means of differences are not normal."""
WORST = float(np.log(2))
"""Largest loss of a row: a prediction of half or twice the label, or further off."""
SOONEST = 100.0
"""Number of independent rows at which the boundary is relatively lowest."""


@dataclass(frozen=True)
class Paired:
    """Another model against the champion, on the same rows."""

    rows: int
    effect: float  # change of the RMSE, errors bounded by the range of the labels; -0.1: 10 % less
    score: float  # standardised evidence that the other model is better
    limit: float  # of the score, at this amount of information

    @property
    def better(self) -> bool:
        """Whether the other model is better beyond chance."""
        return self.effect < 0 and self.score > self.limit


def compared(
    actual: Floats, ours: Floats, theirs: Floats, where: SpatialCells, *, confidence: float
) -> Paired:
    """Another model's predictions (`theirs`) against `ours`, shape (n,) each, n > 0.

    A prediction that is not a positive number has the largest loss.
    """
    gain = losses(actual, ours) - losses(actual, theirs)
    squares = [float(np.square(bounded_errors(actual, p)).mean()) for p in (ours, theirs)]
    effect = float(np.sqrt(squares[1] / squares[0])) - 1 if squares[0] else 0.0
    return Paired(len(gain), effect, *score_and_limit(gain, where, confidence))


def losses(actual: Floats, predicted: Floats) -> Floats:
    """Bounded absolute logarithm of prediction over label, shape (n,).

    Where the target may be zero or negative: the absolute error, bounded by the range of `actual`.
    """
    if not TABLE.positive:
        return np.abs(bounded_errors(actual, predicted))
    sound = np.isfinite(predicted) & (predicted > 0)
    ratio = np.abs(np.log(np.where(sound, predicted, actual) / actual))
    return np.where(sound, np.minimum(ratio, WORST), WORST)


def score_and_limit(gain: Floats, where: SpatialCells, confidence: float) -> tuple[float, float]:
    """Standardised mean of `gain`, shape (n,), and Robbins' boundary at its information.

    The score is minus infinity where rows are too few, lie in one cell or do not differ.
    """
    n, mean = len(gain), float(gain.mean())
    spread = float(gain.std())
    found = spatial_error(gain - mean, where) if n >= FEWEST_ROWS and spread else None
    if found is None or found.cells < 2:
        return -np.inf, np.inf
    independent = (spread / found.se) ** 2  # with the same information
    time = independent / SOONEST
    limit = np.sqrt((1 + 1 / time) * (np.log1p(time) - 2 * np.log1p(-confidence)))
    return _normal(mean / found.se, found.df), float(limit)


def _normal(t: float, df: float) -> float:
    """The normal quantile of the tail probability of a Student's t; t where that underflows."""
    tail = float(stdtr(df, -t))
    return t if tail == 0 else float(-ndtri(tail))
