"""What drove an answer: the contribution of each feature, exact and adding up.

Shapley values (interventional; Lundberg and Lee, 2017) of groups of fields against typical
training rows: what a group adds to the price, averaged over all orders in which the fields could
become known. With a handful of groups every coalition is asked, so nothing is sampled.
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
"""Fields that say one thing together, by what people call it."""


@dataclass(frozen=True)
class Explanation:
    """`typical` + the sum of `contributions` is the predicted price (US dollars)."""

    typical: float  # mean price of the rows that were compared with
    contributions: Mapping[str, float]  # by group


def explain(served: LoadedModel, columns: Columns) -> Explanation:
    """Contributions to the answer for the first row of `columns`."""
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
    asked: dict[str, npt.NDArray[Any]] = {}
    for bit, members in enumerate(GROUPS.values()):
        known = np.repeat((sets >> bit) & 1, rows).astype(np.bool_)
        for name in members:
            asked[name] = np.where(known, columns[name][0], np.tile(background[name], len(sets)))
    asked = {name: asked[name].astype(columns[name].dtype) for name in FEATURES}
    return np.asarray(predict(asked).reshape(len(sets), rows).mean(axis=1))


def _shapley(values: Floats, player: int, players: int) -> float:
    others = [i for i in range(players) if i != player]
    total = 0.0
    for size in range(players):
        weight = factorial(size) * factorial(players - size - 1) / factorial(players)
        for members in combinations(others, size):
            without = sum(1 << i for i in members)
            total += weight * float(values[without | (1 << player)] - values[without])
    return total
