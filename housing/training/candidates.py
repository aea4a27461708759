"""THE DOMAIN of the search: model families, and the space that each is searched in.

A family is a builder, a space and one line in `CANDIDATES`. `BASELINES` are what a model has to
beat; they are fitted, never searched. Not here: how draws are made, scored or refitted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import loguniform, randint, uniform
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

from housing.features.preprocess import lean, recipe
from housing.records import Draw

CLUSTERS = "preprocess__geo__n_clusters"


def _constant_cost(_parameters: Mapping[str, Any]) -> float:
    return 0.1


@dataclass(frozen=True)
class Candidate:
    """A model family.

    `build` takes the seed of everything random inside and returns an unfitted pipeline with the
    steps `preprocess` and `model`. `space` maps its parameter names to a list of values or to a
    scipy distribution. `cost` estimates one fit (seconds at 10,000 rows) from a draw's
    parameters; it orders the work and decides nothing else.
    """

    name: str
    build: Callable[[int], Pipeline]
    explanation: str
    space: Mapping[str, Any] = field(default_factory=dict)
    cost: Callable[[Mapping[str, Any]], float] = _constant_cost


def _pipeline(preprocess: Any, model: Any) -> Pipeline:
    return Pipeline([("preprocess", preprocess), ("model", model)])


def _linear(seed: int) -> Pipeline:
    return _pipeline(recipe(seed), Ridge())


def _tree(seed: int) -> Pipeline:
    return _pipeline(recipe(seed), DecisionTreeRegressor(random_state=seed))


def _forest(seed: int) -> Pipeline:
    return _pipeline(recipe(seed), RandomForestRegressor(n_estimators=100, random_state=seed))


def _forest_cost(parameters: Mapping[str, Any]) -> float:
    return 0.4 * float(parameters["model__max_features"])


def _boosting(seed: int) -> Pipeline:
    # One KMeans start: with this many centres the best of ten is no better, and costs more than
    # the trees. Early stopping would hold back rows and make the number of trees a matter of luck.
    preprocess = lean(seed).set_params(geo__n_init=1)
    model = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
    return _pipeline(preprocess, model)


def _boosting_cost(parameters: Mapping[str, Any]) -> float:
    trees = float(parameters["model__max_iter"]) * float(parameters["model__max_leaf_nodes"])
    return trees * (40 + float(parameters[CLUSTERS])) * 1e-6


def _median(_seed: int) -> Pipeline:
    return _pipeline("passthrough", DummyRegressor(strategy="median"))


def _least_squares(seed: int) -> Pipeline:
    return _pipeline(recipe(seed), LinearRegression())


CANDIDATES: Mapping[str, Candidate] = {
    "boosting": Candidate(
        "boosting",
        _boosting,
        "Histogram gradient boosting on raw numbers, ratios and many clusters: the most accurate",
        # No gamma: each similarity falls with distance whatever gamma is, and a tree sees only
        # the order of values.
        {
            CLUSTERS: randint(60, 101),
            "model__max_iter": randint(300, 501),
            "model__learning_rate": loguniform(0.05, 0.1),
            "model__max_leaf_nodes": randint(30, 61),
            "model__min_samples_leaf": randint(3, 16),
            "model__l2_regularization": loguniform(0.1, 10),
            "model__max_features": uniform(0.05, 0.1),
        },
        _boosting_cost,
    ),
    "forest": Candidate(
        "forest",
        _forest,
        "The reference recipe: a random forest of 100 trees, with the space it was published with",
        {CLUSTERS: randint(3, 50), "model__max_features": randint(2, 20)},
        _forest_cost,
    ),
    "tree": Candidate(
        "tree",
        _tree,
        "One decision tree: less accurate, small and fast",
        {
            CLUSTERS: randint(3, 50),
            "model__min_samples_leaf": randint(5, 61),
            "model__max_features": uniform(0.3, 0.7),
        },
    ),
    "linear": Candidate(
        "linear",
        _linear,
        "Ridge regression on the scaled recipe: what a weighted sum can say",
        {
            CLUSTERS: randint(10, 101),
            "preprocess__geo__gamma": loguniform(0.1, 10),
            "preprocess__geo__label_weights": [False, True],
            "model__alpha": loguniform(1e-3, 1e2),
        },
    ),
}

BASELINES: Mapping[str, Candidate] = {
    "median": Candidate("median", _median, "The median price of the training side, for every row"),
    "linear": Candidate("linear", _least_squares, "Least squares on the reference recipe"),
}


def pipeline(draw: Draw, seed: int, candidates: Mapping[str, Candidate] = CANDIDATES) -> Pipeline:
    """The unfitted pipeline of a draw.

    Raises KeyError for a family that is not there, ValueError for a parameter it does not have.
    """
    built: Pipeline = candidates[draw.family].build(seed)
    return built.set_params(**draw.parameters)
