"""The recipe of the gate's benchmarks: histogram boosting on raw numbers, ratios and clusters.

A recipe of its own, so that kept figures can be made again whatever the search's default family
has become since.
"""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from housing.features.derived import RATIOS, inputs_of, transformer
from housing.features.spatial import ClusterSimilarity
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
    """The one recipe of all bags: the middle of the space that was searched by default."""
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
