"""Noise, drift and pollution of simulated districts, as options.

Each option does one known thing, so that a test knows what the system should notice. The
districts themselves belong in `districts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from housing.problems.california.projection import Floats
from housing.problems.california.simulated.districts import (
    INCOME_CAP,
    LOWEST_PRICE,
    PRICE_CAP,
    draw_districts,
    true_price,
)
from housing.schema import CATALOGUE, CATEGORIES, NUMBERS, TARGET

INCOME = "median_income"


@dataclass(frozen=True)
class PriceNoise:
    """How far prices lie from the true one, in logarithms: 0.1 is about 10 %."""

    single: float = 0.19  # of each district alone
    shared: float = 0.10  # of all districts of a cell together
    cell: float = 0.1  # degrees, side of such a cell


@dataclass(frozen=True)
class DriftScenario:
    """How prices and incomes change from day to day."""

    price_per_day: float = 0.0  # growth of all prices; 0.01 is 1 %
    income_per_day: float = 0.0  # growth of all incomes
    jump_day: int | None = None  # first day on which prices are multiplied by `jump`
    jump: float = 1.0  # 1.3 is a rise of 30 %


@dataclass(frozen=True)
class Pollution:
    """What is wrong with the deliveries of some days."""

    days: tuple[int, ...] = ()
    bad_share: float = 0.0  # of rows with one field that breaks a row rule
    unit_column: str = INCOME  # a number column in another unit
    unit_factor: float = 1.0  # what it is multiplied by
    shuffled: tuple[float, float, float, float] | None = None
    """West, south, east, north (degrees): prices are shuffled within."""


@dataclass(frozen=True)
class Scenario:
    """Noise, drift and pollution of many deliveries."""

    noise: PriceNoise = PriceNoise()
    drift: DriftScenario = DriftScenario()
    pollution: Pollution = Pollution()


SCENARIOS: Mapping[str, Scenario] = {
    "calm": Scenario(),
    "slow drift": Scenario(drift=DriftScenario(price_per_day=0.003, income_per_day=0.001)),
    "sudden drift": Scenario(drift=DriftScenario(jump_day=10, jump=1.3)),
    "bad rows": Scenario(pollution=Pollution(days=(5, 10, 15), bad_share=0.1)),
    "another unit": Scenario(pollution=Pollution(days=(5,), unit_factor=10_000)),
    "shuffled prices": Scenario(
        pollution=Pollution(days=(5, 6, 7), shuffled=(-119.0, 33.5, -117.5, 34.5))
    ),
}


def simulate(
    rows: int,
    seed: int,
    *,
    day: int = 0,
    noise: PriceNoise = PriceNoise(),
    drift: DriftScenario = DriftScenario(),
    pollution: Pollution = Pollution(),
) -> pd.DataFrame:
    """The districts of one delivery: catalogue columns, no key twice within a table.

    Equal arguments give equal tables (with the same NumPy). Another day gives other
    districts of the same state; the noise that neighbours share depends on the seed alone, so it
    stays.
    """
    generator = np.random.default_rng([seed, day])
    frame = draw_districts(rows, generator)
    grown = frame[INCOME] * (1 + drift.income_per_day) ** day
    frame[INCOME] = grown.clip(upper=INCOME_CAP)
    log_noise = noise.single * generator.standard_normal(rows)
    log_noise += noise.shared * _shared_noise(frame, seed, noise.cell)
    level = (1 + drift.price_per_day) ** day
    if drift.jump_day is not None and day >= drift.jump_day:
        level *= drift.jump
    price = np.clip(true_price(frame) * level * np.exp(log_noise), LOWEST_PRICE, None)
    frame[TARGET] = np.where(price >= PRICE_CAP, PRICE_CAP, np.rint(price / 100) * 100)
    return _polluted(frame, pollution, generator) if day in pollution.days else frame


def _shared_noise(frame: pd.DataFrame, seed: int, cell: float) -> Floats:
    """One standard normal value a cell, by position and seed alone; shape (n,)."""
    where = (frame["longitude"].to_numpy(), frame["latitude"].to_numpy())
    cells = np.column_stack([np.floor(degrees / cell) for degrees in where]).astype(np.int64)
    distinct, inverse = np.unique(cells, axis=0, return_inverse=True)
    values = [
        np.random.default_rng([seed, x + 100_000, y + 100_000]).standard_normal()
        for x, y in distinct.tolist()
    ]
    return np.asarray(values)[inverse.reshape(-1)]


# --- pollution ------------------------------------------------------------------------------


def _polluted(
    frame: pd.DataFrame, pollution: Pollution, generator: np.random.Generator
) -> pd.DataFrame:
    frame[pollution.unit_column] = frame[pollution.unit_column] * pollution.unit_factor
    if pollution.shuffled is not None:
        west, south, east, north = pollution.shuffled
        inside = frame["longitude"].between(west, east) & frame["latitude"].between(south, north)
        shuffled = generator.permutation(frame.loc[inside, TARGET].to_numpy())
        frame.loc[inside, TARGET] = shuffled
    bad = np.flatnonzero(generator.random(len(frame)) < pollution.bad_share)
    columns = (*NUMBERS, *CATEGORIES)
    for row, column in zip(bad, generator.integers(len(columns), size=len(bad)), strict=True):
        _break(frame, int(row), columns[column], generator)
    return frame


def _break(frame: pd.DataFrame, row: int, column: str, generator: np.random.Generator) -> None:
    """Break a row rule: a category goes missing; a number does, or leaves its range."""
    limit = CATALOGUE[column].maximum
    nullable = CATALOGUE[column].nullable
    gone = column in CATEGORIES or (not nullable and generator.random() < 0.5)
    value = np.nan if gone or limit is None else abs(limit) * 10 + 1
    frame.iloc[row, frame.columns.get_loc(column)] = value  # type: ignore[index]
