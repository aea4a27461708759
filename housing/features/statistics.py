"""Statistics of a row's nearest training rows: pure functions, one registry row a group."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from housing.array_types import Floats

NEAREST = 30
"""Neighbours that are used."""

COUNTS = (5, 10, 30)
SOFTENING = 0.01
"""Added to a distance before it divides, as two rows may have the same coordinates."""

RIDGE = 1.0
"""Of the local regression, in squared standard deviations of a covariate."""


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The nearest training rows of n rows, k each, nearest first."""

    distance: Floats  # in the coordinates' unit, shape (n, k)
    label: Floats  # shape (n, k)
    theirs: Floats  # coordinates and standardised covariates, shape (n, k, n_coordinates + c)
    own: Floats  # the same of the row itself, shape (n, n_coordinates + c)
    n_coordinates: int  # coordinates


@dataclass(frozen=True)
class Group:
    """Features that are computed together; `function` gives one column a name.

    `names` depend on the number of covariates, as some groups have one feature for each.
    """

    unit: str
    reason: str
    names: Callable[[int], tuple[str, ...]]
    function: Callable[[Neighbourhood], Floats]


def _labels(near: Neighbourhood) -> Floats:
    weight = 1 / (near.distance + SOFTENING)
    parts = []
    for k in COUNTS:
        label = near.label[:, :k]
        parts += [label.mean(axis=1), weighted_mean(label, weight[:, :k]), label.std(axis=1)]
    few = near.label[:, : COUNTS[0]]
    parts += [few.min(axis=1), few.max(axis=1), near.label[:, 0]]
    return np.column_stack(parts)


def _scaled_labels(near: Neighbourhood) -> Floats:
    """Labels over the exponential of the first covariate, times the row's own."""
    ratio = near.label * np.exp(
        near.own[:, None, near.n_coordinates] - near.theirs[:, :, near.n_coordinates]
    )
    weight = 1 / (near.distance + SOFTENING)
    return np.column_stack([weighted_mean(ratio[:, :k], weight[:, :k]) for k in COUNTS])


def _covariates(near: Neighbourhood) -> Floats:
    few, many = (near.theirs[:, :k, near.n_coordinates :].mean(axis=1) for k in COUNTS[1:])
    return np.hstack([few, near.own[:, near.n_coordinates :] - many])


def _regression(near: Neighbourhood) -> Floats:
    """Ridge regression of the label on covariates and coordinates, weighted by nearness to the row.

    Its value at the row and its slope in the first covariate, shape (n, 2); tricube weights after
    Cleveland and Devlin (1988), Locally Weighted Regression.
    """
    p = near.n_coordinates
    reach = near.distance[:, -1:] + SOFTENING
    weight = (1 - (near.distance / (1.01 * reach)) ** 3) ** 3
    centred = near.theirs - near.own[:, None]
    middle = weighted_mean(near.label, weight)
    parts = [np.ones_like(centred[:, :, :1]), centred[:, :, :p] / reach[:, :, None]]
    design = np.concatenate([*parts, centred[:, :, p:]], axis=2)
    weighted = (design * weight[:, :, None]).transpose(0, 2, 1)
    gram = weighted @ design + np.diag([0.0, *[RIDGE] * (design.shape[2] - 1)])
    moments = weighted @ (near.label - middle[:, None])[:, :, None]
    solution = np.linalg.solve(gram, moments)[:, :, 0]
    highest, lowest = near.label.max(axis=1), near.label.min(axis=1)
    spread = highest - lowest
    value = np.clip(solution[:, 0] + middle, lowest - spread, highest + spread)
    return np.column_stack([value, solution[:, 1 + p]])


def weighted_mean(values: Floats, weight: Floats) -> Floats:
    """Mean of each row, shape (n,); both have shape (n, k)."""
    total: Floats = np.einsum("nk,nk->n", values, weight) / weight.sum(axis=1)
    return total


def _fixed(*names: str) -> Callable[[int], tuple[str, ...]]:
    return lambda _covariates: names


_LABEL = "of the label"

GROUPS: Mapping[str, Group] = {
    "labels": Group(
        _LABEL,
        "Rows have labels like those of the rows around them",
        _fixed(
            *(f"near_label_{what}_{k}" for k in COUNTS for what in ("mean", "weighted", "std")),
            *(f"near_label_{what}" for what in ("min", "max", "nearest")),
        ),
        _labels,
    ),
    "scaled-labels": Group(
        _LABEL,
        "The ratio of the label to a covariate varies less over the map than the label",
        _fixed(*(f"near_label_scaled_{k}" for k in COUNTS)),
        _scaled_labels,
    ),
    "covariates": Group(
        "standard deviations",
        "A covariate counts by comparison with the rows around",
        lambda c: tuple(f"{name}_{i}" for name in ("near_mean", "above_near") for i in range(c)),
        _covariates,
    ),
    "density": Group(
        "of the coordinates",
        "Density of the rows",
        _fixed(*(f"near_distance_{k}" for k in (1, *COUNTS))),
        lambda near: near.distance[:, [0, *(k - 1 for k in COUNTS)]],
    ),
    "regression": Group(
        _LABEL,
        "A straight line through the neighbours' labels, at this row's covariates",
        _fixed("near_fit_value", "near_fit_slope"),
        _regression,
    ),
}
