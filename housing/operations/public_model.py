"""A stored model without target values of single training rows, for `housing export --public`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor
from sqlalchemy.engine import Row

from housing import progress, schema
from housing.errors import NotPossible
from housing.evaluation.metrics import error_of
from housing.features.neighbours import NeighbourTransformer
from housing.features.preprocess import neighbour_groups
from housing.inference.fast_predictor import mean_of, predict_members
from housing.metric import metric_named
from housing.pipeline.train import refit, training_side, verified_training_keys
from housing.settings import Settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.models import searches
from housing.training.candidates import unfitted


@dataclass(frozen=True)
class PublicModel:
    """A model that was fitted again without the groups of features that keep labels, if any."""

    model: Any
    left_out: tuple[str, ...] = ()
    message: str = "It holds no target value of a single training row, and is exported as it is."
    error: float | None = None  # on the test rows, where it has the target's unit


def public_model(store: Store, settings: Settings, row: Row[Any], fitted: Any) -> PublicModel:
    """The model itself where it keeps no labels; else the same candidate without such features.

    NotPossible for a model that keeps labels in itself.
    """
    found = PublicModel(fitted)
    if any(isinstance(each, NeighbourTransformer) for each in _parts(fitted)):
        found = _refitted(store, settings, row, fitted)
    for each in _parts(found.model):
        if why := _why_not(each):
            raise NotPossible(what=f"Exporting m{row.id} for the public", why=f"{why}.")
    return found


def _refitted(store: Store, settings: Settings, row: Row[Any], fitted: Any) -> PublicModel:
    families = {member["candidate"]["family"] for member in row.members}
    groups = {g for name in families for g in neighbour_groups(unfitted(name, 0)["preprocess"])}
    left_out = tuple(sorted(groups))
    frame = datasets.read(store, row.version)
    verified_training_keys(row, frame)
    progress.report("fit", 0, 0, f"m{row.id} without {', '.join(left_out)}")
    model = refit(store, row, *training_side(frame), settings, left_out)
    metric = metric_named(searches.metric_of(store.query(searches.get, row.search)))
    test = datasets.test_rows(frame)
    actual = test[schema.TARGET].to_numpy(np.float64)
    before, after = (
        error_of(actual, mean_of(predict_members(each, test)), metric.name)
        for each in (fitted, model)
    )
    unit = f" {schema.UNIT}" if metric.has_unit and schema.UNIT else ""
    return PublicModel(
        model,
        left_out,
        f"It was fitted again without features of neighbouring rows ({', '.join(left_out)}), which "
        f"hold target values of training rows. On {len(test):,} test rows its {metric.label} is "
        f"{after:,.6g}{unit} instead of {before:,.6g}{unit} ({after / before - 1:+.1%}).",
        after if metric.has_unit else None,
    )


def _parts(thing: Any) -> Iterator[BaseEstimator]:
    """A fitted model's estimators, itself and all within."""
    if isinstance(thing, BaseEstimator):
        if not isinstance(thing, NeighbourTransformer) or hasattr(thing, "labels_"):
            yield thing
        thing = vars(thing)
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, list | tuple):
        for each in thing:
            yield from _parts(each)


def _why_not(fitted: BaseEstimator) -> str:
    """How an estimator shows target values of single training rows; "" if it does not."""
    if isinstance(fitted, KNeighborsRegressor | SVR) and hasattr(fitted, "n_features_in_"):
        return "its family keeps training rows, from which their target values follow"
    sizes: list[Any] = []
    if isinstance(fitted, DecisionTreeRegressor) and hasattr(fitted, "tree_"):
        sizes = [fitted.tree_.n_node_samples[fitted.tree_.children_left < 0]]
    if isinstance(fitted, HistGradientBoostingRegressor) and hasattr(fitted, "_predictors"):
        nodes = [tree.nodes for (tree,) in fitted._predictors]
        sizes = [each["count"][each["is_leaf"].astype(bool)] for each in nodes]
    if any(each.min() < 2 for each in sizes):
        return "its trees have leaves of one training row, whose value is that row's target value"
    return ""
