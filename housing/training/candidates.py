"""Model families and their search spaces.

A family is a builder, a space and one line in `FAMILIES`. `BASELINES` are models that a challenger
must beat; they are fitted, never searched. Not here: how candidates are drawn, scored or refitted.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from scipy.stats import loguniform, randint, uniform
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

from housing.features.preprocess import leave_out, reference_preprocessor, spatial_preprocessor
from housing.records import Candidate

CLUSTERS = "preprocess__geo__n_clusters"


def _constant_cost(_parameters: Mapping[str, Any]) -> float:
    return 0.1


@dataclass(frozen=True)
class ModelFamily:
    """A model family.

    `build` takes the seed of everything random inside and returns an unfitted pipeline with the
    steps `preprocess` and `model`. `space` maps its parameter names to a list of values or to a
    scipy distribution. `cost` estimates one fit (seconds at 10,000 rows) from a draw's
    parameters; it only orders the work. `extra` is a package that only this family needs, and the
    name of the project's extra that installs it. `trusted` names types of other packages in its
    fitted models, e.g. "lightgbm.basic.Booster": they may be loaded.
    """

    name: str
    build: Callable[[int], Pipeline]
    explanation: str
    space: Mapping[str, Any] = field(default_factory=dict)
    cost: Callable[[Mapping[str, Any]], float] = _constant_cost
    extra: str = ""
    trusted: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is installed."""
        return not self.extra or find_spec(self.extra) is not None


def _pipeline(preprocess: Any, model: Any) -> Pipeline:
    return Pipeline([("preprocess", preprocess), ("model", model)])


def _linear(seed: int) -> Pipeline:
    return _pipeline(reference_preprocessor(seed), Ridge())


def _tree(seed: int) -> Pipeline:
    return _pipeline(reference_preprocessor(seed), DecisionTreeRegressor(random_state=seed))


def _forest(seed: int) -> Pipeline:
    return _pipeline(
        reference_preprocessor(seed), RandomForestRegressor(n_estimators=100, random_state=seed)
    )


def _forest_cost(parameters: Mapping[str, Any]) -> float:
    return 0.4 * float(parameters["model__max_features"])


def _boosting(seed: int) -> Pipeline:
    # Early stopping would set rows aside and make the number of trees random.
    model = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
    return _pipeline(spatial_preprocessor(seed), model)


def _boosting_cost(parameters: Mapping[str, Any]) -> float:
    return float(parameters["model__max_iter"]) * float(parameters["model__max_leaf_nodes"]) * 1e-4


def _lightgbm(seed: int) -> Pipeline:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(
        n_jobs=1, random_state=seed, subsample=0.8, subsample_freq=1, verbose=-1,
        deterministic=True, force_col_wise=True,
    )  # fmt: skip
    return _pipeline(spatial_preprocessor(seed), model)


def _lightgbm_cost(parameters: Mapping[str, Any]) -> float:
    return float(parameters["model__n_estimators"]) * float(parameters["model__num_leaves"]) * 1e-4


def _extra_trees(seed: int) -> Pipeline:
    model = ExtraTreesRegressor(n_estimators=100, random_state=seed)
    return _pipeline(spatial_preprocessor(seed), model)


def _extra_trees_cost(parameters: Mapping[str, Any]) -> float:
    return 10 * float(parameters["model__max_features"])


def _median(_seed: int) -> Pipeline:
    return _pipeline("passthrough", DummyRegressor(strategy="median"))


def _least_squares(seed: int) -> Pipeline:
    return _pipeline(reference_preprocessor(seed), LinearRegression())


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
        _boosting_cost,
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
        _lightgbm_cost,
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
        _boosting_cost,
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
        _lightgbm_cost,
        extra="lightgbm",
        trusted=LIGHTGBM_TYPES,
    ),
    "extra-trees": ModelFamily(
        "extra-trees",
        _extra_trees,
        "100 trees with random cuts on the same features; its errors differ from those of boosting",
        {"model__min_samples_leaf": randint(1, 4), "model__max_features": uniform(0.2, 0.4)},
        _extra_trees_cost,
    ),
    "forest": ModelFamily(
        "forest",
        _forest,
        "The reference recipe: a random forest of 100 trees, with the space it was published with",
        {CLUSTERS: randint(3, 50), "model__max_features": randint(2, 20)},
        _forest_cost,
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
    ),
}

BASELINES: Mapping[str, ModelFamily] = {
    "median": ModelFamily("median", _median, "The median price of the training side for each row"),
    "linear": ModelFamily("linear", _least_squares, "Least squares on the reference recipe"),
}


def unfitted(
    family: str,
    seed: int,
    candidates: Mapping[str, ModelFamily] = FAMILIES,
    without: Collection[str] = (),
) -> Pipeline:
    """A family's unfitted pipeline without some groups of features."""
    built: Pipeline = candidates[family].build(seed)
    leave_out(built["preprocess"], without)
    return built


def pipeline(
    draw: Candidate,
    seed: int,
    candidates: Mapping[str, ModelFamily] = FAMILIES,
    without: Collection[str] = (),
) -> Pipeline:
    """The unfitted pipeline of a draw.

    Raises KeyError for a family that is not there, ValueError for a parameter it does not have.
    """
    return unfitted(draw.family, seed, candidates, without).set_params(**draw.parameters)
