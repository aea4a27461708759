"""What each model family and each group of features is worth: error and processor time.

`python -m benchmarks families housing.csv`: the training side of the reference split, three folds,
one thread, features computed once a fold. Processor seconds are of one fit on two thirds of the
rows; other work on the machine moves them little. The test side is not looked at. The same for two
other ways to hand the features over: as float32, and with the category as one column of codes
that the library splits by itself.
"""

import argparse
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.reference import recipe
from housing import schema
from housing.features.preprocess import FEATURE_GROUPS
from housing.training.candidates import FAMILIES, unfitted
from housing.training.sampling import folds
from housing.training.search_config import SearchPlan
from housing.training.workers import one_thread

SEED = 1
BOOSTED = {"learning_rate": 0.055, "max_leaf_nodes": 31, "min_samples_leaf": 10,
           "l2_regularization": 1.0, "max_features": 0.25}  # fmt: skip
LIGHT = {"learning_rate": 0.055, "num_leaves": 31, "min_child_samples": 10, "reg_lambda": 1.0,
         "colsample_bytree": 0.25}  # fmt: skip
SLOW = {"learning_rate": 0.02}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "boosting, 300 trees": ("boosting", {**BOOSTED, "max_iter": 300}),
    "boosting-slow, 1,000 trees": (
        "boosting-slow", {**BOOSTED, **SLOW, "max_iter": 1000, "max_features": 0.15},
    ),
    "lightgbm, 300 trees": ("lightgbm", {**LIGHT, "n_estimators": 300}),
    "lightgbm-slow, 1,200 trees": (
        "lightgbm-slow", {**LIGHT, **SLOW, "n_estimators": 1200, "num_leaves": 40},
    ),
    "extra-trees, 100 trees": ("extra-trees", {"min_samples_leaf": 2, "max_features": 0.4}),
}  # fmt: skip
BLENDS: dict[str, dict[str, float]] = {
    "0.7 boosting + 0.3 extra-trees": {
        "boosting, 300 trees": 0.7, "extra-trees, 100 trees": 0.3,
    },
    "0.45 boosting-slow + 0.4 lightgbm-slow + 0.15 extra-trees": {
        "boosting-slow, 1,000 trees": 0.45, "lightgbm-slow, 1,200 trees": 0.4,
        "extra-trees, 100 trees": 0.15,
    },
}  # fmt: skip


HANDED = ("boosting, 300 trees", "lightgbm, 300 trees", "extra-trees, 100 trees")
"""Settings that are tried with features handed over in other ways."""

CODES: dict[str, dict[str, dict[str, Any]]] = {
    "boosting": {"settings": {"categorical_features": [0]}},
    "lightgbm": {"fitting": {"categorical_feature": [0]}},
}
"""How a library learns that the first column is a category; others have no such setting."""


class Table:
    """The training side, its folds, and the features of each."""

    def __init__(self, train: pd.DataFrame) -> None:
        self.X = train.astype(schema.dtypes())[list(schema.FEATURES)]
        self.y = train[schema.TARGET].to_numpy(np.float64)
        self.folds = folds(len(self.X), SearchPlan())

    def features(self, without: tuple[str, ...] = ()) -> list[tuple[Any, Any]]:
        """Both sides of each fold."""
        sides = []
        for fit, score in self.folds:
            built = unfitted("boosting", SEED, without=without)[:-1]
            learnt = built.fit_transform(self.X.iloc[fit], self.y[fit])
            sides.append((learnt, built.transform(self.X.iloc[score])))
        return sides

    def predicted(
        self,
        name: str,
        sides: list[tuple[Any, Any]],
        settings: Mapping[str, Any] = MappingProxyType({}),
        fitting: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[np.ndarray, float]:
        """Out-of-fold predictions and processor seconds a fit."""
        family, parameters = SETTINGS[name]
        model = FAMILIES[family].build(SEED)[-1].set_params(**parameters, **settings)
        predicted, seconds = np.empty(len(self.y)), 0.0
        for (fit, score), (learnt, others) in zip(self.folds, sides, strict=True):
            began = time.process_time()
            fitted = clone(model).fit(learnt, self.y[fit], **fitting)
            seconds += time.process_time() - began
            predicted[score] = fitted.predict(others)
        return predicted, seconds / len(self.folds)

    def error(self, predicted: np.ndarray) -> float:
        """Mean RMSE over the folds, US dollars."""
        squared = np.square(predicted - self.y)
        return float(np.mean([np.sqrt(squared[score].mean()) for _, score in self.folds]))


def one_hot(train: pd.DataFrame) -> list[int]:
    """Positions of the columns that say which category a row is of."""
    built = unfitted("boosting", SEED)[:-1].fit(train[list(schema.FEATURES)], train[schema.TARGET])
    names = built.get_feature_names_out()
    return [at for at, name in enumerate(names) if name.startswith("category__")]


def coded(features: np.ndarray, hot: list[int]) -> np.ndarray:
    """The same features with the category as a code in the first column."""
    code = np.asarray(features)[:, hot].argmax(axis=1)
    return np.column_stack([code, np.delete(features, hot, axis=1)])


def handed_over(table: Table, sides: list[tuple[Any, Any]], hot: list[int]) -> list[dict[str, Any]]:
    """Error and seconds of the settings in HANDED as float64, as float32 and with codes."""
    single = [(fit.astype(np.float32), score.astype(np.float32)) for fit, score in sides]
    codes = [(coded(fit, hot), coded(score, hot)) for fit, score in sides]
    rows = []
    for name in HANDED:
        ways: dict[str, tuple[list[tuple[Any, Any]], dict[str, dict[str, Any]]]] = {
            "float64": (sides, {}), "float32": (single, {}),
        }  # fmt: skip
        if setting := CODES.get(SETTINGS[name][0]):
            ways["category codes"] = (codes, setting)
        plain, _ = table.predicted(name, sides)
        for way, (given, more) in ways.items():
            predicted, seconds = table.predicted(name, given, **more)
            furthest = float(np.abs(predicted - plain).max())
            rows.append({"name": name, "way": way, "rmse": table.error(predicted),
                         "seconds": seconds, "furthest": furthest})  # fmt: skip
    return rows


def main() -> None:
    """Measure families, blends, and the default family without each group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    options = parser.parse_args()
    train, _ = recipe.split(pd.read_csv(reference_table(options)))
    table, default = Table(train), next(iter(SETTINGS))
    with one_thread():
        sides = table.features()
        found = {name: table.predicted(name, sides) for name in SETTINGS}
        rows = [{"name": n, "rmse": table.error(s), "seconds": t} for n, (s, t) in found.items()]
        for name, weights in BLENDS.items():
            predicted = sum(weight * found[n][0] for n, weight in weights.items())
            seconds = sum(found[n][1] for n in weights)
            rows.append({"name": name, "rmse": table.error(predicted), "seconds": seconds})
        handed = handed_over(table, sides, one_hot(train))
        groups = [{"without": "", "rmse": rows[0]["rmse"]}]
        for group in FEATURE_GROUPS:
            predicted, _ = table.predicted(default, table.features((group,)))
            groups.append({"without": group, "rmse": table.error(predicted)})
    for row in (*rows, *handed, *groups):
        print(row)
    results.save("families", {"rows_fitted": len(table.folds[0][0]), "families": rows,
                              "groups": groups, "handed": handed})  # fmt: skip
