"""A table's profile: a few statistics a column, small enough for SQL; batches are judged by it."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from housing.schema import CATEGORIES, NUMBERS


def profile_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Facts per catalogue column of a validated table; plain JSON, no NaN in it.

    Number columns: min, q25, median, q75, max, mean in the column's unit, None where there is no
    value. Category columns: counts, one for each catalogue category. Both: missing, the share of
    rows (0 to 1) without a value.
    """
    numbers = {name: _number(frame[name]) for name in NUMBERS}
    categories = {
        name: {"counts": _counts(frame[name]), "missing": _missing(frame[name])}
        for name in CATEGORIES
    }
    return numbers | categories


def _number(column: pd.Series) -> dict[str, float | None]:
    values = column.to_numpy(dtype=np.float64)
    values = values[~np.isnan(values)]
    names = ("min", "q25", "median", "q75", "max")
    if not len(values):
        return dict.fromkeys((*names, "mean"), None) | {"missing": _missing(column)}
    quantiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    # fsum: the mean must not depend on the order in which the rows are stored.
    mean = math.fsum(values.tolist()) / len(values)
    return dict(zip(names, quantiles, strict=True)) | {"mean": mean, "missing": _missing(column)}


def _counts(column: pd.Series) -> dict[str, int]:
    counts = column.value_counts(sort=False)
    return {str(category): int(counts[category]) for category in column.cat.categories}


def _missing(column: pd.Series) -> float:
    return float(column.isna().mean()) if len(column) else 0.0


def unit_slip(before: Iterable[float], now: Iterable[float], near: float) -> int:
    """The power of ten by which all quartiles are off, within `near` decimal orders; 0 for none."""
    ratios = [b / a if a else 0.0 for a, b in zip(before, now, strict=True)]
    if not min(ratios) > 0:  # nor where a column is empty
        return 0
    orders = [math.log10(ratio) for ratio in ratios]
    power = round(orders[1])
    return power if all(abs(order - power) <= near for order in orders) else 0
