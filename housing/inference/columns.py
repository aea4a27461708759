"""The model's input columns as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.schema import CATALOGUE, CATEGORIES, FEATURES, NUMBERS, dtypes

Columns = dict[str, npt.NDArray[Any]]
"""The features of n rows, one array of shape (n,) each: float64 numbers (NaN where there is
none), int16 positions of categories in their catalogue order."""

NUMBER_FEATURES = tuple(name for name in FEATURES if name in NUMBERS)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows that are valid by the catalogue, as columns."""
    found: Columns = {
        name: np.array([row.get(name) for row in rows], dtype=np.float64)
        for name in NUMBER_FEATURES
    }
    for name in CATEGORIES:
        known = {category: code for code, category in enumerate(CATALOGUE[name].categories)}
        codes = [known.get(str(row.get(name)), -1) for row in rows]
        found[name] = np.array(codes, dtype=np.int16)
    return found


def row_at(columns: Columns, row: int) -> dict[str, Any]:
    """One row of columns as in a request; None where a number is not known."""
    found: dict[str, Any] = {}
    for name in FEATURES:
        value = columns[name][row]
        if name in CATEGORIES:
            found[name] = CATALOGUE[name].categories[int(value)] if value >= 0 else None
        else:
            found[name] = None if np.isnan(value) else float(value)
    return found


def frame_of(columns: Columns) -> pd.DataFrame:
    """Columns as the frame that a model was fitted on: `schema.FEATURES` in their order."""
    kinds: Any = dtypes(FEATURES)
    return pd.DataFrame(
        {
            name: pd.Categorical.from_codes(columns[name], dtype=kinds[name])
            if name in CATEGORIES
            else columns[name]
            for name in FEATURES
        },
        copy=False,
    )


def columns_of_frame(frame: pd.DataFrame) -> Columns:
    """A validated frame as columns; the inverse of `frame_of`."""
    found: Columns = {name: frame[name].to_numpy(dtype=np.float64) for name in NUMBER_FEATURES}
    kinds: Any = dtypes(CATEGORIES)
    for name in CATEGORIES:
        found[name] = np.asarray(frame[name].astype(kinds[name]).cat.codes, dtype=np.int16)
    return found
