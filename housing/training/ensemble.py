"""Chooses the candidates whose mean is the challenger, by their out-of-fold predictions.

Greedy selection with replacement: Caruana, Niculescu-Mizil, Crew, Ksikes (2004), Ensemble Selection
from Libraries of Models. The test side is not used.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from housing.array_types import Floats, Integers
from housing.evaluation.metrics import losses
from housing.metric import RMSE, metric_named
from housing.schema import in_range

POOL = 8
"""Best trials among which the members are chosen: few, since each adds a chance to overfit these
folds."""


@dataclass(frozen=True, eq=False)
class EnsembleSelection:
    """Members of an ensemble of equally weighted models, and its out-of-fold predictions."""

    models: Mapping[int, int]  # candidate -> how many models of it, ascending by candidate
    cv_error: float  # mean over folds
    predicted: Floats  # one a row that was scored, shape (n,)
    nested: Floats  # the same of members chosen on the other folds: no row chose its own


def choose(
    predicted: Mapping[int, Floats],
    y: Floats,
    tests: Sequence[Integers],
    size: int,
    metric: str = RMSE,
) -> EnsembleSelection:
    """Choose `size` models, one after the other, each the one that lowers the error most.

    predicted: out-of-fold predictions of each candidate, shape (n,), as its model gives them;
    tests: rows of each fold. As in service, the mean is held in the target's range, no member is.
    """
    chosen, mean = _greedy(predicted, y, tests, size, metric)
    nested = np.empty(len(y))
    for fold, rows in enumerate(tests):
        others = [test for other, test in enumerate(tests) if other != fold]
        nested[rows] = _greedy(predicted, y, others, size, metric)[1][rows]
    error = _error(mean, y, tests, metric)
    return EnsembleSelection(dict(sorted(chosen.items())), error, mean, nested)


def _greedy(
    predicted: Mapping[int, Floats],
    y: Floats,
    tests: Sequence[Integers],
    size: int,
    metric: str,
) -> tuple[Counter[int], Floats]:
    """The members that have the lowest error on these folds, and their mean, shape (n,)."""
    order = sorted(predicted)
    chosen: Counter[int] = Counter()
    total = np.zeros(len(y))
    for count in range(1, size + 1):
        errors = [_error((total + predicted[c]) / count, y, tests, metric) for c in order]
        best = order[int(np.argmin(errors))]
        chosen[best] += 1
        total = total + predicted[best]
    return chosen, in_range(total / size)


def _error(values: Floats, y: Floats, tests: Sequence[Integers], metric: str) -> float:
    """Mean over the folds of the metric of these predictions, held in the target's range."""
    loss, power = losses(metric, y, in_range(values)), metric_named(metric).power
    return float(np.mean([loss[rows].mean() ** power for rows in tests]))
