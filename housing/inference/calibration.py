"""Calibration of a model: value ranges, training index and prediction interval.

Computed once from the training and test rows of the model's dataset version, without the store.
Without a location all rows are at one point: the training index has one row, no row is far from it,
and the residual nearby is that of all rows. The interval then grows with the value and by slice
alone; its coverage is nominal all the same, as conformal prediction promises it for any scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from housing import problem, schema
from housing.array_types import Floats, Integers, Mask
from housing.errors import NotMeasurable
from housing.evaluation.conformal import Conformal, coverage, fit_interval
from housing.inference.columns import NUMBER_FEATURES, Columns, columns_of_frame
from housing.inference.training_index import TrainingIndex, distances, positions
from housing.records import Interval

NOMINAL = 0.9
"""Nominal coverage of the prediction interval."""

NEARBY = 40
"""Neighbours whose mean out-of-fold residual is the local error of a location."""

FAR_QUANTILE = 0.999
"""A location is far from the training rows if its distance to the nearest one exceeds this
quantile of the training rows' own nearest-neighbour distances."""

MAX_INDEX_ROWS = 200_000
"""Training rows in the index; of more, every k-th."""

BACKGROUND_ROWS = 16
"""Typical rows against which contributions of the features are measured."""

MIN_SLICE_ROWS = 50
"""Test rows from which on a slice's coverage is reported."""


@dataclass(frozen=True)
class SliceCoverage:
    """Share of a slice's test values inside their interval."""

    column: str
    name: str
    rows: int
    coverage: Interval


@dataclass(frozen=True)
class Calibration:
    """What a prediction needs besides the model; plain JSON."""

    train_rows: int
    ranges: Mapping[str, tuple[float, float]]  # of each number, on the training side
    seen: Mapping[str, tuple[str, ...]]  # categories that occur there
    typical: Mapping[str, float | str]  # median, or most frequent category
    value_range: tuple[float, float]  # the middle 96 % of the target's values
    far: float  # distance from which on a location is far from the training rows
    background: Mapping[str, tuple[float | int | None, ...]]  # as `columns.Columns`
    interval: Conformal | None  # None without out-of-fold residuals
    no_interval_reason: str
    coverage: Interval | None  # of the interval, on the test rows
    coverage_rows: int
    slices: tuple[SliceCoverage, ...]


def build(
    train: pd.DataFrame,
    out_of_fold: Floats | None,
    test: pd.DataFrame,
    predicted: Floats | None,
    *,
    seed: int = 0,
) -> tuple[Calibration, TrainingIndex]:
    """The calibration of a model and its index, from frames with the target.

    `out_of_fold` has the predictions of the training rows, NaN where unknown; `predicted` those of
    the test rows. Without the former there is no interval, without the latter no coverage.
    """
    columns = columns_of_frame(train)
    actual = train[schema.TARGET].to_numpy(np.float64)
    rows = len(train) if schema.LOCATION else 1
    keep = np.arange(0, rows, -(-rows // MAX_INDEX_ROWS))
    nearby, interval, reason = None, None, "its out-of-fold predictions were not stored"
    if out_of_fold is not None:
        residual = np.abs(actual - out_of_fold)
        known = np.flatnonzero(~np.isnan(residual))  # of a large table, those of a sample
        nearby = _nearby(columns, residual, np.union1d(keep, known))
        try:
            interval = fit_interval(
                actual[known], out_of_fold[known], nearby[known],
                group_matrix(columns)[known], nominal=NOMINAL,
            )  # fmt: skip
        except NotMeasurable as error:
            reason = str(error)
    index = TrainingIndex(
        columns={name: values[keep] for name, values in columns.items()},
        values=actual[keep],
        nearby=None if nearby is None else nearby[keep],
    )
    covered, slices = _coverage(interval, index, test, predicted)
    shuffled = np.random.default_rng(seed).permutation(len(train))
    background = np.sort(shuffled[:BACKGROUND_ROWS])
    numbers = train[list(NUMBER_FEATURES)].dropna(axis=1, how="all")
    calibration = Calibration(
        train_rows=len(train),
        ranges={str(name): (float(x.min()), float(x.max())) for name, x in numbers.items()},
        seen={
            name: tuple(c for c in schema.CATALOGUE[name].categories if (train[name] == c).any())
            for name in schema.CATEGORIES
        },
        typical={name: _typical(train[name]) for name in schema.FEATURES},
        value_range=tuple(np.quantile(actual, (0.02, 0.98)).tolist()),
        far=_far(index),
        background={
            name: tuple(None if v != v else v for v in columns[name][background].tolist())
            for name in schema.FEATURES
        },
        interval=interval,
        no_interval_reason="" if interval is not None else reason,
        coverage=covered,
        coverage_rows=len(test),
        slices=slices,
    )
    return calibration, index


def group_matrix(columns: Columns) -> Mask:
    """Membership of each row in each slice, shape (n, levels of all slices)."""
    parts = [np.zeros((len(columns[schema.FEATURES[0]]), 0), dtype=np.bool_)]
    for grouping in schema.TABLE.slices:
        codes = codes_of(grouping, columns)
        parts.append(codes[:, None] == np.arange(len(grouping.names())))
    return np.concatenate(parts, axis=1)


def codes_of(grouping: problem.Bins | problem.Levels, columns: Columns) -> npt.NDArray[Any]:
    """Level of each row in `grouping.names()`, shape (n,); -1 for a category that is none."""
    values = columns[grouping.column]
    if isinstance(grouping, problem.Bins):
        return np.searchsorted(np.asarray(grouping.edges), values, side="left")
    levels = {name: level for level, name in enumerate(grouping.names())}
    categories = schema.CATALOGUE[grouping.column].categories
    return np.array([*(levels.get(name, -1) for name in categories), -1])[values]


def _nearby(columns: Columns, residual: Floats, rows: Integers) -> Floats:
    """Mean residual of the neighbours of `rows` without the row itself, shape (n,); NaN elsewhere.

    `residual`, shape (n,), is NaN where it is unknown: such rows are no neighbours. Without a
    location it is the mean of all.
    """
    known = np.flatnonzero(~np.isnan(residual))
    count = min(NEARBY, len(known) - 1)
    if count < 1:
        return residual
    if schema.LOCATION is None:
        return np.full(len(residual), residual[known].mean())
    xy = positions(columns)
    _, nearest = cKDTree(xy[known]).query(xy[rows], k=count + 1)
    # Of several rows at one location the tree may return any first: drop the row, or the last.
    own = known[nearest] == rows[:, None]
    own[~own.any(axis=1), -1] = True
    found = np.full(len(xy), np.nan)
    found[rows] = residual[known[nearest[~own]]].reshape(len(rows), count).mean(axis=1)
    return found


def _coverage(
    interval: Conformal | None, index: TrainingIndex, test: pd.DataFrame, predicted: Floats | None
) -> tuple[Interval | None, tuple[SliceCoverage, ...]]:
    if interval is None or predicted is None or len(test) < 2:
        return None, ()
    columns, actual = columns_of_frame(test), test[schema.TARGET].to_numpy(np.float64)
    nearest, _ = distances(index, columns)
    half = interval.half_width(predicted, index.nearby_at(nearest), group_matrix(columns))
    lower, upper = (schema.in_range(predicted + sign * half) for sign in (-1, 1))
    slices = []
    for grouping in schema.TABLE.slices:
        codes = codes_of(grouping, columns)
        for level, name in enumerate(grouping.names()):
            rows = codes == level
            if rows.sum() >= MIN_SLICE_ROWS:
                inside = coverage(actual[rows], lower[rows], upper[rows])
                slices.append(SliceCoverage(grouping.column, name, int(rows.sum()), inside))
    return coverage(actual, lower, upper), tuple(slices)


def _typical(values: "pd.Series[Any]") -> float | str:
    """The most frequent category, the first without any; the median of numbers, 0 without any."""
    column = schema.CATALOGUE[str(values.name)]
    if column.name in schema.CATEGORIES:
        return str(next(iter(values.mode()), column.categories[0]))
    median = values.quantile(0.5, interpolation="nearest" if column.resolution else "linear")
    return 0.0 if np.isnan(median) else float(median)


def _far(index: TrainingIndex) -> float:
    """Distance from which on a location is far from the training rows; 0 without a location."""
    xy = np.unique(positions(index.columns), axis=0)
    if len(xy) < 2:
        return 0.0
    away, _ = cKDTree(xy).query(xy, k=2)
    return float(np.quantile(away[:, 1], FAR_QUANTILE))
