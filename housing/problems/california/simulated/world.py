"""The invented California of the simulator: its coast, its cities, smooth fields on it.

Round figures from an atlas, not fitted to any table of prices. Districts and their prices
belong in `districts`.
"""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from housing.problems.california.projection import Floats, distance, plane, scaled_x

Mask = npt.NDArray[np.bool_]

SHRINK = 0.8
"""Length of a degree of longitude against one of latitude in the invented state."""

COAST = np.array([
    (-124.20, 42.00), (-124.15, 41.75), (-124.10, 41.00), (-124.25, 40.70), (-124.40, 40.44),
    (-124.05, 40.05), (-123.82, 39.44), (-123.72, 38.95), (-123.05, 38.30), (-122.75, 37.93),
    (-122.53, 37.80), (-122.50, 37.50), (-122.40, 37.15), (-122.03, 36.95), (-121.81, 36.78),
    (-121.95, 36.60), (-121.65, 36.10), (-121.30, 35.67), (-120.87, 35.37), (-120.65, 35.00),
    (-120.60, 34.60), (-120.47, 34.45), (-119.70, 34.40), (-119.28, 34.27), (-118.80, 34.01),
    (-118.50, 34.02), (-118.40, 33.75), (-118.19, 33.76), (-117.93, 33.61), (-117.70, 33.46),
    (-117.39, 33.19), (-117.27, 32.85), (-117.12, 32.54),
])  # fmt: skip
"""Degrees east and north, from the Oregon border to Mexico, a point about every 60 km."""

_LAND_BORDER = np.array([(-114.72, 32.72), (-114.14, 34.30), (-114.63, 35.00), (-120.00, 39.00),
                         (-120.00, 42.00)])  # fmt: skip

BAY = np.array([(-122.45, 37.95), (-122.30, 37.80), (-122.20, 37.60), (-122.05, 37.48)])
"""The shore of San Francisco Bay, north to south."""

ISLAND = (-118.33, 33.35)


class City(NamedTuple):
    """A centre around which districts lie."""

    longitude: float
    latitude: float
    spread: float  # degrees; how far its districts lie from it
    share: float  # of the districts, before the sea takes its part
    level: float  # what living there adds to the logarithm of a price


CITIES: tuple[City, ...] = (
    City(-118.27, 34.02, 0.13, 0.165, 0.22),  # Los Angeles
    City(-118.42, 34.19, 0.10, 0.070, 0.20),  # San Fernando Valley
    City(-118.05, 33.98, 0.12, 0.075, 0.10),  # east Los Angeles
    City(-118.15, 33.84, 0.07, 0.045, 0.15),  # Long Beach
    City(-117.90, 33.76, 0.13, 0.080, 0.20),  # Orange County
    City(-117.12, 32.80, 0.13, 0.080, 0.10),  # San Diego
    City(-117.35, 34.02, 0.22, 0.055, -0.15),  # Riverside and San Bernardino
    City(-122.43, 37.75, 0.04, 0.040, 0.45),  # San Francisco
    City(-122.22, 37.80, 0.08, 0.055, 0.15),  # Oakland
    City(-122.30, 37.53, 0.08, 0.030, 0.40),  # the Peninsula
    City(-121.92, 37.32, 0.10, 0.060, 0.30),  # San Jose
    City(-121.95, 37.93, 0.13, 0.030, 0.05),  # Concord
    City(-121.40, 38.58, 0.16, 0.055, -0.15),  # Sacramento
    City(-121.25, 37.85, 0.20, 0.025, -0.20),  # Stockton and Modesto
    City(-119.78, 36.78, 0.18, 0.035, -0.30),  # Fresno
    City(-119.03, 35.38, 0.18, 0.025, -0.30),  # Bakersfield
    City(-119.20, 34.22, 0.12, 0.025, 0.15),  # Ventura
    City(-119.75, 34.43, 0.12, 0.015, 0.35),  # Santa Barbara
    City(-121.90, 36.75, 0.18, 0.020, 0.15),  # Santa Cruz and Monterey
    City(-122.70, 38.40, 0.18, 0.025, 0.05),  # Santa Rosa
    City(-116.45, 33.78, 0.25, 0.015, -0.10),  # Palm Springs
    City(-120.65, 35.25, 0.25, 0.015, 0.10),  # San Luis Obispo
    City(-122.20, 40.30, 0.70, 0.020, -0.35),  # the far north
    City(-124.10, 40.75, 0.12, 0.007, -0.20),  # Eureka
    City(-120.40, 38.20, 0.90, 0.033, -0.25),  # the foothills
    City(-119.40, 36.20, 0.60, 0.030, -0.40),  # the southern valley
    City(-116.50, 34.60, 0.90, 0.013, -0.40),  # the desert
)


def on_land(longitude: Floats, latitude: Floats) -> Mask:
    """Whether each point lies within the state; shape (n,). Even-odd rule on its outline."""
    outline = np.vstack([COAST, _LAND_BORDER])
    inside = np.zeros(len(longitude), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        crosses = (y0 > latitude) != (y1 > latitude)
        slope = (x1 - x0) / (y1 - y0) if y1 != y0 else 0.0
        inside ^= crosses & (longitude < x0 + slope * (latitude - y0))
    return inside


def distance_to(line: Floats, longitude: Floats, latitude: Floats) -> Floats:
    """Distance of each point to a line of shape (k, 2), in degrees of latitude; shape (n,)."""
    points = plane(longitude, latitude, SHRINK)
    nearest = np.full(len(points), np.inf)
    scaled = line * (SHRINK, 1.0)
    for start, end in pairwise(scaled):
        along = end - start
        share = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
        nearest = np.minimum(nearest, np.hypot(*(points - start - share[:, None] * along).T))
    return nearest


def city_pull(longitude: Floats, latitude: Floats) -> Floats:
    """What the cities around add to the logarithm of a price; shape (n,)."""
    level = np.zeros(len(longitude))
    weight = np.full(len(longitude), 0.05)  # far from all cities: no level at all
    for city in CITIES:
        away = distance(longitude, latitude, (city.longitude, city.latitude), SHRINK)
        near = np.exp(-0.5 * (away / (2 * city.spread)) ** 2)
        level += near * city.level
        weight += near
    return np.asarray(level / weight)


@cache
def _waves(name: str, scale: float, terms: int) -> tuple[Floats, Floats]:
    generator = np.random.default_rng([*name.encode()])
    return generator.normal(size=(2, terms)) / scale, generator.uniform(0, 2 * np.pi, terms)


def field(name: str, scale: float, longitude: Floats, latitude: Floats) -> Floats:
    """A smooth random field of mean 0 and variance about 1, always the same; shape (n,).

    Random Fourier features of a Gaussian kernel (Rahimi and Recht, 2007); `scale` is its length
    in degrees of latitude, `name` decides which field it is.
    """
    terms = 64
    directions, phases = _waves(name, scale, terms)
    total = np.zeros(len(longitude))
    for (x, y), phase in zip(directions.T, phases, strict=True):  # never an (n, terms) matrix
        total += np.cos(scaled_x(longitude, SHRINK) * x + latitude * y + phase)
    return np.asarray(total * np.sqrt(2.0 / terms))
