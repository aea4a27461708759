"""THE DOMAIN: what a row of the table is, and nothing about how it is processed.

Dtypes, row rules, SQL, documentation and forms derive from this catalogue. Together with
`features/` and `training/candidates.py` it is the only place that spells a column name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Column:
    """One column of a landing file.

    `minimum` and `maximum` are inclusive and in `unit`; `resolution` (key columns only) is the
    step to which a value is rounded before it becomes part of the row's key; `cap` is the value
    at which the source cuts off what is larger.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    categories: tuple[str, ...] = ()
    resolution: float | None = None
    cap: float | None = None

    @property
    def label(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")


SOURCE = "California block groups of the 1990 census (Pace and Barry, 1997)"

COLUMNS: tuple[Column, ...] = (
    Column(
        "longitude", "number", "degrees east",
        "Centre of the district; California lies between -124.5 and -114.1",
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
        "median_house_value", "number", "US dollars",
        "Median value of an owner-occupied house: what the model predicts",
        minimum=1_000, maximum=10_000_000, cap=500_001,
    ),
    Column(
        "ocean_proximity", "category", "category", "Where the district lies relative to the ocean",
        categories=("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"),
    ),
)  # fmt: skip

CATALOGUE: Mapping[str, Column] = {column.name: column for column in COLUMNS}

TARGET = "median_house_value"
FEATURES: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.name != TARGET)
NUMBERS: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.kind == "number")
CATEGORIES: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.kind == "category")
COORDINATES = ("longitude", "latitude")
CELL_DEGREES = 0.1
"""Side of the smallest location cell, degrees. Errors are correlated over 2 to 24 sides of a cell;
over how many is chosen from the data, for each figure."""

KEY: tuple[str, ...] = tuple(c.name for c in COLUMNS if c.resolution is not None)
"""Columns whose rounded values identify a district that carries no id of its own."""

ID_COLUMN = "district_id"
"""Optional in a landing file: the district's own id, which then is its key."""

TIME_COLUMN = "surveyed_at"
"""Optional in a landing file: when the district was surveyed (ISO 8601, UTC without an offset)."""

OPTIONAL_COLUMNS: tuple[str, ...] = (ID_COLUMN, TIME_COLUMN)

NOT_ABOVE: tuple[tuple[str, str], ...] = (("total_bedrooms", "total_rooms"),)
"""Pairs (part, whole): in no row can the part exceed the whole."""

LABEL_CAP = CATALOGUE[TARGET].cap
"""US dollars; the source records every larger price as this one."""


@dataclass(frozen=True)
class Bins:
    """Rows grouped by where a number falls between `edges` (in the column's unit)."""

    column: str
    edges: tuple[float, ...]

    def names(self) -> tuple[str, ...]:
        """One name a group, lowest first."""
        inner = [f"{a:g}-{b:g}" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return (f"<={self.edges[0]:g}", *inner, f">{self.edges[-1]:g}")

    def codes(self, frame: pd.DataFrame) -> npt.NDArray[np.int16]:
        """Group of each row, shape (n,); a group holds its upper edge."""
        values = frame[self.column].to_numpy(dtype=np.float64)
        return np.searchsorted(np.asarray(self.edges), values, side="left").astype(np.int16)


@dataclass(frozen=True)
class Levels:
    """Rows grouped by category, in catalogue order."""

    column: str

    def names(self) -> tuple[str, ...]:
        """One name a group."""
        return CATALOGUE[self.column].categories

    def codes(self, frame: pd.DataFrame) -> npt.NDArray[np.int16]:
        """Group of each row, shape (n,); values must be catalogue categories."""
        categories = pd.CategoricalDtype(list(self.names()))
        return np.asarray(frame[self.column].astype(categories).cat.codes, dtype=np.int16)


STRATA: tuple[Bins | Levels, ...] = (
    # The income bins of the reference recipe: income predicts price best, so each must be
    # represented in the test set as it is in the table.
    Bins("median_income", (1.5, 3.0, 4.5, 6.0)),
    Levels("ocean_proximity"),
)

SLICES: tuple[Bins | Levels, ...] = (
    *STRATA,
    Bins("housing_median_age", (10, 20, 30, 40, 51)),
)
"""Groups of rows in which a model must not regress, however good it is overall."""


def dtypes(names: tuple[str, ...] = tuple(CATALOGUE)) -> dict[str, str | pd.CategoricalDtype]:
    """Pandas dtypes of a validated table: float64, or the category type with catalogue order."""
    return {
        name: "float64"
        if CATALOGUE[name].kind == "number"
        else pd.CategoricalDtype(list(CATALOGUE[name].categories))
        for name in names
    }


def catalogue_table() -> str:
    """The catalogue as a Markdown table, a line a column; docs/data.md holds it."""
    lines = ["| column | meaning | unit | allowed | may be empty |", "|---|---|---|---|---|"]
    for c in COLUMNS:
        words = ", ".join(f"`{category}`" for category in c.categories)
        allowed = words or f"{c.minimum:,} to {c.maximum:,}"
        lines.append(
            f"| `{c.name}` | {c.meaning} | {c.unit} | {allowed} | {'yes' if c.nullable else 'no'} |"
        )
    return "\n".join(lines)
