"""What each model family and each group of features is worth: error and processor time.

`python -m benchmarks families housing.csv`: the training side of the reference split, three folds,
one thread, features computed once a fold. Processor seconds are of one fit on two thirds of the
rows; other work on the machine moves them little. The test side is not used.
"""

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.reference import recipe
from housing import schema
from housing.training.candidates import FAMILIES, feature_groups, unfitted
from housing.training.sampling import folds
from housing.training.search_config import SearchPlan
from housing.training.workers import one_thread

SEED = 1
BOOSTED = {"learning_rate": 0.055, "max_leaf_nodes": 31, "min_samples_leaf": 10,
           "l2_regularization": 1.0, "max_features": 0.25}  # fmt: skip
LIGHT = {"learning_rate": 0.055, "num_leaves": 31, "min_child_samples": 10, "reg_lambda": 1.0,
         "colsample_bytree": 0.25}  # fmt: skip
SLOW = {"learning_rate": 0.02}
SYMMETRIC = {"learning_rate": 0.05, "depth": 6, "rsm": 0.3, "l2_leaf_reg": 3.0}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "boosting, 300 trees": ("boosting", {**BOOSTED, "max_iter": 300}),
    "boosting-slow, 1,000 trees": (
        "boosting-slow", {**BOOSTED, **SLOW, "max_iter": 1000, "max_features": 0.15},
    ),
    "lightgbm, 300 trees": ("lightgbm", {**LIGHT, "n_estimators": 300}),
    "lightgbm-slow, 1,200 trees": (
        "lightgbm-slow", {**LIGHT, **SLOW, "n_estimators": 1200, "num_leaves": 40},
    ),
    "catboost, 1,500 trees": ("catboost", {**SYMMETRIC, "iterations": 1500}),
    "extra-trees, 100 trees": ("extra-trees", {"min_samples_leaf": 2, "max_features": 0.4}),
}  # fmt: skip
BLENDS: dict[str, dict[str, float]] = {
    "0.7 boosting + 0.3 extra-trees": {
        "boosting, 300 trees": 0.7, "extra-trees, 100 trees": 0.3,
    },
    "0.5 boosting + 0.5 catboost": {
        "boosting, 300 trees": 0.5, "catboost, 1,500 trees": 0.5,
    },
    "0.45 boosting-slow + 0.4 lightgbm-slow + 0.15 extra-trees": {
        "boosting-slow, 1,000 trees": 0.45, "lightgbm-slow, 1,200 trees": 0.4,
        "extra-trees, 100 trees": 0.15,
    },
}  # fmt: skip


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
    ) -> tuple[np.ndarray, float]:
        """Out-of-fold predictions and processor seconds a fit."""
        family, parameters = SETTINGS[name]
        model = FAMILIES[family].build(SEED)[-1].set_params(**parameters)
        predicted, seconds = np.empty(len(self.y)), 0.0
        for (fit, score), (learnt, others) in zip(self.folds, sides, strict=True):
            began = time.process_time()
            fitted = clone(model).fit(learnt, self.y[fit])
            seconds += time.process_time() - began
            predicted[score] = fitted.predict(others)
        return predicted, seconds / len(self.folds)

    def error(self, predicted: np.ndarray) -> float:
        """Mean RMSE over the folds, US dollars."""
        squared = np.square(predicted - self.y)
        return float(np.mean([np.sqrt(squared[score].mean()) for _, score in self.folds]))


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
        groups = [{"without": "", "rmse": rows[0]["rmse"]}]
        for group in feature_groups():
            predicted, _ = table.predicted(default, table.features((group,)))
            groups.append({"without": group, "rmse": table.error(predicted)})
    for row in (*rows, *groups):
        print(row)
    results.save("families", {"rows_fitted": len(table.folds[0][0]), "families": rows,
                              "groups": groups})  # fmt: skip
