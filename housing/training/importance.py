"""What columns and groups of features are worth to a model: on rows that it never saw.

By permutation: how much the mean squared error grows when a column, or a group of features, is
shuffled. It works for any model, and splits what correlated columns share. On training rows it
would mislead: a shuffled training row is no longer hidden from itself (`features.neighbours`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from housing.features.preprocess import group_of
from housing.records import Candidate
from housing.training.candidates import FAMILIES, ModelFamily, pipeline
from housing.training.search_config import SearchPlan
from housing.training.workers import one_thread

Floats = npt.NDArray[np.float64]

ROWS = 8000
"""Training districts that are looked at; a third of them are held out."""

HELD_OUT = 1 / 3
SHUFFLED_ROWS = 1000
"""Held-out districts that are predicted again with each column shuffled."""


@dataclass(frozen=True)
class Importances:
    """Shares of what the model knows, largest first; each sums to 1, or is 0 throughout."""

    columns: Mapping[str, float]  # raw column -> share
    groups: Mapping[str, float]  # group of features -> share; empty for other features


def importances(
    draw: Candidate,
    plan: SearchPlan,
    X: pd.DataFrame,
    y: Floats,
    candidates: Mapping[str, ModelFamily] = FAMILIES,
) -> Importances:
    """Fit a draw on a part of the rows, shape (n, features), and shuffle in another part."""
    order = np.random.default_rng(plan.seed).permutation(len(X))[:ROWS]
    held_out = order[: max(1, int(len(order) * HELD_OUT))]
    train = order[len(held_out) :] if len(order) > len(held_out) else held_out
    model = pipeline(draw, plan.seed, candidates, plan.exclude_features)
    with one_thread():
        model.fit(X.iloc[train], y[train])
        shown = held_out[:SHUFFLED_ROWS]
        rows, labels = X.iloc[shown], y[shown]
        return Importances(
            columns_worth(model, rows, labels, plan.seed),
            groups_worth(model, rows, labels, plan.seed),
        )


def columns_worth(model: Pipeline, X: pd.DataFrame, y: Floats, seed: int) -> dict[str, float]:
    """Share of each raw column."""
    columns = {str(name): [i] for i, name in enumerate(X.columns)}

    def shuffled(places: list[int], order: npt.NDArray[np.int64]) -> Floats:
        changed = X.copy()
        for place in places:
            changed.isetitem(place, X.iloc[order, place].array)
        return np.asarray(model.predict(changed))

    return _shares(columns, np.asarray(model.predict(X)), shuffled, y, seed)


def groups_worth(model: Pipeline, X: pd.DataFrame, y: Floats, seed: int) -> dict[str, float]:
    """Share of each group of features; empty where the model's features are in no groups."""
    if not hasattr(model[:-1], "get_feature_names_out"):
        return {}
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(model[:-1].get_feature_names_out()):
        groups.setdefault(group_of(str(name)) or "columns", []).append(place)
    if set(groups) == {"columns"}:
        return {}
    features = np.asarray(model[:-1].transform(X))

    def shuffled(places: list[int], order: npt.NDArray[np.int64]) -> Floats:
        changed = features.copy()
        changed[:, places] = features[order][:, places]
        return np.asarray(model[-1].predict(changed))

    return _shares(groups, np.asarray(model[-1].predict(features)), shuffled, y, seed)


def _shares(
    parts: Mapping[str, list[int]],
    predicted: Floats,
    shuffled: Callable[[list[int], npt.NDArray[np.int64]], Floats],
    y: Floats,
    seed: int,
) -> dict[str, float]:
    order = np.random.default_rng(seed).permutation(len(y))
    before = np.square(predicted - y).mean()
    growth = {
        name: max(0.0, float(np.square(shuffled(places, order) - y).mean() - before))
        for name, places in parts.items()
    }
    total = sum(growth.values()) or 1.0
    ranked = sorted(growth.items(), key=lambda item: -item[1])
    return {name: value / total for name, value in ranked}
