"""Columns computed from other columns of the same row: one pure function each, one registry row.

Belongs here: arithmetic that a row can do on its own. Not here: what is learnt from other rows
(`spatial`), and how a column is imputed, scaled or encoded (`preprocess`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import FunctionTransformer

from housing.features.projection import Floats, distance, scaled_x

LOWEST_INCOME = 0.01
"""10,000 US dollars a year. A median income of 0 is legal, its logarithm is not: floor it here."""


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element by element, shape (n,); NaN where either side is NaN or the denominator is 0."""
    zero = denominator == 0
    quotient = numerator / np.where(zero, 1.0, denominator)
    return np.where(zero, np.nan, quotient)


def log_count(count: Floats) -> Floats:
    """Natural logarithm of a count, shape (n,); a district has at least one of what it counts."""
    return np.log(np.maximum(count, 1.0))


def log_income(income: Floats) -> Floats:
    """Natural logarithm of an income in 10,000 US dollars, floored at `LOWEST_INCOME`."""
    return np.log(np.maximum(income, LOWEST_INCOME))


def log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Natural logarithm of a ratio of counts, shape (n,), each of them at least one."""
    return log_count(numerator) - log_count(denominator)


def identity(values: Floats) -> Floats:
    """The column itself, shape (n,)."""
    return values


def rotated(longitude: Floats, latitude: Floats, degrees: float) -> Floats:
    """Place along an axis that is turned from the east to the north by `degrees`, shape (n,)."""
    angle = np.deg2rad(degrees)
    along: Floats = scaled_x(longitude) * np.cos(angle) + latitude * np.sin(angle)
    return along


def distance_to(longitude: Floats, latitude: Floats, place: float, parallel: float) -> Floats:
    """Distance to a place at longitude `place`, latitude `parallel`; degrees of latitude, (n,)."""
    return distance(longitude, latitude, (place, parallel))


@dataclass(frozen=True)
class Derived:
    """One derived column; the arguments of `function` are `inputs`, in order, then `constants`."""

    name: str
    unit: str
    reason: str
    inputs: tuple[str, ...]
    function: Callable[..., Floats]
    constants: tuple[float, ...] = ()


_SKEWED = "Counts differ by orders of magnitude; a linear model needs them on a log scale"

RATIOS: tuple[Derived, ...] = (
    Derived(
        "bedrooms_per_room", "bedrooms a room",
        "Large houses have few bedrooms for their rooms, and cost more",
        ("total_bedrooms", "total_rooms"), ratio,
    ),
    Derived(
        "rooms_per_house", "rooms a household", "The size of a house rather than of the district",
        ("total_rooms", "households"), ratio,
    ),
    Derived(
        "people_per_house", "people a household", "Crowded houses are cheaper",
        ("population", "households"), ratio,
    ),
)  # fmt: skip

LOGS: tuple[Derived, ...] = (
    Derived("log_bedrooms", "log bedrooms", _SKEWED, ("total_bedrooms",), log_count),
    Derived("log_rooms", "log rooms", _SKEWED, ("total_rooms",), log_count),
    Derived("log_population", "log people", _SKEWED, ("population",), log_count),
    Derived("log_households", "log households", _SKEWED, ("households",), log_count),
    Derived(
        "log_income", "log 10,000 US dollars a year",
        "Prices grow with the logarithm of income more evenly than with income",
        ("median_income",), log_income,
    ),
)  # fmt: skip

_PLACE = ("longitude", "latitude")
_DEGREES = "degrees of latitude"

ROTATIONS: tuple[Derived, ...] = tuple(
    Derived(
        f"along_{degrees}", _DEGREES,
        "Coast and valleys run askew, and a tree cuts only along its columns",
        _PLACE, rotated, (degrees,),
    )
    for degrees in (30, 45, 60, 120, 135, 150)
)  # fmt: skip

CITIES = {
    "los_angeles": (-118.24, 34.05), "san_diego": (-117.16, 32.72), "san_jose": (-121.89, 37.34),
    "san_francisco": (-122.42, 37.77), "fresno": (-119.79, 36.74), "sacramento": (-121.49, 38.58),
}  # fmt: skip
"""Longitude and latitude of the largest cities of the census of 1990, degrees."""

DISTANCES: tuple[Derived, ...] = tuple(
    Derived(
        f"distance_{city}", _DEGREES, "Houses cost more near work",
        _PLACE, distance_to, place,
    )
    for city, place in CITIES.items()
)  # fmt: skip

_BY_NAME = {column.name: column for column in (*RATIOS, *LOGS)}

_LIKENESS = "Similarity covariate"

COVARIATES: tuple[Derived, ...] = (
    Derived("east", _DEGREES, _LIKENESS, ("longitude",), scaled_x),
    Derived("north", _DEGREES, _LIKENESS, ("latitude",), identity),
    _BY_NAME["log_income"],
    Derived("age", "years", _LIKENESS, ("housing_median_age",), identity),
    Derived(
        "log_rooms_per_house", "log rooms a household", _LIKENESS,
        ("total_rooms", "households"), log_ratio,
    ),
    Derived(
        "log_people_per_house", "log people a household", _LIKENESS,
        ("population", "households"), log_ratio,
    ),
    _BY_NAME["bedrooms_per_room"],
    _BY_NAME["log_population"],
)  # fmt: skip
"""What neighbours are compared by: the place, and after it the logarithm of income first."""


def inputs_of(columns: Sequence[Derived]) -> tuple[str, ...]:
    """The table's columns that `columns` read, each once, in order of first use."""
    return tuple(dict.fromkeys(name for column in columns for name in column.inputs))


def compute(values: Floats | pd.DataFrame, columns: Sequence[Derived]) -> Floats:
    """Derive `columns`, shape (n, len(columns)).

    `values` has shape (n, len(inputs_of(columns))), its columns in that order.
    """
    array = np.asarray(values, dtype=np.float64)
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
