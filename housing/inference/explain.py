"""Contribution of each feature to a predicted value: Shapley values.

Interventional Shapley values (Lundberg and Lee, 2017) of groups of fields against typical training
rows. Of few groups every coalition is evaluated; of many, those along random orders in which the
groups become known (Castro, Gomez and Tejada, 2009), each order with its reverse. Either way the
contributions add up to the prediction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import comb

from housing.array_types import Floats, Mask
from housing.inference.columns import Columns
from housing.inference.loaded_model import LoadedModel
from housing.schema import CATALOGUE, COORDINATES, FEATURES


def _groups() -> Mapping[str, tuple[str, ...]]:
    """Fields that count as one feature, by its label; two of one label get different ones."""
    found: dict[str, tuple[str, ...]] = {"location": COORDINATES} if COORDINATES else {}
    for name in FEATURES:
        if name not in COORDINATES:
            label = CATALOGUE[name].label
            while label in found:
                label += "_"
            found[label] = (name,)
    return found


GROUPS = _groups()

EXACT_GROUPS = 10
"""Groups up to which all coalitions are evaluated."""

SAMPLED_ORDERS = 20
"""Orders, reversed ones included, of more groups."""


@dataclass(frozen=True)
class Explanation:
    """`base_value` + the sum of `contributions` is the predicted value."""

    base_value: float  # mean prediction for the background rows
    contributions: Mapping[str, float]  # by group


def explain(served: LoadedModel, columns: Columns, orders: int = 0) -> Explanation:
    """Contributions to the prediction for the first row of `columns`.

    With `orders` (an even number) along as many random orders, however few the groups are.
    """
    background = {
        name: np.array(
            [np.nan if v is None else v for v in served.calibration.background[name]],
            dtype=columns[name].dtype,
        )
        for name in FEATURES
    }

    def value(known: Mask) -> Floats:
        return _coalitions(served.predict, columns, background, known)

    if not orders and len(GROUPS) <= EXACT_GROUPS:
        base, contributions = _exact(value, len(GROUPS))
    else:
        base, contributions = _sampled(value, len(GROUPS), orders or SAMPLED_ORDERS)
    return Explanation(base, dict(zip(GROUPS, contributions, strict=True)))


def _coalitions(
    predict: Callable[[Columns], Floats],
    columns: Columns,
    background: Columns,
    known: Mask,
) -> Floats:
    """Mean prediction where the fields of some groups are the row's, shape (coalitions,).

    `known` has shape (coalitions, groups).
    """
    coalitions, rows = len(known), len(background[FEATURES[0]])
    asked: dict[str, npt.NDArray[Any]] = {}
    for of_row, members in zip(np.repeat(known, rows, axis=0).T, GROUPS.values(), strict=True):
        for name in members:
            asked[name] = np.where(of_row, columns[name][0], np.tile(background[name], coalitions))
    typed = {name: asked[name].astype(columns[name].dtype) for name in FEATURES}
    return np.asarray(predict(typed).reshape(coalitions, rows).mean(axis=1))


Value = Callable[[Mask], Floats]
"""The mean prediction of coalitions, given which groups are known: (coalitions, groups)."""


def _exact(value: Value, groups: int) -> tuple[float, list[float]]:
    """The weighted mean change, over coalitions without a group, when the group joins."""
    known = ((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1).astype(np.bool_)
    values, size = value(known), known.sum(axis=1)
    found = []
    for group in range(groups):
        without = np.flatnonzero(~known[:, group])
        weight = 1 / (groups * comb(groups - 1, size[without]))
        found.append(float(weight @ (values[without | (1 << group)] - values[without])))
    return float(values[0]), found


def _sampled(value: Value, groups: int, sampled: int = SAMPLED_ORDERS) -> tuple[float, list[float]]:
    """The mean change, over orders, of the prediction when a group becomes known."""
    generator = np.random.default_rng(0)
    orders = [generator.permutation(groups) for _ in range(sampled // 2)]
    orders += [order[::-1] for order in orders]
    # Row i of an order's block: the i groups that come first are known.
    known = np.concatenate([np.argsort(order) < np.arange(groups + 1)[:, None] for order in orders])
    values = value(known).reshape(len(orders), groups + 1)
    changes = np.empty((len(orders), groups))
    for change, order, steps in zip(changes, orders, np.diff(values), strict=True):
        change[order] = steps
    return float(values[0, 0]), changes.mean(axis=0).tolist()
