"""ONNX forms of fitted transformers, by class.

Derived columns and statistics of neighbours are not repeated here: their NumPy functions are called
with tensors. What depends on a search tree, on scikit-learn or on text has its form here. A problem
with a transformer of its own adds it to `TRANSFORMERS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from housing.features.derived import compute, derive
from housing.features.neighbours import NeighbourStatistics, NeighbourTransformer, SimilarRows
from housing.features.rounding import RoundedColumns
from housing.features.spatial import ClusterSimilarity
from housing.features.statistics import NEAREST
from housing.inference.onnx.graph import DOUBLE, INT64, NoOnnxForm, Tensor, rounded
from housing.store.models.onnx_format import MISSING

Columns = dict[str, Tensor]


def transformed(fitted: Any, values: Any) -> Any:
    """What a fitted transformer makes of a tensor (rows, columns), texts, or the table's columns.

    Raises NoOnnxForm with the name of a class that has no form.
    """
    if isinstance(fitted, str) and fitted == "passthrough":
        return values
    for kind in type(fitted).__mro__:
        if kind in TRANSFORMERS:
            return TRANSFORMERS[kind](fitted, values)
    raise NoOnnxForm(why=f"{type(fitted).__name__} has none")


def _columns(fitted: ColumnTransformer, table: Columns) -> Any:
    if fitted.transformer_weights:
        raise NoOnnxForm(why="a ColumnTransformer with weights has none")
    parts = []
    for _, each, names in fitted.transformers_:
        names = [names] if isinstance(names, str) else list(names)
        if not names or (isinstance(each, str) and each == "drop"):
            continue
        parts.append(transformed(each, _block([table[name] for name in names])))
    found: Any = np.hstack([part for part in parts if part is not None])
    return rounded(found) if isinstance(fitted, RoundedColumns) else found


def _block(columns: list[Tensor]) -> Any:
    """Numbers side by side; categories stay apart."""
    return columns if isinstance(columns[0], Text) else np.hstack(columns)


class Text(Tensor):
    """A column of categories."""


def _chain(fitted: Pipeline, values: Any) -> Any:
    for _, step in fitted.steps:
        values = transformed(step, values)
    return values


def _union(fitted: FeatureUnion, values: Any) -> Any:
    if fitted.transformer_weights:
        raise NoOnnxForm(why="a FeatureUnion with weights has none")
    parts = [
        transformed(each, values)
        for _, each in fitted.transformer_list
        if not (isinstance(each, str) and each == "drop")
    ]
    return np.hstack(parts) if parts else None  # all of its features are left out


def _function(fitted: FunctionTransformer, values: Any) -> Any:
    if fitted.func is compute:
        return derive(values, **(fitted.kw_args or {}))
    if fitted.func is None:
        return values
    return fitted.func(values, **(fitted.kw_args or {}))


def _filled(fitted: SimpleImputer, values: Any) -> Any:
    known = np.asarray(fitted.statistics_)
    gap = fitted.missing_values
    if fitted.add_indicator or gap == gap or known.dtype.kind != "f" or np.isnan(known).any():
        raise NoOnnxForm(why="a SimpleImputer of anything but numbers has none")
    return np.where(np.isnan(values), known, values)


def _standardised(fitted: StandardScaler, values: Any) -> Any:
    mean = 0.0 if fitted.mean_ is None or not fitted.with_mean else fitted.mean_
    scale = 1.0 if fitted.scale_ is None else fitted.scale_
    return (values - mean) / scale


def _between(fitted: MinMaxScaler, values: Any) -> Any:
    if fitted.clip:
        raise NoOnnxForm(why="a MinMaxScaler that clips has none")
    return values * fitted.scale_ + fitted.min_


def _levels(encoder: Any) -> list[list[str]]:
    return [[x if x == x and x is not None else MISSING for x in c] for c in encoder.categories_]


def _one_hot(fitted: OneHotEncoder, values: Any) -> Any:
    if fitted.handle_unknown != "ignore" or fitted.drop is not None or fitted.min_frequency:
        raise NoOnnxForm(why="a OneHotEncoder that drops or joins categories has none")
    return np.hstack(
        [
            _equal(text, level).cast(DOUBLE)
            for text, own in zip(values, _levels(fitted), strict=True)
            for level in own
        ]
    )


def _numbered(fitted: OrdinalEncoder, values: Any) -> Any:
    if fitted.handle_unknown != "use_encoded_value" or fitted.min_frequency:
        raise NoOnnxForm(why="an OrdinalEncoder that refuses or joins categories has none")
    found = []
    for text, levels in zip(values, _levels(fitted), strict=True):
        number: Any = float(fitted.unknown_value)
        for place, level in enumerate(levels):
            number = np.where(_equal(text, level), float(place), number)
        found.append(number)
    return np.hstack(found)


def _equal(text: Tensor, level: str) -> Tensor:
    return text.graph.node("Equal", [text, np.array([level], dtype=object)], text.shape)


def squared_distances(rows: Any, points: Any) -> Any:
    """Of rows (rows, d) to points (m, d): shape (rows, m), summed coordinate by coordinate."""
    total: Any = 0.0
    for axis in range(points.shape[1]):
        away = rows[:, [axis]] - points[:, axis][None, :]
        total = away * away + total
    return total


def smallest(values: Any, count: int) -> tuple[Tensor, Tensor]:
    """The smallest values of each row, ascending, and their columns; of equals, the first."""
    shape = (values.shape[0], count)
    found, index = values.graph.nodes(
        "TopK", [values, np.array([count])], (shape, shape), largest=0, sorted=1
    )
    return found, index


def picked(array: Any, index: Tensor) -> Any:
    """`array[index]`."""
    return index.graph.node("Gather", [array, index], (*index.shape, *array.shape[1:]))


def _neighbours(fitted: NeighbourTransformer, values: Any, k: int) -> tuple[Any, Any, Any]:
    """Standardised rows (rows, d + c), and of their k neighbours the distance and the number;
    `NeighbourTransformer._k_nearest` by brute force."""
    if len(fitted.rows_) < 2:
        raise NoOnnxForm(why="a model of fewer than two distinct training rows has none")
    own: Any = rounded(values)
    p, divisor = fitted.n_coordinates_, fitted.deviation_.copy()
    divisor[0] = 1.0
    own = np.hstack([own[:, :p], (own[:, p:] - fitted.mean_) / divisor])
    wanted = min(k + 1, len(fitted.rows_))
    space = fitted._search_space(fitted.rows_)
    squares, index = smallest(squared_distances(fitted._search_space(own), space), wanted)
    other = np.abs(picked(fitted.rows_, index) - own[:, None]).max(axis=2)
    same = (other == 0.0).cast(DOUBLE)
    itself = wanted - (same * (wanted - np.arange(wanted))).sum(axis=1, keepdims=True)
    column = np.minimum(np.arange(k), wanted - 2).astype(np.float64)
    behind = (column[None, :] >= itself).cast(DOUBLE)
    column = (behind + column).cast(INT64)
    kept = [
        own.graph.node("GatherElements", [each, column], (None, k), axis=1)
        for each in (squares, index)
    ]
    return own, np.sqrt(kept[0]), kept[1]


def _statistics(fitted: NeighbourStatistics, values: Any) -> Any:
    own, distance, index = _neighbours(fitted, values, NEAREST)
    label, theirs = picked(fitted.labels_, index), picked(fitted.rows_, index)
    return fitted.statistics(distance, label, theirs, own)


def _similar(fitted: SimilarRows, values: Any) -> Any:
    _, distance, index = _neighbours(fitted, values, fitted.count)
    return fitted.statistics(distance, picked(fitted.labels_, index))


def _nearest_rows(fitted: KNNImputer, values: Any) -> Any:
    """Gaps filled with the mean of the nearest rows that have the value; distances over what both
    rows have (`sklearn.metrics.pairwise.nan_euclidean_distances`)."""
    if fitted.weights != "uniform" or fitted.metric != "nan_euclidean" or fitted.add_indicator:
        raise NoOnnxForm(why="a KNNImputer with weights or a metric of its own has none")
    known, rows = ~fitted._mask_fit_X, fitted._fit_X
    has = (~np.isnan(values)).cast(DOUBLE)
    value = np.nan_to_num(values)
    total: Any = 0.0
    for axis in range(rows.shape[1]):
        away = value[:, [axis]] - np.nan_to_num(rows[:, axis])[None, :]
        both = has[:, [axis]] * known[:, axis].astype(np.float64)[None, :]
        total = away * away * both + total
    present = has @ known.T.astype(np.float64)
    never = present == 0.0
    distance = np.where(never, np.inf, total * rows.shape[1] / np.where(never, 1.0, present))
    columns: list[Any] = []
    for axis in range(rows.shape[1]):
        donors, own = np.flatnonzero(known[:, axis]), values[:, [axis]]
        filler: Any = 0.0
        if len(donors):
            near, index = smallest(distance[:, donors], min(fitted.n_neighbors, len(donors)))
            counts = (near < np.inf).cast(DOUBLE)
            number = counts.sum(axis=1, keepdims=True)
            total = (picked(rows[donors, axis], index) * counts).sum(axis=1, keepdims=True)
            mean = total / np.maximum(number, 1.0)
            filler = np.where(number == 0.0, rows[donors, axis].mean(), mean)
        columns.append(np.where(np.isnan(own), filler, own))
    return np.hstack(columns)


Form = Callable[[Any, Any], Any]
TRANSFORMERS: dict[type, Form] = {
    ColumnTransformer: _columns,
    Pipeline: _chain,
    FeatureUnion: _union,
    FunctionTransformer: _function,
    SimpleImputer: _filled,
    KNNImputer: _nearest_rows,
    StandardScaler: _standardised,
    MinMaxScaler: _between,
    OneHotEncoder: _one_hot,
    OrdinalEncoder: _numbered,
    SelectFromModel: lambda fitted, values: values[:, np.flatnonzero(fitted.get_support())],
    ClusterSimilarity: lambda fitted, values: np.exp(
        squared_distances(values, fitted.centers_) * -fitted.gamma
    ),
    NeighbourStatistics: _statistics,
    SimilarRows: _similar,
}
