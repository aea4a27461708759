"""Fitting what a search chose, and facts about the fitted model.

Belongs here: the refit, bags of seeds, baselines, importances, golden rows. Not here: scoring on
the test side (`evaluation`) and keeping a model (`store`).
"""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import VotingRegressor
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from housing import schema
from housing.records import Draw
from housing.training.candidates import BASELINES, CANDIDATES, Candidate, pipeline
from housing.training.workers import one_thread, one_thread_each

LIBRARIES = ("joblib", "numpy", "pandas", "scikit-learn", "scipy")

IMPORTANCE_ROWS = 2000
IMPORTANCE_REPEATS = 3


def fit(
    X: pd.DataFrame,
    y: npt.ArrayLike,
    draw: Draw,
    *,
    seed: int,
    bag: int = 1,
    workers: int = 1,
    candidates: Mapping[str, Candidate] = CANDIDATES,
) -> Any:
    """Fit a draw on all rows: its pipeline, or the mean of `bag` of them, each with its own seed.

    X has shape (n, features), y (n,). Seeds are `seed`, `seed + 1`, ...; a bag is scikit-learn's
    VotingRegressor, whose members are named after their seeds. The same rows, draw, seed and bag
    give the same predictions to the bit, whatever `workers` is.
    """
    labels = np.asarray(y, dtype=np.float64)
    if bag == 1:
        return _fit_alone(pipeline(draw, seed, candidates), X, labels, workers)
    members = [(f"seed_{s}", pipeline(draw, s, candidates)) for s in range(seed, seed + bag)]
    with one_thread_each(workers):
        return VotingRegressor(members).fit(X, labels)


def _fit_alone(
    model: Pipeline, X: pd.DataFrame, y: npt.NDArray[np.float64], workers: int
) -> Pipeline:
    """A forest's trees may grow side by side, as each has its own seed; anything else has one
    thread, since sums over several threads are not the same from run to run."""
    with one_thread():
        grows_in_parallel = "model__n_jobs" in model.get_params() and workers > 1
        if not grows_in_parallel:
            return model.fit(X, y)
        given = model.get_params()["model__n_jobs"]
        return model.set_params(model__n_jobs=workers).fit(X, y).set_params(model__n_jobs=given)


def fit_baselines(X: pd.DataFrame, y: npt.ArrayLike, *, seed: int) -> dict[str, Any]:
    """What a model has to beat, fitted on the same rows, by name."""
    labels = np.asarray(y, dtype=np.float64)
    return {
        name: _fit_alone(baseline.build(seed), X, labels, workers=1)
        for name, baseline in BASELINES.items()
    }


def importances(
    model: Any, X: pd.DataFrame, y: npt.ArrayLike, *, seed: int, rows: int = IMPORTANCE_ROWS
) -> dict[str, float]:
    """Share of each raw column in what the model knows, largest first; shares sum to 1.

    By permutation: how much the mean squared error grows when one column is shuffled, on a sample
    of at most `rows` TRAINING rows. It works for any model, says what the model relies on rather
    than how well that generalises, and splits what correlated columns share. All zero where no
    column matters.
    """
    sample = _sample(len(X), rows, seed)
    with one_thread():
        result = permutation_importance(
            model,
            X.iloc[sample],
            np.asarray(y, dtype=np.float64)[sample],
            scoring="neg_mean_squared_error",
            n_repeats=IMPORTANCE_REPEATS,
            random_state=seed,
        )
    growth = np.maximum(result.importances_mean, 0.0)
    shares = growth / (growth.sum() or 1.0)
    order = np.argsort(-shares, kind="stable")
    return {str(X.columns[i]): float(shares[i]) for i in order}


def built_in_importances(model: Any) -> dict[str, float]:
    """The model's own importance of each feature after preprocessing, largest first.

    Mean over the members of a bag that share the feature's name; empty for a model without any
    (linear models, histogram boosting).
    """
    own = [_feature_importances(member) for member in bag_members(model) or [model]]
    names = sorted({name for each in own for name in each})
    mean = {name: sum(each.get(name, 0.0) for each in own) / len(own) for name in names}
    return dict(sorted(mean.items(), key=lambda item: -item[1]))


def bag_members(model: Any) -> list[Any]:
    """The fitted models whose mean a bag is; none for a model of one seed."""
    return list(model.estimators_) if isinstance(model, VotingRegressor) else []


def _feature_importances(member: Pipeline) -> dict[str, float]:
    values = getattr(member[-1], "feature_importances_", None)
    if values is None:
        return {}
    names = member[:-1].get_feature_names_out()
    return dict(zip(map(str, names), map(float, values), strict=True))


def golden_rows(X: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """At most `n` rows whose predictions are kept beside a model, in the order of X.

    Random, but one row with a gap and one of each category come first where there are any, as
    those take their own way through a pipeline.
    """
    shuffled = np.random.default_rng(seed).permutation(len(X))
    frame = X.iloc[shuffled]
    marks = [frame.isna().any(axis=1).to_numpy()]
    for name in schema.CATEGORIES:
        marks += [(frame[name] == c).to_numpy() for c in schema.CATALOGUE[name].categories]
    special = [int(np.argmax(mark)) for mark in marks if mark.any()]
    order = list(dict.fromkeys([*special, *range(len(X))]))[:n]
    return X.iloc[np.sort(shuffled[order])]


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a model's predictions depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _sample(n: int, rows: int, seed: int) -> npt.NDArray[np.int64]:
    """Row numbers without replacement, ascending, so that a sample of all rows is all rows."""
    chosen = np.random.default_rng(seed).permutation(n)[:rows]
    return np.sort(chosen)
