"""Errors of one model on one test set, and the interval of the main one.

Comparing two models belongs to `compare`; whether a figure is good enough belongs to the gate.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from housing.errors import NotMeasurable
from housing.evaluation.spatial_se import SpatialCells, Values, spatial_error
from housing.records import Interval, Metrics
from housing.schema import TABLE

WITHIN = (0.10, 0.20)
"""Relative errors whose shares are reported: `Metrics.within_10` and `within_20`."""


def measure(
    y_true: Values,
    y_pred: Values,
    confidence: float = 0.95,
    where: SpatialCells | None = None,
) -> Metrics:
    """Errors of predictions, both of shape (n,) and in the target's unit.

    With `where` the intervals of RMSE and MAE allow for correlated neighbours. Without it, and in
    `rmse_independent`, the interval of the RMSE is the t-interval of the mean squared error,
    square-rooted (Géron, Hands-On Machine Learning, chapter 2), which treats rows as independent.
    Both cover only the sampling of test rows; a lower limit below zero reads as zero. R2 is 0 where
    the truth is constant. NotMeasurable: fewer than two rows, or a value that is not finite.
    """
    truth, predicted = finite_columns("the error of a model", y_true, y_pred)
    n = len(truth)
    errors = predicted - truth
    squared = errors * errors
    mse = float(squared.mean())
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(squared.std(ddof=1)) / n**0.5
    rmse, lower, upper = np.sqrt(np.maximum([mse, mse - half, mse + half], 0.0)).tolist()
    variance = float(truth.var())
    distance = np.abs(errors)
    mae = float(distance.mean())
    independent = Interval(rmse, lower, upper, confidence)
    intervals = {"rmse": independent}
    if where is not None and where.cells > 1:
        halved = squared / (2 * rmse) if rmse > 0 else squared
        intervals = {
            "rmse": _clustered(rmse, halved, where, confidence),
            "mae_interval": _clustered(mae, distance, where, confidence),
            "rmse_independent": independent,
        }
    shares = [float(np.mean(distance <= share * np.abs(truth))) for share in WITHIN]
    return Metrics(
        rows=n,
        mae=mae,
        r2=1 - mse / variance if variance > 0 else 0.0,
        within_10=shares[0],
        within_20=shares[1],
        **intervals,
    )


def _clustered(value: float, influence: Values, where: SpatialCells, confidence: float) -> Interval:
    """Student's interval of one figure, among neighbours."""
    found = spatial_error(influence - influence.mean(), where)
    half = float(stdtrit(found.df, (1 + confidence) / 2)) * found.se
    return Interval(value, max(value - half, 0.0), value + half, confidence)


def count_unusable(y_pred: Values) -> tuple[int, int]:
    """How many predictions are not finite, and how many are finite but not positive.

    The second is 0 where the target may be zero or negative.
    """
    finite = np.isfinite(y_pred)
    return int(np.sum(~finite)), int(np.sum(y_pred[finite] <= 0)) if TABLE.positive else 0


def finite_columns(what: str, *columns: Values) -> list[npt.NDArray[np.float64]]:
    """Columns as float64 of one length n >= 2, all finite; else NotMeasurable names `what`.

    ValueError where the shapes differ: that is a fault of the caller, not of the data.
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"{what}: shapes {[array.shape for array in arrays]} are not one column")
    if len(arrays[0]) < 2:
        raise NotMeasurable(what=what, why=f"it takes two test rows, there are {len(arrays[0])}")
    if bad := sum(int(np.sum(~np.isfinite(array))) for array in arrays):
        raise NotMeasurable(what=what, why=f"{bad} values are not finite")
    return arrays
