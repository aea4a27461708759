"""Drawing simulated districts and knowing their true price, without ever reading a real table.

The marginals are round figures of the kind that a census yearbook prints. What goes wrong with
them over time belongs in `scenarios`, handing them over in `source`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.problems.california.projection import Floats, distance
from housing.problems.california.simulated import world
from housing.schema import CATALOGUE, LABEL_CAP, dtypes

AGE_CAP = CATALOGUE["housing_median_age"].cap or np.inf
INCOME_CAP = CATALOGUE["median_income"].cap or np.inf
PRICE_CAP = LABEL_CAP or np.inf
LOWEST_PRICE = 15_000.0  # US dollars
LOWEST_INCOME = 0.5  # 10,000 US dollars a year
GRID = 0.01  # degrees; the census rounds coordinates, so that neighbours share them
MISSING_BEDROOMS = 0.01  # share of rows
ISLAND_SHARE = 0.00025  # of rows
NEAR_WATER = 0.045  # degrees of latitude; 5 km
NEAR_BAY = 0.17
WITHIN_AN_HOUR = 0.5


class DistrictLocations(NamedTuple):
    """Where districts lie; all of shape (n,)."""

    longitude: Floats  # degrees east, on the grid
    latitude: Floats  # degrees north
    proximity: npt.NDArray[np.object_]  # catalogue categories


def draw_districts(rows: int, generator: np.random.Generator) -> pd.DataFrame:
    """`rows` districts without prices; typed as a validated table, no key twice."""
    place = _places(rows, generator)
    where = (place.longitude, place.latitude)
    age = _ages(place, generator)
    income = _incomes(place, generator)
    size = 0.64 * generator.standard_normal(rows) - 0.019 * (age - 29)
    households = np.exp(np.log(415) + size + 0.1 * world.field("size", 0.2, *where))
    rooms_each = np.exp(
        np.log(5.2) + 0.42 * np.log(income / 3.5) + 0.16 * generator.standard_normal(rows)
    )
    people_each = 1 + np.exp(
        np.log(1.62)
        - 0.12 * np.log(income / 3.5)
        + 0.22 * world.field("families", 0.25, *where)
        + 0.24 * generator.standard_normal(rows)
    )
    bedrooms_each = np.exp(np.log(1.05) + 0.07 * generator.standard_normal(rows))
    households = np.clip(np.rint(households), 3, 6_000)
    rooms = np.clip(np.rint(households * rooms_each), 6, 40_000)
    bedrooms = np.clip(np.rint(households * bedrooms_each), 1, np.floor(rooms * 0.95))
    frame = pd.DataFrame(
        {
            "longitude": place.longitude,
            "latitude": place.latitude,
            "housing_median_age": age,
            "total_rooms": _made_distinct(place, age, rooms),
            "total_bedrooms": np.where(generator.random(rows) < MISSING_BEDROOMS, np.nan, bedrooms),
            "population": np.clip(np.rint(households * people_each), 3, 36_000),
            "households": households,
            "median_income": income,
            "median_house_value": np.nan,
            "ocean_proximity": place.proximity,
        }
    )
    return frame.astype(dtypes())


def true_price(frame: pd.DataFrame) -> Floats:
    """What a house in each district is worth before noise and cap, US dollars; shape (n,).

    A known function of the other columns, smooth in location but for the step of
    `ocean_proximity`; the best that any model can learn.
    """
    longitude, latitude, age, rooms, population, households, income = (
        frame[name].to_numpy(dtype=np.float64)
        for name in (
            "longitude", "latitude", "housing_median_age", "total_rooms", "population",
            "households", "median_income",
        )
    )  # fmt: skip
    where = (longitude, latitude)
    coast = world.distance_to(world.COAST, *where)
    log_price = (
        np.log(164_000)
        + 0.74 * np.log(np.clip(income, 0.3, None) / 3.5)
        + 1.0 * world.city_pull(*where)
        + 0.34 * np.exp(-coast / 0.25)
        - 0.22 * (1 - np.exp(-coast / 0.8))
        + 0.19 * world.field("price", 0.35, *where)
        + 0.15 * world.field("quarter", 0.08, *where)
        - 0.28 * np.log(np.clip(population / households, 1, 20) / 2.8)
        + 0.10 * np.log(np.clip(rooms / households, 1, 50) / 5.2)
        + 0.003 * (age - 29)
    )
    step = frame["ocean_proximity"].map(_STEPS).to_numpy(dtype=np.float64)
    return np.asarray(np.exp(log_price + step))


_STEPS = {"<1H OCEAN": 0.12, "INLAND": -0.05, "ISLAND": 0.6, "NEAR BAY": 0.12, "NEAR OCEAN": 0.12}


# --- where ----------------------------------------------------------------------------------


def _places(rows: int, generator: np.random.Generator) -> DistrictLocations:
    longitude, latitude = np.empty(0), np.empty(0)
    while len(longitude) < rows:  # what falls into the sea is drawn again
        x, y = _around_cities(rows, generator)
        keep = world.on_land(x, y)
        longitude = np.append(longitude, x[keep])[:rows]
        latitude = np.append(latitude, y[keep])[:rows]
    proximity = _proximity(longitude, latitude)
    island = generator.random(rows) < ISLAND_SHARE
    if rows > 1 / ISLAND_SHARE:
        island[0] = True  # a table of usual size has every category
    longitude[island], latitude[island] = world.ISLAND
    proximity[island] = "ISLAND"
    return DistrictLocations(_on_grid(longitude), _on_grid(latitude), proximity)


def _around_cities(rows: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    shares = np.array([city.share for city in world.CITIES])
    chosen = generator.choice(len(shares), size=rows, p=shares / shares.sum())
    centre = np.array([city[:2] for city in world.CITIES])[chosen]
    spread = np.array([city.spread for city in world.CITIES])[chosen]
    step = generator.standard_normal((rows, 2)) * spread[:, None]
    return centre[:, 0] + step[:, 0] / world.SHRINK, centre[:, 1] + step[:, 1]


def _on_grid(degrees: Floats) -> Floats:
    return np.asarray(np.round(np.rint(degrees / GRID) * GRID, 2))


def _proximity(longitude: Floats, latitude: Floats) -> npt.NDArray[np.object_]:
    coast = world.distance_to(world.COAST, longitude, latitude)
    bay = world.distance_to(world.BAY, longitude, latitude)
    south = latitude < 34.6
    conditions = [
        bay < NEAR_BAY,
        coast < np.where(south, NEAR_WATER * 1.6, 3 * NEAR_WATER),
        coast < WITHIN_AN_HOUR,
    ]
    names = ["NEAR BAY", "NEAR OCEAN", "<1H OCEAN"]
    return np.select(conditions, names, default="INLAND").astype(object)


# --- who and what ---------------------------------------------------------------------------


def _ages(place: DistrictLocations, generator: np.random.Generator) -> Floats:
    """Years; old in the middle of a city, young at its edge, cut off at the cap."""
    centre = np.full(len(place.longitude), np.inf)
    for city in world.CITIES:
        away = distance(place.longitude, place.latitude, city[:2], world.SHRINK)
        centre = np.minimum(centre, away / city.spread)
    typical = 35 - 7 * np.clip(centre, 0, 2.5) + 6 * _bay_is_old(place)
    field = world.field("age", 0.15, place.longitude, place.latitude)
    years = typical + 5 * field + 11.5 * generator.standard_normal(len(centre))
    return np.asarray(np.clip(np.rint(years), 1, AGE_CAP))


def _bay_is_old(place: DistrictLocations) -> Floats:
    return np.asarray(place.proximity == "NEAR BAY", dtype=np.float64)


def _incomes(place: DistrictLocations, generator: np.random.Generator) -> Floats:
    """10,000 US dollars a year; neighbours earn alike."""
    where = (place.longitude, place.latitude)
    log_income = (
        np.log(3.55)
        + 0.22 * world.city_pull(*where)
        + 0.20 * world.field("income", 0.12, *where)
        + 0.12 * world.field("income of the region", 0.5, *where)
        + 0.40 * generator.standard_normal(len(place.longitude))
    )
    return np.asarray(np.round(np.clip(np.exp(log_income), LOWEST_INCOME, INCOME_CAP), 4))


def _made_distinct(place: DistrictLocations, age: Floats, rooms: Floats) -> Floats:
    """Rooms, one more where place, age and rooms would be those of an earlier row."""
    table = pd.DataFrame({"x": place.longitude, "y": place.latitude, "age": age, "rooms": rooms})
    while (again := table.duplicated().to_numpy()).any():
        table.loc[again, "rooms"] += 1
    return table["rooms"].to_numpy()
