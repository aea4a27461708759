"""Permutation importance of columns and groups of features, on rows that the model never saw.

It is the growth of the mean squared error when a column, or a group of features, is shuffled. It
works for any model, and correlated columns share it. Training rows would give wrong values: a
shuffled training row is no longer hidden from itself (`features.neighbours`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from housing.array_types import Floats
from housing.features.preprocess import group_of, groups_of
from housing.records import Candidate, UnseenPlaces
from housing.training.candidates import pipeline
from housing.training.search_config import SearchPlan
from housing.training.unseen_places import unseen_places
from housing.training.workers import one_thread

ROWS = 8000
"""Training rows that are used; a third of them as the validation part."""

VALIDATION = 1 / 3
SHUFFLED_ROWS = 1000
"""Validation rows that are predicted again with each column shuffled."""


@dataclass(frozen=True)
class Importances:
    """Shares of the importance, largest first; each sums to 1, or is 0 throughout."""

    columns: Mapping[str, float]  # raw column -> share
    groups: Mapping[str, float]  # group of features -> share; empty for other features
    unseen: UnseenPlaces | None = None  # measured beside them, with the same fit


def importances(candidate: Candidate, plan: SearchPlan, X: pd.DataFrame, y: Floats) -> Importances:
    """Fit a candidate on a part of the rows, shape (n, features), and shuffle another part."""
    order = np.random.default_rng(plan.seed).permutation(len(X))[:ROWS]
    validation = order[: max(1, int(len(order) * VALIDATION))]
    train = order[len(validation) :] if len(order) > len(validation) else validation
    model, other = (pipeline(candidate, plan.seed, without=plan.exclude_features) for _ in range(2))
    with one_thread():
        model.fit(X.iloc[train], y[train])
        shown = validation[:SHUFFLED_ROWS]
        rows, labels = X.iloc[shown], y[shown]
        return Importances(
            _shares({str(n): [n] for n in rows}, model.predict, rows, labels, plan.seed),
            _group_importances(model, rows, labels, plan.seed),
            unseen_places(model, other, X, y, train, plan.metric),
        )


def _group_importances(model: Pipeline, X: pd.DataFrame, y: Floats, seed: int) -> dict[str, float]:
    """Empty where the model's features are in no groups."""
    steps = model[:-1]
    if not hasattr(steps, "get_feature_names_out"):
        return {}
    names = [str(name) for name in steps.get_feature_names_out()]
    known, groups = groups_of(model[0]), dict[str, list[str]]()
    for name in names:
        group = group_of(name)
        groups.setdefault(group if group in known else "columns", []).append(name)
    if set(groups) == {"columns"}:
        return {}
    features = pd.DataFrame(np.asarray(steps.transform(X)), columns=names)
    return _shares(groups, lambda rows: model[-1].predict(rows.to_numpy()), features, y, seed)


def _shares(
    parts: Mapping[str, list[Any]],
    predict: Callable[[pd.DataFrame], Any],
    rows: pd.DataFrame,
    y: Floats,
    seed: int,
) -> dict[str, float]:
    order = np.random.default_rng(seed).permutation(len(y))

    def error(changed: pd.DataFrame) -> float:
        return float(np.square(np.asarray(predict(changed)) - y).mean())

    before = error(rows)
    growth = {}
    for part, names in parts.items():
        changed = rows.copy()
        for name in names:
            changed[name] = rows[name].iloc[order].array
        growth[part] = max(0.0, error(changed) - before)
    total = sum(growth.values()) or 1.0
    ranked = sorted(growth.items(), key=lambda item: -item[1])
    return {name: value / total for name, value in ranked}
