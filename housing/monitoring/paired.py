"""Whether another model is better on the rows of a probation, at one level over all its looks.

A row's loss is the absolute log of prediction over label, bounded; the figure is the mean
difference of two models' losses, and its error takes it that neighbouring rows err together.
While rows come in random order, the covariance of two looks is the variance of the later one
(Jennison and Turnbull, 1997). So the standardised mean is, in information time, a Brownian motion
divided by the root of time, and Robbins' mixture boundary (1970) holds at every instant at once.
That is asymptotic (Waudby-Smith et al., 2024), hence FEWEST_ROWS and Student's t. The figure is a
symmetric function of the rows: their order and the looks before do not enter it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtr

from housing.evaluation.compare import bounded_errors
from housing.evaluation.spatial_se import SpatialCells, spatial_error
from housing.schema import TABLE

Floats = npt.NDArray[np.float64]

FEWEST_ROWS = 100
"""Rows from which on two models are compared: with fewer, means of differences are not normal."""
WORST = float(np.log(2))
"""Largest loss of a row: half or twice the label, and whatever lies beyond."""
SOONEST = 100.0
"""Independent rows at which the boundary is relatively lowest; others pay for it little."""


@dataclass(frozen=True)
class Paired:
    """Another model against the champion, on the same rows."""

    rows: int
    effect: float  # change of the RMSE, errors bounded by the range of the labels; -0.1: 10 % less
    score: float  # standardised evidence that the other model is better
    limit: float  # of the score, at this amount of information

    @property
    def better(self) -> bool:
        """Whether the other model is better by more than noise."""
        return self.effect < 0 and self.score > self.limit


def compared(
    actual: Floats, ours: Floats, theirs: Floats, where: SpatialCells, *, confidence: float
) -> Paired:
    """Another model's predictions (`theirs`) against `ours`, shape (n,) each, n > 0.

    A prediction that is not a positive number counts as the worst there is.
    """
    gain = losses(actual, ours) - losses(actual, theirs)
    squares = [float(np.square(bounded_errors(actual, p)).mean()) for p in (ours, theirs)]
    effect = float(np.sqrt(squares[1] / squares[0])) - 1 if squares[0] else 0.0
    return Paired(len(gain), effect, *score_and_limit(gain, where, confidence))


def losses(actual: Floats, predicted: Floats) -> Floats:
    """Bounded absolute log of prediction over label, shape (n,).

    Where the target may be zero or negative: the absolute error, bounded by the range of `actual`.
    """
    if not TABLE.positive:
        return np.abs(bounded_errors(actual, predicted))
    sound = np.isfinite(predicted) & (predicted > 0)
    ratio = np.abs(np.log(np.where(sound, predicted, actual) / actual))
    return np.where(sound, np.minimum(ratio, WORST), WORST)


def score_and_limit(gain: Floats, where: SpatialCells, confidence: float) -> tuple[float, float]:
    """Standardised mean gain, shape (n,) before; and Robbins' boundary at its information.

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
    """The normal score that is as rare as a Student's t; t itself beyond what floats hold."""
    tail = float(stdtr(df, -t))
    return t if tail == 0 else float(-ndtri(tail))
