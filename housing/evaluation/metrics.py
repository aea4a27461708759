"""Errors of one model on one test set with their intervals, and the losses of each metric."""

import numpy as np
from scipy.special import stdtrit

from housing.array_types import Floats
from housing.errors import NotMeasurable
from housing.evaluation.spatial_se import SpatialCells, Values, spatial_error
from housing.metric import MAE, RMSE, RMSLE, metric_named
from housing.records import Interval, Metrics

WITHIN = (0.10, 0.20)
"""Relative errors whose shares are reported: `Metrics.within_10` and `within_20`."""


def losses(metric: str, y_true: Values, y_pred: Values) -> Floats:
    """The loss of each row, shape (n,): the metric is their mean to its power.

    For the logarithms of RMSLE the target is never negative, and a negative prediction counts as 0.
    """
    if metric == RMSLE:
        y_true, y_pred = np.log1p(y_true), np.log1p(np.maximum(y_pred, 0.0))
    errors: Floats = np.asarray(y_pred - y_true, dtype=np.float64)
    if metric in (RMSE, RMSLE):
        return errors * errors
    if metric == MAE:
        return np.abs(errors)
    quantile = metric_named(metric).quantile
    return np.where(errors < 0, -quantile * errors, (1 - quantile) * errors)


def error_of(y_true: Values, y_pred: Values, metric: str = RMSE) -> float:
    """A model's error by a metric, from columns (n,); ValueError where a prediction is not finite.

    The arguments are in scikit-learn's order: `make_scorer` takes it.
    """
    if not np.isfinite(y_pred).all():
        raise ValueError("a prediction is not finite")
    return float(losses(metric, y_true, y_pred).mean() ** metric_named(metric).power)


def measure(
    y_true: Values,
    y_pred: Values,
    confidence: float = 0.95,
    where: SpatialCells | None = None,
    metric: str = RMSE,
) -> Metrics:
    """Errors of predictions, both of shape (n,) and in the target's unit.

    With `where` the intervals of RMSE, MAE and `metric` allow for correlated neighbours. Without
    it, and in `rmse_independent`, an interval is the t-interval of the mean loss, to the metric's
    power (Géron, Hands-On Machine Learning, chapter 2), which treats rows as independent.
    Both cover only the sampling of test rows; a lower limit below zero reads as zero. R2 is 0 where
    the truth is constant. NotMeasurable: fewer than two rows, or a value that is not finite.
    """
    truth, predicted = finite_columns("the error of a model", y_true, y_pred)
    among = where if where is not None and where.cells > 1 else None

    def interval(name: str, where: SpatialCells | None = among) -> Interval:
        loss, power = losses(name, truth, predicted), metric_named(name).power
        return (
            _independent(loss, power, confidence)
            if where is None
            else (_clustered(loss, power, where, confidence))
        )

    distance = np.abs(predicted - truth)
    variance = float(truth.var())
    shares = [float(np.mean(distance <= share * np.abs(truth))) for share in WITHIN]
    return Metrics(
        rows=len(truth),
        rmse=interval(RMSE),
        mae=float(distance.mean()),
        r2=1 - float(np.square(distance).mean()) / variance if variance > 0 else 0.0,
        within_10=shares[0],
        within_20=shares[1],
        mae_interval=None if among is None else interval(MAE),
        rmse_independent=None if among is None else interval(RMSE, None),
        metric=metric,
        deciding=None if metric == RMSE else interval(metric),
    )


def _independent(loss: Values, power: float, confidence: float) -> Interval:
    """The t-interval of the mean loss (n,), to a power."""
    n, mean = len(loss), float(loss.mean())
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(loss.std(ddof=1)) / n**0.5
    limits = np.maximum([mean, mean - half, mean + half], 0.0) ** power
    value, lower, upper = limits.tolist()
    return Interval(value, lower, upper, confidence)


def _clustered(loss: Values, power: float, where: SpatialCells, confidence: float) -> Interval:
    """Student's interval of the mean loss (n,) to a power, among neighbours: the delta method."""
    mean = float(loss.mean())
    influence = loss * (power * mean ** (power - 1)) if mean > 0 else loss
    found, value = spatial_error(influence - influence.mean(), where), mean**power
    half = float(stdtrit(found.df, (1 + confidence) / 2)) * found.se
    return Interval(value, max(value - half, 0.0), value + half, confidence)


def finite_columns(what: str, *columns: Values) -> list[Floats]:
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
