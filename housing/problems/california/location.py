"""Where districts lie: degrees, on a map that is flat around the middle of California."""

import numpy as np
import numpy.typing as npt

from housing.problem import Location

Floats = npt.NDArray[np.float64]

LOCATION = Location(("longitude", "latitude"), cell=0.1, middle_latitude=37.0)
"""Errors are correlated over 2 to 24 sides of a cell; over how many is chosen from the data."""


def scaled_x(longitude: Floats, ratio: float = LOCATION.ratio) -> Floats:
    """Longitude in degrees of latitude, shape (n,): one step is as far as one to the north."""
    shrunk: Floats = longitude * ratio
    return shrunk


def plane(longitude: Floats, latitude: Floats, ratio: float = LOCATION.ratio) -> Floats:
    """East and north in degrees of latitude, shape (n, 2)."""
    return np.column_stack([scaled_x(longitude, ratio), latitude])


def distance(
    longitude: Floats, latitude: Floats, to: tuple[float, float], ratio: float = LOCATION.ratio
) -> Floats:
    """Distance to the point `to` (longitude, latitude) in degrees of latitude, shape (n,)."""
    return np.hypot(scaled_x(longitude - to[0], ratio), latitude - to[1])
