"""Prediction intervals with the nominal coverage in every group of rows, from residuals.

Split conformal prediction with two refinements. The score is the absolute residual over a scale
that grows with the prediction and with the residuals nearby. Its quantile is not one number but a
linear function of the groups that a row belongs to, by quantile regression (Gibbs, Cherian and
Candes, 2023, "Conformal prediction with conditional guarantees"): then it is nominal in each
group, however the groups overlap, and not only on average. The caller chooses the groups and
supplies out-of-fold residuals.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from scipy.stats import beta

from housing.array_types import Floats, Mask
from housing.errors import NotMeasurable
from housing.evaluation.metrics import finite_columns
from housing.evaluation.spatial_se import Values
from housing.formatting import percent
from housing.records import Interval

MIN_GROUP_ROWS = 100
"""A group of fewer rows has no quantile of its own; its rows use their other groups."""

MOST_ROWS = 40_000
"""More residuals are thinned: the quantiles would not change, the program would be slow."""

FLOOR = 0.01
"""Share of the median prediction; a smaller scale, residual or prediction counts as this."""


@dataclass(frozen=True)
class Conformal:
    """A fitted interval: +- `half_width`; plain numbers, so that it can be kept as JSON."""

    nominal: float  # nominal coverage
    scale: tuple[float, float, float]  # its logarithm: constant, log prediction, log nearby
    floor: float  # in the target's unit, as every width
    base: float  # quantile of the score for a row of no group
    weights: tuple[float, ...]  # what each group adds; 0 for a group that is too small
    rows: int  # residuals that it was fitted on

    def half_width(self, predicted: Values, nearby: Values, groups: Mask) -> Floats:
        """Half the length of each row's interval, shape (n,).

        `predicted` and `nearby` (typical absolute residual around the row) have shape (n,),
        `groups` (n, groups).
        """
        quantile = self.base + groups @ np.asarray(self.weights)
        scale = _scale(np.asarray(self.scale), predicted, nearby, self.floor)
        return np.asarray(np.maximum(quantile, 0.0) * scale)


def fit_interval(
    actual: Values, predicted: Values, nearby: Values, groups: Mask, *, nominal: float
) -> Conformal:
    """An interval with coverage `nominal` for rows like these, in each large enough group.

    `predicted` must be out-of-fold: residuals of rows that the model was fitted on are too small.
    Shapes as in `half_width`. NotMeasurable where there are too few rows for the quantile.
    """
    y, p, near = finite_columns("a prediction interval", actual, predicted, nearby)
    if len(y) * (1 - nominal) < 5:
        raise NotMeasurable(
            what="a prediction interval",
            why=f"{len(y)} residuals are too few for the quantile {percent(nominal, 0)}",
        )
    keep = slice(None, None, -(-len(y) // MOST_ROWS))
    y, p, near, groups = y[keep], p[keep], near[keep], groups[keep]
    floor = FLOOR * float(np.median(np.abs(p))) or 1.0
    distance = np.abs(y - p)
    design = _design(p, near, floor)
    scale, *_ = np.linalg.lstsq(design, np.log(np.maximum(distance, floor)), rcond=None)
    scores = distance / _scale(scale, p, near, floor)
    base, weights = _quantile(scores, groups, nominal)
    return Conformal(
        nominal=nominal,
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        floor=floor,
        base=base,
        weights=tuple(weights.tolist()),
        rows=len(y),
    )


def _design(predicted: Values, nearby: Values, floor: float) -> Floats:
    logs = (np.log(np.maximum(values, floor)) for values in (predicted, nearby))
    return np.column_stack([np.ones(len(predicted)), *logs])


def _scale(weights: Values, predicted: Values, nearby: Values, floor: float) -> Floats:
    return np.asarray(np.exp(_design(predicted, nearby, floor) @ weights))


def _quantile(scores: Floats, groups: Mask, nominal: float) -> tuple[float, Floats]:
    """Quantile regression of the scores on the groups: the base and what each group adds.

    Solved in its dual, a linear program with a variable a row and an equation a group.
    """
    large = groups.sum(axis=0) >= MIN_GROUP_ROWS
    design = np.column_stack([np.ones(len(scores)), groups[:, large]])
    # The finite-sample correction of conformal prediction, as far as it goes with groups.
    level = min(nominal * (1 + 1 / len(scores)), 1.0)
    solved: Any = linprog(
        -scores,
        A_eq=sparse.csr_matrix(design.T),
        b_eq=np.zeros(design.shape[1]),
        bounds=(level - 1, level),
        method="highs",
    )
    if not solved.success:
        raise NotMeasurable(what="a prediction interval", why=str(solved.message))
    found = -np.asarray(solved.eqlin.marginals)
    weights = np.zeros(groups.shape[1])
    weights[large] = found[1:]
    return float(found[0]), weights


def coverage(actual: Values, lower: Values, upper: Values) -> Interval:
    """Share of rows inside their interval, with its exact limits (Clopper and Pearson, 1934).

    All columns of shape (n,). NotMeasurable for fewer than two rows.
    """
    y, low, high = finite_columns("the coverage of the interval", actual, lower, upper)
    return coverage_of(int(np.sum((y >= low) & (y <= high))), len(y))


def coverage_of(inside: float, n: float, *, confidence: float = 0.95) -> Interval:
    """The same from counts of independent rows: how many of `n` > 0 are inside."""
    tail = (1 - confidence) / 2
    least = float(beta.ppf(tail, inside, n - inside + 1)) if inside else 0.0
    most = float(beta.ppf(1 - tail, inside + 1, n - inside)) if inside < n else 1.0
    return Interval(inside / n, least, most, confidence)
