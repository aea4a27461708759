"""Model families of the census table, their search spaces, and the baselines.

A family is a builder, a space and one line in `FAMILIES`. `BASELINES` are models that a challenger
must beat; they are fitted, never searched.
"""

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

from scipy.stats import loguniform, randint, uniform
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from housing.features.preprocess import (
    STEP_CHOICES,
    TREE_TYPES,
    reference_preprocessor,
    searched_pipeline,
    tree_preprocessor,
)
from housing.problems.california.features import COMPARED, COVARIATES, LOGS, RATIOS, ROW_GROUPS
from housing.problems.california.table import LOCATION, TABLE
from housing.training.families import ModelFamily

DERIVED = (*RATIOS, *LOGS)

CLUSTERS = "preprocess__geo__n_clusters"


def reference(seed: int) -> ColumnTransformer:
    """The preprocessing of the reference recipe: ratios, logs, cluster similarity, scaling."""
    groups = {"ratios": RATIOS, "logs": LOGS}
    return reference_preprocessor(TABLE, seed, groups, LOCATION.columns)


def spatial(_seed: int) -> ColumnTransformer:
    """Numbers as they are, derived columns, and features of neighbouring districts."""
    return tree_preprocessor(TABLE, ROW_GROUPS, COVARIATES)


def _pipeline(preprocess: Any, model: Any) -> Pipeline:
    return Pipeline([("preprocess", preprocess), ("model", model)])


def _cost(factor: float, names: tuple[str, ...], parameters: Mapping[str, Any]) -> float:
    """A cost in proportion to some parameters."""
    return factor * prod(float(parameters[name]) for name in names)


def _linear(seed: int) -> Pipeline:
    return _pipeline(reference(seed), Ridge())


def _tree(seed: int) -> Pipeline:
    return _pipeline(reference(seed), DecisionTreeRegressor(random_state=seed))


def _forest(seed: int) -> Pipeline:
    return _pipeline(reference(seed), RandomForestRegressor(n_estimators=100, random_state=seed))


def _boosting(seed: int) -> Pipeline:
    # Early stopping would set rows aside and make the number of trees random.
    model = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
    return _pipeline(spatial(seed), model)


BOOSTING_COST = partial(_cost, 1e-4, ("model__max_iter", "model__max_leaf_nodes"))


def _lightgbm(seed: int) -> Pipeline:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(
        n_jobs=1, random_state=seed, subsample=0.8, subsample_freq=1, verbose=-1,
        deterministic=True, force_col_wise=True,
    )  # fmt: skip
    return _pipeline(spatial(seed), model)


LIGHTGBM_COST = partial(_cost, 1e-4, ("model__n_estimators", "model__num_leaves"))


def _catboost(seed: int) -> Pipeline:
    from housing.training.symmetric_trees import SymmetricTrees

    model = SymmetricTrees(
        random_seed=seed, thread_count=1, bootstrap_type="Bernoulli", subsample=0.8,
        allow_writing_files=False, logging_level="Silent",
    )  # fmt: skip
    return _pipeline(spatial(seed), model)


def _extra_trees(seed: int) -> Pipeline:
    model = ExtraTreesRegressor(n_estimators=100, random_state=seed)
    return _pipeline(spatial(seed), model)


def _svr(_seed: int) -> Pipeline:
    return searched_pipeline(SVR(cache_size=500), COMPARED)


def _svr_cost(parameters: Mapping[str, Any]) -> float:
    return 2.0 + 0.1 * float(parameters["model__regressor__model__C"])


def _nearest(_seed: int) -> Pipeline:
    return searched_pipeline(KNeighborsRegressor(algorithm="kd_tree"), COMPARED)


def _median(_seed: int) -> Pipeline:
    return _pipeline("passthrough", DummyRegressor(strategy="median"))


def _least_squares(seed: int) -> Pipeline:
    return _pipeline(reference(seed), LinearRegression())


LIGHTGBM_TYPES = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMRegressor",
)
"""What a fitted LightGBM model holds; its trees are text within."""

FAMILIES: Mapping[str, ModelFamily] = {
    "boosting": ModelFamily(
        "boosting",
        _boosting,
        "Histogram gradient boosting on the table's columns and neighbour features: the default",
        {
            "model__max_iter": randint(250, 401),
            "model__learning_rate": loguniform(0.04, 0.08),
            "model__max_leaf_nodes": randint(20, 46),
            "model__min_samples_leaf": randint(5, 21),
            "model__l2_regularization": loguniform(0.1, 10),
            "model__max_features": uniform(0.1, 0.3),
        },
        BOOSTING_COST,
        grid={
            "model__max_iter": [300],
            "model__learning_rate": [0.05, 0.07],
            "model__max_leaf_nodes": [20, 30, 45],
        },
    ),
    "lightgbm": ModelFamily(
        "lightgbm",
        _lightgbm,
        "LightGBM on the same features; needs the extra `lightgbm`",
        {
            "model__n_estimators": randint(250, 401),
            "model__learning_rate": loguniform(0.04, 0.08),
            "model__num_leaves": randint(20, 46),
            "model__min_child_samples": randint(5, 21),
            "model__reg_lambda": loguniform(0.1, 10),
            "model__colsample_bytree": uniform(0.2, 0.4),
        },
        LIGHTGBM_COST,
        extra="lightgbm",
        trusted=LIGHTGBM_TYPES,
    ),
    "boosting-slow": ModelFamily(
        "boosting-slow",
        _boosting,
        "The same with about 1,000 small steps: more accurate, three times slower",
        {
            "model__max_iter": randint(800, 1201),
            "model__learning_rate": loguniform(0.015, 0.03),
            "model__max_leaf_nodes": randint(20, 46),
            "model__min_samples_leaf": randint(5, 21),
            "model__l2_regularization": loguniform(0.1, 10),
            "model__max_features": uniform(0.08, 0.17),
        },
        BOOSTING_COST,
    ),
    "lightgbm-slow": ModelFamily(
        "lightgbm-slow",
        _lightgbm,
        "LightGBM with as many small steps; needs the extra `lightgbm`",
        {
            "model__n_estimators": randint(800, 1401),
            "model__learning_rate": loguniform(0.015, 0.03),
            "model__num_leaves": randint(24, 61),
            "model__min_child_samples": randint(5, 21),
            "model__reg_lambda": loguniform(0.1, 10),
            "model__colsample_bytree": uniform(0.15, 0.2),
            # Capped prices and a few villas are outliers: an error beyond `alpha` dollars counts
            # by its size and no longer by its square.
            "model__objective": ["huber"],
            "model__alpha": [40_000.0, 60_000.0],
        },
        LIGHTGBM_COST,
        extra="lightgbm",
        trusted=LIGHTGBM_TYPES,
    ),
    "catboost": ModelFamily(
        "catboost",
        _catboost,
        "CatBoost's symmetric trees on the same features: as accurate as a mean of several others, "
        "and the fastest for many rows; needs the extra `catboost`",
        {
            "model__iterations": randint(1_200, 1_801),
            "model__learning_rate": loguniform(0.035, 0.06),
            "model__depth": [6, 7],
            "model__rsm": uniform(0.2, 0.2),
            "model__l2_leaf_reg": loguniform(1, 10),
        },
        partial(_cost, 0.002, ("model__iterations",)),
        extra="catboost",
        trusted=("housing.training.symmetric_trees.SymmetricTrees",),
    ),
    "extra-trees": ModelFamily(
        "extra-trees",
        _extra_trees,
        "100 trees with random cuts on the same features; its errors differ from those of boosting",
        {"model__min_samples_leaf": randint(1, 4), "model__max_features": uniform(0.2, 0.4)},
        partial(_cost, 10, ("model__max_features",)),
        grid={"model__min_samples_leaf": [1, 2, 3], "model__max_features": [0.3, 0.5]},
    ),
    "forest": ModelFamily(
        "forest",
        _forest,
        "The reference recipe: a random forest of 100 trees, with the space it was published with",
        {CLUSTERS: randint(3, 50), "model__max_features": randint(2, 20)},
        partial(_cost, 0.4, ("model__max_features",)),
        grid={CLUSTERS: [5, 10, 15], "model__max_features": [4, 6, 8]},
    ),
    "tree": ModelFamily(
        "tree",
        _tree,
        "One decision tree: less accurate, small and fast",
        {
            CLUSTERS: randint(3, 50),
            "model__min_samples_leaf": randint(5, 61),
            "model__max_features": uniform(0.3, 0.7),
        },
        grid={CLUSTERS: [10, 30], "model__min_samples_leaf": [10, 20, 40]},
    ),
    "linear": ModelFamily(
        "linear",
        _linear,
        "Ridge regression on the scaled reference features",
        {
            CLUSTERS: randint(10, 101),
            "preprocess__geo__gamma": loguniform(0.1, 10),
            "preprocess__geo__label_weights": [False, True],
            "model__alpha": loguniform(1e-3, 1e2),
        },
        grid={CLUSTERS: [30, 100], "model__alpha": [0.01, 0.1, 1.0, 10.0]},
    ),
    "svr": ModelFamily(
        "svr",
        _svr,
        "Support vectors, fitted on at most 5,000 rows; the search also chooses how gaps are "
        "filled, the scaling, the target's scale and which columns are used",
        {
            **STEP_CHOICES,
            "model__regressor__model__C": loguniform(0.5, 20),
            "model__regressor__model__gamma": loguniform(0.03, 0.5),
            "model__regressor__model__epsilon": loguniform(0.05, 0.3),
        },
        _svr_cost,
        most_rows=5_000,
        grid={**STEP_CHOICES, "model__regressor__model__C": [1.0, 10.0]},
    ),
    "nearest": ModelFamily(
        "nearest",
        _nearest,
        "The mean of the nearest rows, of at most 100,000, with the same choices",
        {
            **STEP_CHOICES,
            "model__regressor__model__n_neighbors": randint(3, 31),
            "model__regressor__model__weights": ["uniform", "distance"],
            "model__regressor__model__p": [1, 2],
        },
        most_rows=100_000,
        trusted=TREE_TYPES,
        grid={**STEP_CHOICES, "model__regressor__model__n_neighbors": [5, 10, 20]},
    ),
}

BASELINES: Mapping[str, ModelFamily] = {
    "median": ModelFamily("median", _median, "The median price of the training side for each row"),
    "linear": ModelFamily("linear", _least_squares, "Least squares on the reference recipe"),
}
