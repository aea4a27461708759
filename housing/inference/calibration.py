"""Calibration of a model: value ranges, training index and prediction interval.

Computed once from the training and test rows of the model's dataset version, without the store.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from housing import schema
from housing.errors import NotMeasurable
from housing.evaluation.conformal import Conformal, coverage, fit_interval
from housing.inference.columns import NUMBER_FEATURES, Columns, columns_of_frame
from housing.inference.training_index import TrainingIndex, distances, flat
from housing.records import Interval

Floats = npt.NDArray[np.float64]
Predict = Callable[[pd.DataFrame], Any]

NOMINAL = 0.9
"""Nominal coverage of the prediction interval."""

NEARBY = 40
"""Neighbours whose mean out-of-fold residual is the local error of a location."""

FAR_QUANTILE = 0.999
"""A location is far from the training districts if its distance to the nearest one exceeds this
quantile of the training districts' own nearest-neighbour distances."""

MAX_INDEX_ROWS = 200_000
"""Training districts in the index; of more, every k-th."""

BACKGROUND_ROWS = 16
"""Typical rows against which contributions of the features are measured."""

MIN_SLICE_ROWS = 50
"""Test rows from which on a slice's coverage is reported."""


@dataclass(frozen=True)
class SliceCoverage:
    """Share of a slice's test prices inside their interval."""

    column: str
    name: str
    rows: int
    coverage: Interval


@dataclass(frozen=True)
class Calibration:
    """What predictions of a model need beside the model; plain JSON."""

    train_rows: int
    ranges: Mapping[str, tuple[float, float]]  # of each number, on the training side
    seen: Mapping[str, tuple[str, ...]]  # categories that occur there
    typical: Mapping[str, float | str]  # median, or most frequent category
    far_km: float
    background: Mapping[str, tuple[float | int | None, ...]]  # as `columns.Columns`
    interval: Conformal | None  # None without out-of-fold residuals
    no_interval_reason: str
    coverage: Interval | None  # of the interval, on the test rows
    coverage_rows: int
    slices: tuple[SliceCoverage, ...]


@dataclass(frozen=True)
class Rows:
    """Training or test rows: features, prices and predictions."""

    columns: Columns
    actual: Floats
    predicted: Floats | None  # out-of-fold for training rows; NaN where unknown


def rows_of(frame: pd.DataFrame, predicted: Floats | None) -> Rows:
    """From a frame with the target."""
    return Rows(columns_of_frame(frame), frame[schema.TARGET].to_numpy(np.float64), predicted)


def build(train: Rows, test: Rows, *, seed: int = 0) -> tuple[Calibration, TrainingIndex]:
    """The calibration of a model and its index; `train.predicted` is None without residuals."""
    nearby, why = None, "its out-of-fold predictions were not stored"
    keep = np.arange(0, len(train.actual), -(-len(train.actual) // MAX_INDEX_ROWS))
    interval = None
    if train.predicted is not None:
        residual = np.abs(train.actual - train.predicted)
        known = np.flatnonzero(~np.isnan(residual))  # of a large table, those of a sample
        nearby = _nearby(train.columns, residual, np.union1d(keep, known))
        try:
            interval = fit_interval(
                train.actual[known], train.predicted[known], nearby[known],
                group_matrix(train.columns)[known], nominal=NOMINAL,
            )  # fmt: skip
        except NotMeasurable as error:
            why = str(error)
    training_index = TrainingIndex(
        columns={name: values[keep] for name, values in train.columns.items()},
        label=train.actual[keep],
        nearby=None if nearby is None else nearby[keep],
    )
    covered, slices = _coverage(interval, training_index, test)
    calibration = Calibration(
        train_rows=len(train.actual),
        ranges={n: limits for n in NUMBER_FEATURES if (limits := _range(train.columns[n]))},
        seen={name: _seen(name, train.columns[name]) for name in schema.CATEGORIES},
        typical=_typical(train.columns),
        far_km=_far(training_index),
        background=_background(train.columns, seed),
        interval=interval,
        no_interval_reason="" if interval is not None else why,
        coverage=covered,
        coverage_rows=len(test.actual),
        slices=slices,
    )
    return calibration, training_index


def group_matrix(columns: Columns) -> npt.NDArray[np.bool_]:
    """Membership of each row in each slice, shape (n, levels of all slices)."""
    parts = []
    for grouping in schema.SLICES:
        codes = codes_of(grouping, columns)
        parts.append(codes[:, None] == np.arange(len(grouping.names())))
    return np.concatenate(parts, axis=1)


def codes_of(grouping: schema.Bins | schema.Levels, columns: Columns) -> npt.NDArray[Any]:
    """Level of each row in `grouping.names()`, shape (n,)."""
    values = columns[grouping.column]
    if isinstance(grouping, schema.Bins):
        return np.searchsorted(np.asarray(grouping.edges), values, side="left")
    return values


def _nearby(columns: Columns, residual: Floats, rows: npt.NDArray[np.int64]) -> Floats:
    """Mean residual of the neighbours of `rows` without the row itself, shape (n,); NaN elsewhere.

    `residual`, shape (n,), is NaN where it is unknown: such rows are no neighbours.
    """
    xy = flat(*(columns[name] for name in schema.COORDINATES))
    known = np.flatnonzero(~np.isnan(residual))
    count = min(NEARBY, len(known) - 1)
    if count < 1:
        return residual
    _, nearest = cKDTree(xy[known]).query(xy[rows], k=count + 1)
    # Of several districts at one location the tree may return any first: drop the row, or the last.
    own = known[nearest] == rows[:, None]
    own[~own.any(axis=1), -1] = True
    found = np.full(len(xy), np.nan)
    found[rows] = residual[known[nearest[~own]]].reshape(len(rows), count).mean(axis=1)
    return found


def _coverage(
    interval: Conformal | None, training_index: TrainingIndex, test: Rows
) -> tuple[Interval | None, tuple[SliceCoverage, ...]]:
    if interval is None or test.predicted is None or len(test.actual) < 2:
        return None, ()
    groups = group_matrix(test.columns)
    nearest, _ = distances(training_index, test.columns)
    half = interval.half_width(test.predicted, training_index.nearby_at(nearest), groups)
    lower, upper = test.predicted - half, test.predicted + half
    found = []
    for grouping in schema.SLICES:
        codes = codes_of(grouping, test.columns)
        for level, name in enumerate(grouping.names()):
            rows = codes == level
            if rows.sum() >= MIN_SLICE_ROWS:
                inside = coverage(test.actual[rows], lower[rows], upper[rows])
                found.append(SliceCoverage(grouping.column, name, int(rows.sum()), inside))
    return coverage(test.actual, lower, upper), tuple(found)


def _range(values: Floats) -> tuple[float, float] | None:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if len(known) else None


def _seen(name: str, codes: npt.NDArray[Any]) -> tuple[str, ...]:
    present = set(np.unique(codes).tolist())
    return tuple(c for i, c in enumerate(schema.CATALOGUE[name].categories) if i in present)


def _typical(columns: Columns) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for name in schema.FEATURES:
        if name in schema.CATEGORIES:
            most = int(np.argmax(np.bincount(np.maximum(columns[name], 0))))
            found[name] = schema.CATALOGUE[name].categories[most]
        else:
            found[name] = _middle(columns[name], schema.CATALOGUE[name].resolution)
    return found


def _middle(values: Floats, resolution: float | None) -> float:
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0
    return float(np.quantile(known, 0.5, method="nearest" if resolution else "linear"))


def _far(training_index: TrainingIndex) -> float:
    """Kilometres from which on a location is far from the training districts."""
    xy = np.unique(flat(*(training_index.columns[name] for name in schema.COORDINATES)), axis=0)
    if len(xy) < 2:
        return 0.0
    away, _ = cKDTree(xy).query(xy, k=2)
    return float(np.quantile(away[:, 1], FAR_QUANTILE))


def _background(columns: Columns, seed: int) -> dict[str, tuple[float | int | None, ...]]:
    rows = len(columns[schema.FEATURES[0]])
    chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:BACKGROUND_ROWS])
    return {name: _plain(columns[name][chosen].tolist()) for name in schema.FEATURES}


def _plain(values: Sequence[Any]) -> tuple[float | int | None, ...]:
    return tuple(None if value != value else value for value in values)
