"""Small model families and tables that the tests of search and fit share.

At module level, because worker processes import them.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import randint, uniform
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from housing import schema
from housing.problems.california.models import CLUSTERS
from housing.records import Candidate, Member
from housing.training.candidates import FAMILIES
from housing.training.families import ModelFamily
from housing.training.fit import fit_members


@cache
def reference_split(path: Path) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, pd.Series]:
    """X and y of the training side, X and y of the test side: income strata, 20 %, seed 42.

    Every test of a session gets the same frames.
    """
    table = pd.read_csv(path)
    income = schema.TABLE.strata[0].codes(table)
    train, test = train_test_split(table, test_size=0.2, stratify=income, random_state=42)
    train, test = train.astype(schema.dtypes()), test.astype(schema.dtypes())
    features = list(schema.FEATURES)
    return train[features], train[schema.TARGET], test[features], test[schema.TARGET]


def small_forest(seed: int) -> Pipeline:
    return FAMILIES["forest"].build(seed).set_params(model__n_estimators=5)


def small_space(name: str, **changes: Any) -> Mapping[str, Any]:
    space = {**FAMILIES[name].space, **changes}
    return {**space, CLUSTERS: randint(3, 10)} if CLUSTERS in space else space


def small_extra_trees(seed: int) -> Pipeline:
    return FAMILIES["extra-trees"].build(seed).set_params(model__n_estimators=5)


SMALL: Mapping[str, ModelFamily] = {
    **FAMILIES,
    "boosting": replace(
        FAMILIES["boosting"], space=small_space("boosting", model__max_iter=randint(5, 20))
    ),
    "lightgbm": replace(
        FAMILIES["lightgbm"], space=small_space("lightgbm", model__n_estimators=randint(5, 20))
    ),
    "boosting-slow": replace(
        FAMILIES["boosting-slow"],
        space=small_space("boosting-slow", model__max_iter=randint(5, 20)),
    ),
    "lightgbm-slow": replace(
        FAMILIES["lightgbm-slow"],
        space=small_space("lightgbm-slow", model__n_estimators=randint(5, 20)),
    ),
    "catboost": replace(
        FAMILIES["catboost"], space=small_space("catboost", model__iterations=randint(5, 20))
    ),
    "extra-trees": replace(FAMILIES["extra-trees"], build=small_extra_trees),
    "forest": replace(FAMILIES["forest"], build=small_forest, space=small_space("forest")),
    "tree": replace(FAMILIES["tree"], space=small_space("tree")),
    "linear": replace(FAMILIES["linear"], space=small_space("linear")),
}
"""The real families with fewer trees and clusters."""


class Line(RegressorMixin, BaseEstimator):
    """Predicts `slope` times the first column; fails, or takes its time, on demand."""

    def __init__(self, slope: float = 1.0, fails_above: float = np.inf, seconds: float = 0.0):
        self.slope = slope
        self.fails_above = fails_above
        self.seconds = seconds

    def fit(self, X, y):
        if self.slope > self.fails_above:
            raise ArithmeticError(f"slope {self.slope} is too steep")
        time.sleep(self.seconds)
        self.fitted_ = True
        return self

    def predict(self, X):
        return self.slope * np.asarray(X)[:, 0]


SEEN: list[tuple[str, list[int], list[float]]] = []
"""What `Recorder` was shown in this process: method, row labels, labels of the target."""


class Recorder(TransformerMixin, BaseEstimator):
    """Passes rows through and remembers which they were."""

    def fit(self, X, y=None):
        SEEN.append(("fit", list(X.index), list(y)))
        return self

    def transform(self, X):
        SEEN.append(("transform", list(X.index), []))
        return X


def build_recording(seed: int) -> Pipeline:
    return Pipeline([("preprocess", Recorder()), ("model", LinearRegression())])


def build_line(seed: int) -> Pipeline:
    return Pipeline([("preprocess", "passthrough"), ("model", Line())])


def build_failing(seed: int) -> Pipeline:
    return Pipeline([("preprocess", "passthrough"), ("model", Line(fails_above=0.5))])


def build_slow(seed: int) -> Pipeline:
    seconds = float(os.environ.get("LINE_SECONDS", "0.3"))
    return Pipeline([("preprocess", "passthrough"), ("model", Line(seconds=seconds))])


def only(build: Any, space: Mapping[str, Any] | None = None) -> Mapping[str, ModelFamily]:
    """One family, under a name that a plan knows."""
    slopes = {"model__slope": uniform(0, 1)}
    return {"linear": ModelFamily("linear", build, "for tests", slopes if space is None else space)}


def numbers(rows: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Two columns, and labels that are the first times 0.3 plus noise; shape (rows, 2).

    Labels lie in the range of the target, as predictions are held in it.
    """
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": 1e6 + 1e5 * rng.normal(size=rows), "b": rng.normal(size=rows)})
    return X, 0.3 * X["a"] + 1e3 * rng.normal(size=rows)


def fit(
    X: pd.DataFrame,
    y: Any,
    candidate: Candidate,
    *,
    seed: int,
    ensemble_size: int = 1,
    workers: int = 1,
    families: Mapping[str, ModelFamily] = FAMILIES,
) -> Any:
    """The mean of `ensemble_size` models of a candidate, seeded from `seed` on, or the one."""
    members = [Member(candidate, seed + i) for i in range(ensemble_size)]
    return fit_members(X, y, members, workers=workers, families=families).model
