"""Derived columns of the census table: one pure function each, one registry row."""

import numpy as np

from housing.array_types import Floats
from housing.features.derived import Derived, identity, log_count, log_ratio, ratio
from housing.problems.california.projection import distance, scaled_x

LOWEST_INCOME = 0.01
"""10,000 US dollars a year. A median income of 0 is legal, its logarithm is not: floor it here."""


def log_income(income: Floats) -> Floats:
    """Natural logarithm of an income in 10,000 US dollars, floored at `LOWEST_INCOME`."""
    return np.log(np.maximum(income, LOWEST_INCOME))


def rotated(longitude: Floats, latitude: Floats, degrees: float) -> Floats:
    """Place along an axis that is turned from the east to the north by `degrees`, shape (n,)."""
    angle = np.deg2rad(degrees)
    along: Floats = scaled_x(longitude) * np.cos(angle) + latitude * np.sin(angle)
    return along


def distance_to(longitude: Floats, latitude: Floats, place: float, parallel: float) -> Floats:
    """Distance to a place at longitude `place`, latitude `parallel`; degrees of latitude, (n,)."""
    return distance(longitude, latitude, (place, parallel))


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
"""What neighbours are compared by: the place, then the logarithm of income, then what similar
districts have in common."""

ROW_GROUPS = {"ratios": RATIOS, "rotations": ROTATIONS, "distances": DISTANCES}
"""Groups of derived columns that the spatial families have."""

COMPARED = (COVARIATES[0], COVARIATES[1], COVARIATES[3], *LOGS, *RATIOS)
"""Columns of models that compare rows by their distance: the place, the age, and no raw counts."""
