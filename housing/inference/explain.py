"""Contribution of each feature to a predicted price: exact Shapley values.

Interventional Shapley values (Lundberg and Lee, 2017) of groups of fields against typical training
rows. With a handful of groups every coalition is evaluated, so nothing is sampled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt

from housing.inference.columns import Columns
from housing.inference.loaded_model import LoadedModel
from housing.schema import CATALOGUE, COORDINATES, FEATURES

Floats = npt.NDArray[np.float64]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "place": COORDINATES,
    **{CATALOGUE[name].label: (name,) for name in FEATURES if name not in COORDINATES},
}
"""Fields that count as one feature, by its label."""


@dataclass(frozen=True)
class Explanation:
    """`base_value` + the sum of `contributions` is the predicted price (US dollars)."""

    base_value: float  # mean prediction for the background rows
    contributions: Mapping[str, float]  # by group


def explain(served: LoadedModel, columns: Columns) -> Explanation:
    """Contributions to the prediction for the first row of `columns`."""
    background = {
        name: np.array(
            [np.nan if v is None else v for v in served.calibration.background[name]],
            dtype=columns[name].dtype,
        )
        for name in FEATURES
    }
    values = _coalitions(served.predict, columns, background)
    names = list(GROUPS)
    contributions = {name: _shapley(values, i, len(names)) for i, name in enumerate(names)}
    return Explanation(float(values[0]), contributions)


def _coalitions(
    predict: Callable[[Columns], Floats], columns: Columns, background: Columns
) -> Floats:
    """Mean prediction where the fields of each set of groups are the row's; shape (2^groups,)."""
    rows = len(background[FEATURES[0]])
    sets = np.arange(2 ** len(GROUPS))
    rows_of_sets: dict[str, npt.NDArray[Any]] = {}
    for bit, members in enumerate(GROUPS.values()):
        known = np.repeat((sets >> bit) & 1, rows).astype(np.bool_)
        for name in members:
            rows_of_sets[name] = np.where(
                known, columns[name][0], np.tile(background[name], len(sets))
            )
    typed = {name: rows_of_sets[name].astype(columns[name].dtype) for name in FEATURES}
    return np.asarray(predict(typed).reshape(len(sets), rows).mean(axis=1))


def _shapley(values: Floats, player: int, players: int) -> float:
    others = [i for i in range(players) if i != player]
    total = 0.0
    for size in range(players):
        weight = factorial(size) * factorial(players - size - 1) / factorial(players)
        for members in combinations(others, size):
            without = sum(1 << i for i in members)
            total += weight * float(values[without | (1 << player)] - values[without])
    return total
