"""Columns, key, location, strata and slices of the census table."""

from housing.problem import Amount, Bins, Column, Levels, Location, Table
from housing.problems.california.outline import CITIES, OUTLINES

AMOUNT = Amount("US dollars", "$", decimals=0)
OCEAN = ("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN")

COLUMNS: tuple[Column, ...] = (
    Column(
        "longitude", "number", "degrees east",
        "Centre of the district; California lies between \N{MINUS SIGN}124.5 and "
        "\N{MINUS SIGN}114.1",
        minimum=-124.6, maximum=-114.0, resolution=1e-4,
    ),
    Column(
        "latitude", "number", "degrees north",
        "Centre of the district; California lies between 32.5 and 42.0",
        minimum=32.4, maximum=42.1, resolution=1e-4,
    ),
    Column(
        "housing_median_age", "number", "years", "Median age of a house in the district",
        minimum=0, maximum=200, resolution=1, cap=52,
    ),
    Column(
        "total_rooms", "number", "rooms", "Rooms of all houses in the district",
        minimum=1, maximum=1_000_000, resolution=1,
    ),
    Column(
        "total_bedrooms", "number", "bedrooms", "Bedrooms of all houses in the district",
        minimum=1, maximum=1_000_000, nullable=True,
    ),
    Column(
        "population", "number", "people", "People who live in the district",
        minimum=1, maximum=1_000_000, resolution=1,
    ),
    Column(
        "households", "number", "households", "Groups of people who share a home",
        minimum=1, maximum=1_000_000, resolution=1,
    ),
    Column(
        "median_income", "number", "10,000 US dollars a year", "Median income of a household",
        minimum=0, maximum=50, cap=15.0001,
    ),
    Column(
        "median_house_value", "number", AMOUNT.unit,
        "Median value of an owner-occupied house: what the model predicts",
        minimum=1_000, maximum=10_000_000, cap=500_001,
    ),
    Column(
        "ocean_proximity", "category", "category", "Where the district lies relative to the ocean",
        categories=OCEAN,
    ),
)  # fmt: skip

STRATA = (
    # The income bins of the reference recipe: income predicts price best, so each must be
    # represented in the test set as it is in the table.
    Bins("median_income", (1.5, 3.0, 4.5, 6.0)),
    Levels("ocean_proximity", OCEAN),
)

TABLE = Table(
    columns=COLUMNS,
    target="median_house_value",
    key=(
        "longitude", "latitude", "housing_median_age", "total_rooms", "population", "households",
    ),
    id_column="district_id",
    time_column="surveyed_at",
    not_above=(("total_bedrooms", "total_rooms"),),
    strata=STRATA,
    slices=(*STRATA, Bins("housing_median_age", (10, 20, 30, 40, 51))),
)  # fmt: skip

LOCATION = Location(
    ("longitude", "latitude"), cell=0.1, middle_latitude=37.0, outlines=OUTLINES, landmarks=CITIES
)
"""Errors are correlated over 2 to 24 sides of a cell; over how many is chosen from the data."""
