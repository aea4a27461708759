"""The recipes of the gate's benchmarks, with settings of their own.

Kept figures can be repeated after the search's default space changes. `middling`
is the default family (neighbour features, boosted) in the middle of its space; `boosting` on raw
numbers, ratios and clusters is an eighth of the work, for whole years of nights.
"""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from housing.features.derived import inputs_of, transformer
from housing.features.spatial import ClusterSimilarity
from housing.problems.california.features import RATIOS
from housing.problems.california.models import spatial
from housing.schema import CATALOGUE, CATEGORIES, COORDINATES, FEATURES, NUMBERS
from housing.training.workers import one_thread


def boosting(seed: int, *, clusters: int, **settings: Any) -> Pipeline:
    """An unfitted model; `settings` are HistGradientBoostingRegressor's."""
    one_hot = OneHotEncoder(
        categories=[list(CATALOGUE[name].categories) for name in CATEGORIES],
        handle_unknown="ignore",
        sparse_output=False,
    )
    geo = ClusterSimilarity(n_clusters=clusters, n_init=1, random_state=seed)
    preprocess = ColumnTransformer(
        [
            ("number", "passthrough", [name for name in FEATURES if name in NUMBERS]),
            ("derived", transformer(RATIOS), list(inputs_of(RATIOS))),
            ("geo", geo, list(COORDINATES)),
            ("category", one_hot, list(CATEGORIES)),
        ]
    )
    model = HistGradientBoostingRegressor(early_stopping=False, random_state=seed, **settings)
    return Pipeline([("preprocess", preprocess), ("model", model)])


def middling(seed: int) -> Pipeline:
    """The one recipe of all bags: the default family in the middle of its space."""
    model = HistGradientBoostingRegressor(
        early_stopping=False,
        random_state=seed,
        max_iter=325,
        learning_rate=0.057,
        max_leaf_nodes=32,
        min_samples_leaf=12,
        l2_regularization=1.0,
        max_features=0.25,
    )
    return Pipeline([("preprocess", spatial(seed)), ("model", model)])


def plain(seed: int) -> Pipeline:
    """The cheaper recipe of the simulated worlds, whose fresh test sets are many."""
    return boosting(
        seed,
        clusters=80,
        max_iter=300,
        learning_rate=0.08,
        max_leaf_nodes=40,
        min_samples_leaf=8,
        l2_regularization=1.0,
        max_features=0.1,
    )


def fitted(model: Pipeline, X: Any, y: Any) -> Pipeline:
    """Fit with one thread, so that it gives the same on every machine."""
    with one_thread():
        return model.fit(X, y)
