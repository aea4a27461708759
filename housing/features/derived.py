"""Columns computed from other columns of the same row: one pure function each, one registry row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import FunctionTransformer

from housing.array_types import Floats


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element by element, shape (n,); NaN where either side is NaN or the denominator is 0."""
    zero = denominator == 0
    quotient = numerator / np.where(zero, 1.0, denominator)
    return np.where(zero, np.nan, quotient)


def log_count(count: Floats) -> Floats:
    """Natural logarithm of a count, shape (n,); a row has at least one of what it counts."""
    return np.log(np.maximum(count, 1.0))


def log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Natural logarithm of a ratio of counts, shape (n,), each of them at least one."""
    return log_count(numerator) - log_count(denominator)


def identity(values: Floats) -> Floats:
    """The column itself, shape (n,)."""
    return values


@dataclass(frozen=True)
class Derived:
    """One derived column; the arguments of `function` are `inputs`, in order, then `constants`."""

    name: str
    unit: str
    reason: str
    inputs: tuple[str, ...]
    function: Callable[..., Floats]
    constants: tuple[float, ...] = ()


def inputs_of(columns: Sequence[Derived]) -> tuple[str, ...]:
    """The table's columns that `columns` read, each once, in order of first use."""
    return tuple(dict.fromkeys(name for column in columns for name in column.inputs))


def compute(values: Floats | pd.DataFrame, columns: Sequence[Derived]) -> Floats:
    """Derive `columns`, shape (n, len(columns)).

    `values` has shape (n, len(inputs_of(columns))), its columns in that order.
    """
    return derive(np.asarray(values, dtype=np.float64), columns)


def derive(array: Floats, columns: Sequence[Derived]) -> Floats:
    """`compute` of an array."""
    place = {name: i for i, name in enumerate(inputs_of(columns))}
    derived = [
        c.function(*(array[:, place[name]] for name in c.inputs), *c.constants) for c in columns
    ]
    return np.column_stack(derived)


def _names(_transformer: Any, _inputs: Any, columns: Sequence[Derived]) -> list[str]:
    return [column.name for column in columns]


def transformer(columns: Sequence[Derived]) -> FunctionTransformer:
    """`compute` as a step of a pipeline, with the derived columns' names at its end."""
    return FunctionTransformer(
        compute,
        kw_args={"columns": tuple(columns)},
        feature_names_out=partial(_names, columns=tuple(columns)),
    )
