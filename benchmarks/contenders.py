"""The sides of `quality`: each searches, chooses and refits on the training rows alone.

Each returns its predictions of the test rows, whose prices it never sees: the comparison uses those
prices once, after all sides have chosen.
"""

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GroupKFold

from benchmarks.homes import HOUSING, environment, timed
from benchmarks.reference import recipe
from housing import schema
from housing.records import Trial
from housing.training.candidates import unfitted
from housing.training.fit import ensemble_members, fit_members
from housing.training.search import run_search
from housing.training.search_config import SearchPlan
from housing.training.workers import one_thread

CELL_DEGREES = 0.5
JOBS = 2
PEER = Path(__file__).parent / "reference" / "flaml_peer.py"
FEATURES = list(schema.FEATURES)


@dataclass
class Side:
    """One side that has chosen: what it took, and its cross-validated error as time went by."""

    name: str
    wall: float  # seconds, search and refit
    cv: float  # US dollars
    curve: list[tuple[float, float]]  # seconds, best cross-validated RMSE so far
    predicted: list[float]  # of the test rows, US dollars
    facts: dict[str, Any] = field(default_factory=dict)
    cells: float | None = None  # RMSE of 3 folds of whole cells of the map, US dollars


def reference(train: pd.DataFrame, test: pd.DataFrame, draws: int, cells: bool) -> Side:
    """The recipe as it is published."""
    X, y = train.drop(columns=schema.TARGET), train[schema.TARGET]
    began = time.perf_counter()
    found = recipe.search(JOBS).set_params(n_iter=draws).fit(X, y)
    wall = time.perf_counter() - began
    each = found.cv_results_
    took = np.cumsum(each["mean_fit_time"] + each["mean_score_time"]) * found.n_splits_
    # The search records no times of trials: its time is divided by each trial's share of work.
    at = took / took[-1] * (wall - found.refit_time_)
    best = np.minimum.accumulate(-each["mean_test_score"])
    curve = [*zip(at.tolist(), best.tolist(), strict=True), (wall, float(best[-1]))]
    return Side(
        "reference", wall, float(best[-1]), curve,
        found.predict(test.drop(columns=schema.TARGET)).tolist(),
        {"draws": draws, "parameters": found.best_params_},
        by_cells(found.best_estimator_, train) if cells else None,
    )  # fmt: skip


def ours(name: str, train: pd.DataFrame, test: pd.DataFrame, plan: SearchPlan, cells: bool) -> Side:
    """Search, choice and refit as a run does them."""
    train, test = train.astype(schema.dtypes()), test.astype(schema.dtypes())
    X, y = train[FEATURES], train[schema.TARGET]
    began = time.perf_counter()
    curve: list[tuple[float, float]] = []

    def note(trial: Trial) -> None:
        if not trial.error and not trial.stopped:
            best = min(trial.cv_error, curve[-1][1] if curve else trial.cv_error)
            curve.append((time.perf_counter() - began, best))

    found = run_search(X, y, plan, on_trial=note)
    candidates = {trial.candidate.index: trial.candidate for trial in found.trials}
    members = ensemble_members(found.choice.models, candidates, plan.seed)
    model = fit_members(X, y, members, workers=plan.workers, without=plan.exclude_features).model
    wall = time.perf_counter() - began
    curve.append((wall, found.choice.cv_error))
    facts = {
        "draws": len(found.trials),
        "fits": sum(len(trial.fold_errors) for trial in found.trials),
        "of_fits": len(found.trials) * plan.folds,
        "members": [f"{each.candidate.family} {each.candidate.index}" for each in members],
        "plan": plan.model_dump(mode="json"),
    }
    predicted = np.asarray(model.predict(test[FEATURES])).tolist()
    by_place = by_cells(model, train) if cells else None
    return Side(name, wall, found.choice.cv_error, curve, predicted, facts, by_place)


def flaml(name: str, python: Path, train: pd.DataFrame, test: pd.DataFrame, seconds: float) -> Side:
    """The peer, in its own environment; of the test rows it gets the columns, not the prices.

    The target is the last column of both.
    """
    with tempfile.TemporaryDirectory() as folder:
        train.to_csv(Path(folder) / "train.csv", index=False)
        test.assign(**{train.columns[-1]: 0}).to_csv(Path(folder) / "test.csv", index=False)
        done = subprocess.run(
            [str(python), str(PEER), folder, str(seconds)], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"FLAML failed:\n{done.stderr[-2000:]}")
        found = json.loads((Path(folder) / "found.json").read_text())
        predicted = np.loadtxt(Path(folder) / "predicted.csv").tolist()
    facts = {"estimator": found["estimator"], "version": found["version"]}
    curve = [(t, error) for t, error in found["curve"]]
    return Side(name, found["wall"], found["cv"], curve, predicted, facts)


def raw_columns(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both sides as they are, the target last."""
    last = [*(c for c in train if c != schema.TARGET), schema.TARGET]
    return train[last], test[last]


def our_features(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features of the default family, learnt on the training side, and the target.

    Each training row is hidden from itself, but not from rows of other folds, so the peer's own
    cross-validated error flatters it a little here; its test error does not.
    """
    built = unfitted("boosting", 0)[:-1]
    values = built.fit_transform(train.astype(schema.dtypes())[FEATURES], train[schema.TARGET])
    names = [f"f{i}" for i in range(values.shape[1])]
    learnt = pd.DataFrame(values, columns=names)
    others = pd.DataFrame(built.transform(test.astype(schema.dtypes())[FEATURES]), columns=names)
    return (
        learnt.assign(target=train[schema.TARGET].to_numpy()),
        others.assign(target=0.0),
    )


def night(table: Path, plan: SearchPlan) -> float:
    """Seconds of `housing retrain` as a new process, from the table to the report.

    In a home where the command has run before and found nothing: databases are made once, not
    every run.
    """
    with tempfile.TemporaryDirectory() as home:
        settings = {
            f"SEARCH__{name.upper()}": ",".join(value) if name == "families" else str(value)
            for name, value in plan.model_dump(exclude_unset=True).items()
        }
        settings["SOURCES__OPTIONS__CENSUS__TABLE"] = str(table.resolve())
        for source, fine in (("landing", (1,)), ("census", (0, 3, 4))):
            given = environment(Path(home), **settings, SOURCES__NAMES=source)
            seconds, run = timed(lambda: subprocess.run(
                [*HOUSING, "retrain"], env=given, capture_output=True, text=True, check=False,  # noqa: B023
            ))  # fmt: skip
            if run.returncode not in fine:
                raise SystemExit(f"the run failed:\n{run.stdout}\n{run.stderr}")
        return seconds


def by_cells(model: Any, train: pd.DataFrame) -> float:
    """RMSE of 3 folds of whole cells of the map."""
    places = train[list(schema.COORDINATES)].to_numpy() // CELL_DEGREES
    cell = pd.DataFrame(places).groupby([0, 1]).ngroup().to_numpy()
    X, y = train[FEATURES], train[schema.TARGET].to_numpy()
    errors = []
    with one_thread():  # small fits: two threads that wait for each other take longer than one
        for fit, score in GroupKFold(3).split(X, y, cell):
            fitted = clone(model).fit(X.iloc[fit], y[fit])
            errors.append(root_mean_squared_error(y[score], fitted.predict(X.iloc[score])))
    return float(np.mean(errors))
