"""Fits the candidates that a search chose, and the baselines; chooses a model's golden rows."""

import platform
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import VotingRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from housing import schema
from housing.array_types import Floats
from housing.features.preprocess import neighbours_in_threads
from housing.records import Candidate, Member
from housing.training.candidates import BASELINES, FAMILIES, pipeline
from housing.training.families import EVERY_ROW, ModelFamily
from housing.training.sampling import parts_of, subset
from housing.training.search_config import describe
from housing.training.workers import in_parallel, one_thread

EXTRA_TASK = -1
"""Number of the task that is computed together with the fits."""

BASELINE_ROWS = 100_000
"""Training rows that a baseline is fitted on, at random: more would not change a line."""

LIBRARIES = ("joblib", "numpy", "pandas", "scikit-learn", "scipy")


def ensemble_members(
    models: Mapping[int, int], candidates: Mapping[int, Candidate], seed: int
) -> list[Member]:
    """Members of an ensemble, each with its own seed.

    `models` maps a candidate's index to the number of models of it.
    """
    chosen = [candidates[index] for index in sorted(models) for _ in range(models[index])]
    return [Member(candidate, seed + i) for i, candidate in enumerate(chosen)]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model, and the result of the extra task (or None)."""

    model: Any
    also: Any = None


def fit_members(
    X: pd.DataFrame,
    y: npt.ArrayLike,
    members: Sequence[Member],
    *,
    workers: int = 1,
    without: Collection[str] = (),
    rows: int = EVERY_ROW,
    families: Mapping[str, ModelFamily] = FAMILIES,
    dask: str = "",
    also: Callable[[pd.DataFrame, Any], Any] | None = None,
) -> Fitted:
    """Fit members on all rows: the pipeline of the only one, or the mean of several.

    X has shape (n, features), y (n,). A mean is scikit-learn's VotingRegressor, whose estimators
    are named after their seeds; where all members compute the same features, it is the last step of
    one pipeline that computes them once. Of more than `rows` rows, each of several members is
    fitted on `rows` of them, with as little overlap as possible, and any on at most its family's
    `most_rows`; shared features are still learnt from all. The same rows and members give the same
    predictions to the bit, whatever `workers` and `dask` are. `also` is called with X and y by a
    worker that is free.
    """
    labels = np.asarray(y, dtype=np.float64)
    pipelines = [pipeline(each.candidate, each.seed, families, without) for each in members]
    most = [families[each.candidate.family].most_rows for each in members]
    if len(members) == 1:
        part = parts_of(len(labels), most, members[0].seed)[0]
        model = _fit_alone(pipelines[0], *subset(X, labels, part), workers)
        return Fitted(model, None if also is None else also(X, labels))
    shared = pipelines[0]["preprocess"] if _same_features(pipelines) else None
    models, inputs = pipelines, X
    if shared is not None:
        models = [built["model"] for built in pipelines]
        with one_thread(), neighbours_in_threads(shared, workers):
            inputs = pipelines[0][:-1].fit_transform(X, labels)
    parts = parts_of(len(labels), [min(rows, each) for each in most], members[0].seed)
    tasks: list[tuple[Any, ...]] = [
        (i, _fitted, model, *subset(inputs, labels, part))
        for i, (model, part) in enumerate(zip(models, parts, strict=True))
    ]
    del inputs  # of millions of rows, the parts are all that is wanted
    if also is not None:
        tasks.insert(0, (EXTRA_TASK, also, X, labels))  # first, as it may well be the longest
    results = dict(in_parallel(_numbered, tasks, workers, dask))
    mean = _mean([f"seed_{each.seed}" for each in members], models, results)
    if shared is not None:
        mean = Pipeline([("preprocess", shared), ("model", mean)])
    return Fitted(mean, results.get(EXTRA_TASK))


def _same_features(pipelines: Sequence[Pipeline]) -> bool:
    features = [describe(built["preprocess"]) for built in pipelines]
    return all(each == features[0] for each in features)


def _numbered(number: int, function: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    return number, function(*arguments)


def _fitted(model: Any, X: Any, y: Floats) -> Any:
    return clone(model).fit(X, y)


def _mean(names: Sequence[str], models: Sequence[Any], fitted: Mapping[int, Any]) -> Any:
    """The mean of models that were fitted elsewhere: what VotingRegressor's own `fit` would set,
    had it a way to fit by joblib and on Dask alike."""
    mean = VotingRegressor(list(zip(names, models, strict=True)))
    mean.estimators_ = [fitted[i] for i in range(len(models))]
    mean.named_estimators_ = Bunch(**dict(zip(names, mean.estimators_, strict=True)))
    return mean


def models_of(model: Any) -> list[Any]:
    """The fitted models whose mean a model is, each complete; any other model is its only one.

    A mean is a VotingRegressor, alone or behind the features that its models share.
    """
    if isinstance(model, VotingRegressor):
        return list(model.estimators_)
    if isinstance(model, Pipeline) and isinstance(model[-1], VotingRegressor):
        return [Pipeline([*model.steps[:-1], ("model", each)]) for each in model[-1].estimators_]
    return [model]


def _fit_alone(model: Pipeline, X: pd.DataFrame, y: Floats, workers: int) -> Pipeline:
    """A forest's trees may grow side by side, as each has its own seed; anything else has one
    thread, since sums over several threads are not the same from run to run."""
    with one_thread():
        grows_in_parallel = "model__n_jobs" in model.get_params() and workers > 1
        if not grows_in_parallel:
            return model.fit(X, y)
        given = model.get_params()["model__n_jobs"]
        return model.set_params(model__n_jobs=workers).fit(X, y).set_params(model__n_jobs=given)


@dataclass(frozen=True, eq=False)
class BaselinePredictions:
    """Predictions of each baseline, and the errors of those that failed."""

    values: Mapping[str, Floats]  # by name, shape (n,)
    failed: Mapping[str, str]


def predict_baselines(
    X: pd.DataFrame, y: npt.ArrayLike, rows: pd.DataFrame, *, seed: int
) -> BaselinePredictions:
    """Fit what a model has to beat on X (or `BASELINE_ROWS` of it) and y, and predict `rows`.

    A baseline that raises, or gives no number for a row, is reported: it must not end a run.
    """
    labels = np.asarray(y, dtype=np.float64)
    if len(labels) > BASELINE_ROWS:
        some = np.sort(np.random.default_rng(seed).permutation(len(labels))[:BASELINE_ROWS])
        X, labels = X.iloc[some], labels[some]
    values, failed = {}, {}
    for name, baseline in BASELINES.items():
        try:
            model = _fit_alone(baseline.build(seed), X, labels, workers=1)
            predicted = np.asarray(model.predict(rows), dtype=np.float64).reshape(len(rows))
            values[name] = schema.in_range(predicted)
        except Exception as failure:  # noqa: BLE001 - recorded in the evidence by its name
            failed[name] = f"{type(failure).__name__}: {failure}"
    return BaselinePredictions(values, failed)


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


def library_versions(*models: Any) -> dict[str, str]:
    """Versions of Python and of the libraries that predictions depend on, those of the estimators
    in `models` (fitted or not) among them."""
    names = set(LIBRARIES).union(*(_packages(model) for model in models))
    return {"python": platform.python_version(), **{n: version(n) for n in sorted(names)}}


def _packages(model: Any) -> set[str]:
    """Distributions that a model's estimators come from, without the standard library and ours."""
    parts = [model, *(model.get_params(deep=True).values() if hasattr(model, "get_params") else ())]
    kinds = {kind for part in parts for kind in type(part).__mro__}
    packages = {kind.__module__.split(".")[0] for kind in kinds}
    strange = packages - {"housing", "sklearn"} - set(LIBRARIES) - sys.stdlib_module_names
    known = packages_distributions() if strange else {}
    return {name for package in strange for name in known.get(package, ())[:1]}


def installed_version(name: str) -> str:
    """Of Python or a library; "-" where it is not installed."""
    try:
        return platform.python_version() if name == "python" else version(name)
    except PackageNotFoundError:
        return "-"
