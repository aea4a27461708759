"""How one model does on one test set: its errors and the interval of the main one.

Comparing two models belongs to `compare`; whether a figure is good enough belongs to the gate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from housing.errors import NotMeasurable
from housing.records import Interval, Metrics

Values = npt.NDArray[np.floating[Any]]

WITHIN = (0.10, 0.20)
"""Relative errors whose shares are reported: `Metrics.within_10` and `within_20`."""


def measure(
    y_true: Values,
    y_pred: Values,
    confidence: float = 0.95,
    cells: npt.NDArray[np.integer[Any]] | None = None,
) -> Metrics:
    """Errors of predictions, both of shape (n,) and in US dollars.

    The interval of the RMSE is the t-interval of the mean squared error, square-rooted (Géron,
    Hands-On Machine Learning, chapter 2); a lower limit below zero reads as zero. It treats rows
    as independent and holds the luck of the test rows only. With location `cells` there are
    clustered intervals of RMSE and MAE beside it. R2 is 0 where the truth is constant.
    NotMeasurable: fewer than two rows, or a value that is not finite.
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
    clustered: dict[str, Interval] = {}
    if cells is not None and len(np.unique(cells)) > 1:
        halved = squared / (2 * rmse) if rmse > 0 else squared
        clustered = {
            "rmse_clustered": _clustered(rmse, halved, cells, confidence),
            "mae_clustered": _clustered(mae, distance, cells, confidence),
        }
    shares = [float(np.mean(distance <= share * np.abs(truth))) for share in WITHIN]
    return Metrics(
        rows=n,
        rmse=Interval(rmse, lower, upper, confidence),
        mae=mae,
        r2=1 - mse / variance if variance > 0 else 0.0,
        within_10=shares[0],
        within_20=shares[1],
        **clustered,
    )


def _clustered(
    value: float, influence: Values, cells: npt.NDArray[np.integer[Any]], confidence: float
) -> Interval:
    """Student's interval of one figure, clustered."""
    found = clustered_se(influence - influence.mean(), cells)
    half = float(stdtrit(found.df, (1 + confidence) / 2)) * found.se
    return Interval(value, max(value - half, 0.0), value + half, confidence)


@dataclass(frozen=True)
class Clustered:
    """A standard error over clusters, and the degrees of freedom of its Student's t."""

    se: float
    clusters: int
    df: float


def clustered_se(influence: Values, cells: npt.NDArray[np.integer[Any]]) -> Clustered:
    """Standard error of a mean whose rows err together within a cell.

    `influence` (n,): how far each row, times n, moves the figure; its sum must be about zero.
    `cells` (n,): small integers from 0. Cells differ in size (a city's hold a hundred rows), so
    what counts is their effective number, 1 / sum of squared shares of the rows: it corrects the
    bias of the sum of squares and gives the degrees of freedom, less one. With cells of one size
    that is their number. With fewer than two cells the error is infinite.
    """
    counts = np.bincount(cells, minlength=1)
    clusters = int(np.count_nonzero(counts))
    if clusters < 2:
        return Clustered(float("inf"), clusters, 0.0)
    n = len(influence)
    effective = float(n) ** 2 / float(counts.astype(np.float64) @ counts)
    sums = np.bincount(cells, weights=influence)
    se = float(np.sqrt(effective / (effective - 1) * (sums @ sums))) / n
    return Clustered(se, clusters, effective - 1)


def count_unusable(y_pred: Values) -> tuple[int, int]:
    """How many predictions are not finite, and how many are finite but not positive."""
    finite = np.isfinite(y_pred)
    return int(np.sum(~finite)), int(np.sum(y_pred[finite] <= 0))


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
