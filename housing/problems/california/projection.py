"""Distances on a map that is flat around the middle of California."""

import numpy as np
import numpy.typing as npt

from housing.problems.california.table import LOCATION

Floats = npt.NDArray[np.float64]


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
