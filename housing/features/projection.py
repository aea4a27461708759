"""A flat map: degrees east as degrees north, exact to a few per cent over a state.

Good enough to separate near from far. Not here: the use of a distance.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KM_PER_DEGREE = 111.2
"""Length of a degree of latitude."""

MIDDLE_LATITUDE = 37.0
"""Degrees; the parallel on which a degree of longitude is measured for the whole table."""

EAST_RATIO = float(np.cos(np.deg2rad(MIDDLE_LATITUDE)))
"""Length of a degree of longitude against one of latitude on that parallel."""


def scaled_x(longitude: Floats, ratio: float = EAST_RATIO) -> Floats:
    """Longitude in degrees of latitude, shape (n,): one step is as far as one to the north."""
    shrunk: Floats = longitude * ratio
    return shrunk


def plane(longitude: Floats, latitude: Floats, ratio: float = EAST_RATIO) -> Floats:
    """East and north in degrees of latitude, shape (n, 2)."""
    return np.column_stack([scaled_x(longitude, ratio), latitude])


def distance(
    longitude: Floats, latitude: Floats, to: tuple[float, float], ratio: float = EAST_RATIO
) -> Floats:
    """Distance to the point `to` (longitude, latitude) in degrees of latitude, shape (n,)."""
    return np.hypot(scaled_x(longitude - to[0], ratio), latitude - to[1])
