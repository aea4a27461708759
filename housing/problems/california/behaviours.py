"""Behavioural tests: what a change of a district must not do to its price."""

from math import degrees, radians
from typing import TYPE_CHECKING

from housing.problem import Behaviour

if TYPE_CHECKING:
    import pandas as pd

HIGHER = 1.1
CAP = 15.0001
"""10,000 US dollars a year: the source records no higher income."""


def _higher_income(rows: "pd.DataFrame") -> "pd.DataFrame":
    raised = rows["median_income"] * HIGHER
    return rows.assign(median_income=raised.where(raised <= CAP, rows["median_income"]))


def _units_and_back(rows: "pd.DataFrame") -> "pd.DataFrame":
    return rows.assign(
        longitude=rows["longitude"].map(radians).map(degrees),
        latitude=rows["latitude"].map(radians).map(degrees),
        median_income=rows["median_income"] * 10_000 / 10_000,
    )


BEHAVIOURS = (
    Behaviour(
        "higher-income", "A 10 % higher income lowers the price by at most 5 %",
        _higher_income, "not lower", 0.05,
    ),
    Behaviour(
        "units", "Values converted to other units and back leave the price as it is",
        _units_and_back, "same", 1e-6,
    ),
)  # fmt: skip
