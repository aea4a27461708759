"""The change of the error from one model to another on the same rows, with its uncertainty.

Everything is paired: rows that are hard for both models cancel out. No threshold and no decision.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from housing.array_types import Mask
from housing.errors import NotMeasurable
from housing.evaluation.metrics import finite_columns, losses
from housing.evaluation.spatial_se import Cells, SpatialCells, Values, spatial_error
from housing.metric import RMSE, metric_named
from housing.records import Comparison, Interval

_WHAT = "the change of the error"

HALVES = 2000
"""Random halves of the locations: the level of a bound is then its nominal one to 0.5 %."""

LEAST_BLOCKS = 30
"""Fewer blocks than these are too few to halve at random."""


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """Truth, predictions of two models for the same rows, and where those lie; shape (n,)."""

    actual: Values
    champion: Values
    challenger: Values
    where: SpatialCells

    def of(self, rows: Mask) -> "PairedPredictions":
        """The same for some of the rows."""
        return PairedPredictions(
            self.actual[rows], self.champion[rows], self.challenger[rows], self.where.of(rows)
        )


def paired(
    y: Values, champion_pred: Values, challenger_pred: Values, where: SpatialCells
) -> PairedPredictions:
    """The predictions of both models; NotMeasurable: under two rows, or a value not finite."""
    if len(where.codes) != len(y):
        raise ValueError(f"{len(y)} rows have {len(where.codes)} locations")
    truth, champion, challenger = finite_columns(_WHAT, y, champion_pred, challenger_pred)
    return PairedPredictions(truth, champion, challenger, where)


def compare(
    y: Values,
    champion_pred: Values,
    challenger_pred: Values,
    where: SpatialCells,
    metric: str = RMSE,
    *,
    confidence: float,
) -> Comparison:
    """Relative change of the error, challenger against champion; see `compare_pair`."""
    pair = paired(y, champion_pred, challenger_pred, where)
    return compare_pair(pair, metric, confidence=confidence)


def compare_pair(pair: PairedPredictions, metric: str = RMSE, *, confidence: float) -> Comparison:
    """Relative change of the error by a metric (`housing.metric`).

    The standard errors come from the delta method on the paired losses: with a the challenger's,
    b the champion's, and r = (mean a / mean b) ** p, row i moves r by
    p r (a_i / mean a - b_i / mean b) / n; p is the metric's power. The one that decides allows
    for correlated errors of neighbouring rows (`spatial_error`).
    NotMeasurable: fewer than two rows or two cells, a champion without error.
    """
    n, power = len(pair.actual), metric_named(metric).power
    if n < 2:
        raise NotMeasurable(what=_WHAT, why=f"it takes two test rows, there are {n}")
    ours, theirs = (losses(metric, pair.actual, side) for side in (pair.challenger, pair.champion))
    our_mean, their_mean = float(ours.mean()), float(theirs.mean())
    if their_mean == 0:
        raise NotMeasurable(what=_WHAT, why="the model compared with makes no error at all")
    ratio = (our_mean / their_mean) ** power
    # A challenger without any error stays so on every resample: its rows move nothing.
    influence, weights = np.zeros(n), np.ones(n)
    if our_mean > 0:
        ours, theirs = ours / our_mean, theirs / their_mean
        influence, weights = (power * ratio) * (ours - theirs), ours + theirs
    spatial = spatial_error(influence, pair.where, weights)
    if spatial.cells < 2:
        raise NotMeasurable(what=_WHAT, why="all test rows lie in one location cell")
    se_independent = float(np.sqrt(influence @ influence / (n * (n - 1))))
    two_sided, one_sided = stdtrit(spatial.df, [(1 + confidence) / 2, confidence]).tolist()
    effect, se = ratio - 1, spatial.se
    return Comparison(
        rows=n,
        clusters=spatial.cells,
        effect=effect,
        se=se,
        se_independent=se_independent,
        interval=Interval(effect, effect - two_sided * se, effect + two_sided * se, confidence),
        upper=effect + one_sided * se,
        df=spatial.df,
        bandwidth=spatial.bandwidth,
        metric=metric,
    )


def compare_by_halves(
    y: Values,
    other_pred: Values,
    challenger_pred: Values,
    where: SpatialCells,
    metric: str = RMSE,
    *,
    confidence: float,
) -> Comparison:
    """Relative change of the error against a model whose errors may be wild; shapes (n,).

    The limits are quantiles of the change over random halves of the locations (typical values,
    Hartigan, 1969; randomisation over clusters, Canay, Romano and Shaikh, 2017). On each half, a
    larger error of the other model makes the change smaller; so no error of it, however large,
    ever raises the upper bound, as it would raise a standard error. Blocks of several sides are
    halved, and the most cautious limits count. Of the other model, an error counts up to the range
    of `y`, and so does a prediction that is not finite. NotMeasurable: as `compare`.
    """
    truth, challenger = finite_columns(_WHAT, y, challenger_pred)
    theirs = losses(metric, truth, truth + bounded_errors(truth, other_pred, metric))
    ours, power = losses(metric, truth, challenger), metric_named(metric).power
    if where.cells < 2:
        raise NotMeasurable(what=_WHAT, why="all test rows lie in one location cell")
    if not theirs.any():
        raise NotMeasurable(what=_WHAT, why="the model compared with makes no error at all")
    probabilities = [(1 - confidence) / 2, (1 + confidence) / 2, confidence]
    found = [_halved(ours, theirs, codes, power, probabilities) for codes in _blocks(where)]
    limits, se = np.array([limits for limits, _ in found]), max(se for _, se in found)
    effect = float((ours.mean() / theirs.mean()) ** power) - 1
    lower, upper_two_sided = float(limits[:, 0].min()), float(limits[:, 1].max())
    return Comparison(
        rows=len(truth),
        clusters=where.cells,
        effect=effect,
        se=se,
        se_independent=se,
        interval=Interval(effect, lower, upper_two_sided, confidence),
        upper=float(limits[:, 2].max()),
        metric=metric,
    )


def bounded_errors(actual: Values, predicted: Values, metric: str = RMSE) -> Values:
    """Prediction less truth within +- the range of the truth; no number counts as the range, to
    the side that costs more by the metric."""
    errors = np.asarray(predicted, dtype=np.float64) - actual
    most = float(np.ptp(actual))
    above, below = (losses(metric, actual, actual + side) for side in (most, -most))
    worst = np.where(above >= below, most, -most)
    return np.clip(np.where(np.isnan(errors), worst, errors), -most, most)


def _blocks(where: SpatialCells) -> Iterator[Cells]:
    """The block of each row (n,), by sides of several cells, where there are enough blocks."""
    merges = {id(kernel.merge): kernel.merge for kernel in where.kernels}
    for number, merge in enumerate(merges.values()):
        codes = np.unique(merge.tocsc().indices[where.codes], return_inverse=True)[1]
        if number == 0 or codes.max() + 1 >= LEAST_BLOCKS:
            yield codes


def _halved(
    ours: Values, theirs: Values, codes: Cells, power: float, probabilities: Sequence[float]
) -> tuple[Values, float]:
    """Quantiles of the change of the error over random halves of the blocks, and its spread.

    Both losses and `codes` have shape (n,). A half without a block, and one on which the other
    model makes no error, counts as the worst there is.
    """
    sums = np.column_stack([np.bincount(codes, weights=loss) for loss in (ours, theirs)])
    halves = np.random.default_rng(0).integers(0, 2, (HALVES, len(sums)), dtype=np.int8)
    our_sum, their_sum = (halves.astype(np.float64) @ sums).T
    known = their_sum > 0
    change = (our_sum[known] / their_sum[known]) ** power - 1
    filled = np.full(HALVES, change.max())
    filled[known] = change
    return np.quantile(filled, probabilities, method="higher"), float(change.std())


def compare_groups(
    y: Values,
    predicted: Values,
    rows: Mask,
    where: SpatialCells,
    metric: str = RMSE,
    *,
    confidence: float,
) -> Interval:
    """How far one model's error on some rows lies from that on the others, relative to these.

    Columns of shape (n,). By the delta method on the logarithm of the ratio, among neighbours.
    NotMeasurable: fewer than two rows on a side, no error on one, a single cell.
    """
    what = "one model's error on two groups of rows"
    counts = int(rows.sum()), int((~rows).sum())
    if min(counts) < 2:
        raise NotMeasurable(what=what, why=f"the groups have {counts[0]} and {counts[1]} rows")
    loss, power = losses(metric, y, predicted), metric_named(metric).power
    means = float(loss[rows].mean()), float(loss[~rows].mean())
    if min(means) == 0:
        raise NotMeasurable(what=what, why="there is no error at all in one of them")
    influence = np.where(
        rows,
        (loss / means[0] - 1) * power / counts[0],
        -(loss / means[1] - 1) * power / counts[1],
    )
    spatial = spatial_error(influence * len(loss), where)
    if spatial.cells < 2:
        raise NotMeasurable(what=what, why="all rows lie in one location cell")
    middle = power * np.log(means[0] / means[1])
    half = stdtrit(spatial.df, (1 + confidence) / 2) * spatial.se
    value, lower, upper = np.expm1([middle, middle - half, middle + half]).tolist()
    return Interval(value, lower, upper, confidence)


def regression_p_value(comparison: Comparison, margin: float) -> float:
    """Probability of an effect this large if the true one is `margin`; one-sided."""
    beyond = comparison.effect - margin
    if comparison.se == 0:
        return 0.0 if beyond > 0 else 1.0
    return float(stdtr(comparison.degrees, -beyond / comparison.se))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted to control the family-wise error rate (Holm, 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()
