"""A fitted preprocessing step as functions of plain arrays: the same features without frames.

A transformer's class decides, not the name of its step.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from housing import schema
from housing.array_types import Floats, Integers
from housing.features.derived import compute
from housing.features.neighbours import NeighbourTransformer
from housing.features.rounding import RoundedColumns, to_float32
from housing.features.spatial import ClusterSimilarity

Function = Callable[[Any], Any]

NUMBERS = tuple(name for name in schema.FEATURES if name in schema.NUMBERS)
CATEGORIES = schema.CATEGORIES
NO_CATEGORY = -1
"""Code of a missing category."""


@dataclass(frozen=True, eq=False)
class FeatureBlock:
    """Features that are computed from some columns, all numbers or all categories."""

    indices: Integers  # of the columns, in NUMBERS or CATEGORIES
    categories: bool
    function: Function


@dataclass(frozen=True, eq=False)
class ArrayFeatures:
    """A fitted ColumnTransformer on plain arrays, block by block, and the steps after it."""

    blocks: tuple[FeatureBlock, ...]
    after: Function

    @classmethod
    def of(cls, steps: Any) -> "ArrayFeatures | None":
        """Read the fitted steps of a pipeline before its model; None for what is not known here."""
        try:
            first, *others = [step for _, step in steps.steps]
            if not isinstance(first, ColumnTransformer):
                return None
            rounding = [to_float32] * isinstance(first, RoundedColumns)
            after = _chain([*rounding, *(_function(step, ()) for step in others)])
            return cls(tuple(_blocks(first)), after)
        except _Unsupported:
            return None

    def compute(self, numbers: Floats, categories: Floats) -> Floats:
        """Features, shape (n, features), of numbers (n, NUMBERS) and codes (n, CATEGORIES)."""
        found = [
            block.function((categories if block.categories else numbers)[:, block.indices])
            for block in self.blocks
        ]
        features: Floats = self.after(np.hstack(found))
        return features


class _Unsupported(Exception):
    """A transformer that can only compute on frames."""


def _blocks(columns: ColumnTransformer) -> Iterator[FeatureBlock]:
    if columns.transformer_weights:
        raise _Unsupported
    for _, transformer, names in columns.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        names = [names] if isinstance(names, str) else list(names)
        if not names:
            continue
        for known, categorical in ((NUMBERS, False), (CATEGORIES, True)):
            if set(names) <= set(known):
                indices = np.array([known.index(name) for name in names], dtype=np.int64)
                yield FeatureBlock(indices, categorical, _function(transformer, names))
                break
        else:
            raise _Unsupported


def _function(transformer: Any, names: Sequence[str]) -> Function:
    """What a fitted transformer does to an array, whose columns have these names if it is first."""
    if isinstance(transformer, str) and transformer == "passthrough":
        return _chain([])
    for kind, read in _KINDS.items():
        if isinstance(transformer, kind):
            return read(transformer, names)
    raise _Unsupported


def _chain(functions: list[Function]) -> Function:
    def all_of_them(values: Any) -> Any:
        for function in functions:
            values = function(values)
        return values

    return all_of_them


def _derived(transformer: FunctionTransformer, _: Sequence[str]) -> Function:
    if transformer.func is None:
        return _chain([])
    if transformer.func is not compute:
        raise _Unsupported
    return partial(compute, columns=transformer.kw_args["columns"])


def _filled(imputer: SimpleImputer, _: Sequence[str]) -> Function:
    values = np.asarray(imputer.statistics_)
    if imputer.add_indicator or imputer.missing_values == imputer.missing_values:
        raise _Unsupported
    if values.dtype.kind != "f" or np.isnan(values).any():
        raise _Unsupported
    return lambda rows: np.where(np.isnan(rows), values, rows)


def _scaled(scaler: StandardScaler, _: Sequence[str]) -> Function:
    mean = 0.0 if scaler.mean_ is None or not scaler.with_mean else scaler.mean_
    scale = 1.0 if scaler.scale_ is None else scaler.scale_
    return lambda rows: (rows - mean) / scale


def _without_names(fitted: Any, _: Sequence[str]) -> Function:
    """Scikit-learn's own `transform`, which warns of an array where it was fitted on a frame."""
    plain = copy(fitted)
    vars(plain).pop("feature_names_in_", None)
    transform: Function = plain.transform
    return transform


def _levels(encoder: Any, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """What an encoder knows of each column: numbers, or positions in the catalogue."""
    found = []
    for name, levels in zip(names, encoder.categories_, strict=True):
        codes = {text: code for code, text in enumerate(schema.CATALOGUE[name].categories)}
        known = [level for level in levels if level == level]  # a gap is a level of its own
        if name in CATEGORIES and not set(known) <= codes.keys():
            raise _Unsupported
        found.append(np.array([codes.get(x, x) if x == x else NO_CATEGORY for x in levels]))
    return found


def _hot(encoder: OneHotEncoder, names: Sequence[str]) -> Function:
    if encoder.handle_unknown != "ignore" or encoder.drop is not None or encoder.min_frequency:
        raise _Unsupported
    levels = _levels(encoder, names)
    return lambda rows: np.hstack(
        [(rows[:, [i]] == each).astype(np.float64) for i, each in enumerate(levels)]
    )


def _numbered(encoder: OrdinalEncoder, names: Sequence[str]) -> Function:
    if encoder.handle_unknown != "use_encoded_value" or encoder.min_frequency:
        raise _Unsupported
    levels = _levels(encoder, names)

    def numbered(rows: Floats) -> Floats:
        found = np.full(rows.shape, float(encoder.unknown_value))
        for column, each in enumerate(levels):
            for number, level in enumerate(each):
                found[rows[:, column] == level, column] = number
        return found

    return numbered


def _side_by_side(union: FeatureUnion, names: Sequence[str]) -> Function:
    if union.transformer_weights:
        raise _Unsupported
    functions = [
        _function(each, names)
        for _, each in union.transformer_list
        if not (isinstance(each, str) and each == "drop")
    ]
    return lambda rows: np.hstack([np.empty((len(rows), 0)), *(f(rows) for f in functions)])


_KINDS: dict[type, Callable[[Any, Sequence[str]], Function]] = {
    FunctionTransformer: _derived,
    SimpleImputer: _filled,
    StandardScaler: _scaled,
    KNNImputer: _without_names,
    MinMaxScaler: _without_names,
    OneHotEncoder: _hot,
    OrdinalEncoder: _numbered,
    ClusterSimilarity: lambda fitted, _: fitted.similarities,
    NeighbourTransformer: lambda fitted, _: fitted.neighbour_features,
    Pipeline: lambda fitted, names: _chain([_function(step, names) for _, step in fitted.steps]),
    FeatureUnion: _side_by_side,
}
