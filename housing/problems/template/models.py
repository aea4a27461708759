"""Model families of a table of numbers and categories, with their search spaces.

They name no column, so they work for any table; the draft of a package names this module. A team
that changes spaces, leaves families out or adds its own writes a module with FAMILIES and BASELINES
that imports from here what it keeps.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVR

from housing.features.preprocess import (
    STEP_CHOICES,
    TREE_TYPES,
    reference_preprocessor,
    searched_pipeline,
    tree_preprocessor,
)
from housing.schema import TABLE
from housing.training.families import ModelFamily

# Early stopping would set rows aside and make the number of trees random.
TREES = partial(HistGradientBoostingRegressor, early_stopping=False)


def _for_trees(model: Any) -> Pipeline:
    return Pipeline([("preprocess", tree_preprocessor(TABLE, ordinal=True)), ("model", model)])


def _scaled(seed: int, model: Any) -> Pipeline:
    return Pipeline([("preprocess", reference_preprocessor(TABLE, seed)), ("model", model)])


def _boosting(seed: int) -> Pipeline:
    return _for_trees(TREES(random_state=seed))


def _boosting_log(seed: int) -> Pipeline:
    model = TREES(random_state=seed)
    return _for_trees(TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp))


def _forest(seed: int) -> Pipeline:
    return _scaled(seed, RandomForestRegressor(n_estimators=100, random_state=seed))


def _linear(seed: int) -> Pipeline:
    return _scaled(seed, Ridge())


def _svr(_seed: int) -> Pipeline:
    return searched_pipeline(SVR(cache_size=500))


def _nearest(_seed: int) -> Pipeline:
    return searched_pipeline(KNeighborsRegressor(algorithm="kd_tree"))


def _median(_seed: int) -> Pipeline:
    return Pipeline([("preprocess", "passthrough"), ("model", DummyRegressor(strategy="median"))])


SPACE: Mapping[str, Any] = {
    "max_iter": randint(200, 601),
    "learning_rate": loguniform(0.03, 0.15),
    "max_leaf_nodes": randint(15, 64),
    "min_samples_leaf": randint(5, 41),
    "l2_regularization": loguniform(0.01, 10),
    "max_features": uniform(0.3, 0.7),
}

_FAMILIES = (
    ModelFamily(
        "boosting", _boosting, "Histogram gradient boosting: the default",
        {f"model__{name}": values for name, values in SPACE.items()},
    ),
    ModelFamily(
        "boosting-log", _boosting_log, "The same of the logarithm of a target above zero",
        {f"model__regressor__{name}": values for name, values in SPACE.items()},
    ),
    ModelFamily(
        "forest", _forest, "A random forest", {"model__max_features": uniform(0.2, 0.8)}
    ),
    ModelFamily("linear", _linear, "Ridge regression", {"model__alpha": loguniform(1e-3, 1e3)}),
    ModelFamily(
        "svr", _svr, "Support vectors, fitted on at most 5,000 rows",
        {**STEP_CHOICES, "model__regressor__model__C": loguniform(0.5, 20)}, most_rows=5_000,
    ),
    ModelFamily(
        "nearest", _nearest, "The mean of the nearest rows, of at most 100,000",
        {**STEP_CHOICES, "model__regressor__model__n_neighbors": randint(3, 31)}, most_rows=100_000,
        trusted=TREE_TYPES,
    ),
)  # fmt: skip
FAMILIES = {f.name: f for f in _FAMILIES if TABLE.positive or f.name != "boosting-log"}

BASELINES = {
    "median": ModelFamily("median", _median, "The median of the training side for each row"),
    "linear": ModelFamily("linear", _linear, "Ridge regression with its defaults"),
}
