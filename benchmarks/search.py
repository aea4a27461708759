"""The search beside scikit-learn's RandomizedSearchCV, and the race beside a search without one.

`python -m benchmarks search housing.csv`: the same draws of the reference family on the same folds,
so the scores have to be the same to 1e-9; then the default family with and without the race, both
with the same draws. Two jobs each. `--draws 3 --trees 20` is a trial.
"""

import argparse
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.homes import timed
from benchmarks.reference import recipe
from housing import schema
from housing.training.candidates import FAMILIES
from housing.training.search import best, run_search
from housing.training.search_config import SearchPlan

JOBS = 2
DRAWS, TREES, RACED = 6, 100, 12
TOLERANCE, RACE_WALL, RACE_ERROR = 1e-9, 0.5, 1.01
FAMILY = "forest"


def _grown(trees: int, seed: int) -> Pipeline:
    built: Pipeline = FAMILIES[FAMILY].build(seed)
    return built.set_params(model__n_estimators=trees)


def _goal(judged: bool, ours: float, limit: float, theirs: float) -> tuple[bool | None, str]:
    return (ours <= limit * theirs, f"{limit:g} x") if judged else (None, "")


def main() -> None:
    """Measure both pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the reference family")
    parser.add_argument("--trees", type=int, default=TREES, help="of each of its forests")
    parser.add_argument("--raced", type=int, default=RACED, help="draws of the default family")
    options = parser.parse_args()
    train, _ = recipe.split(pd.read_csv(reference_table(options)))
    X, y = train.astype(schema.dtypes())[list(schema.FEATURES)], train[schema.TARGET]

    plan = SearchPlan(
        families=(FAMILY,),
        n_trials=options.draws,
        prune_margin=0,
        ensemble_size=1,
        n_jobs=JOBS,
        warm_starts=0,
    )
    build = partial(_grown, options.trees)
    small = {FAMILY: replace(FAMILIES[FAMILY], build=build)}
    theirs = RandomizedSearchCV(
        build(plan.seed), dict(FAMILIES[FAMILY].space), n_iter=plan.n_trials,
        cv=KFold(plan.folds, shuffle=True, random_state=plan.seed),
        scoring="neg_root_mean_squared_error", random_state=plan.seed, n_jobs=JOBS, refit=False,
    )  # fmt: skip
    their_wall, my_wall = 0.0, 0.0
    for ours_first in (False, True):  # a machine that warms up or tires must favour neither
        for ours in (ours_first, not ours_first):
            if ours:
                wall, mine = timed(lambda: run_search(X, y, plan, families=small))
                my_wall += wall / 2
            else:
                their_wall += timed(lambda: theirs.fit(X, y))[0] / 2
    gap = float(
        np.max(
            np.abs([t.cv_error for t in mine.trials] / -theirs.cv_results_["mean_test_score"] - 1)
        )
    )

    whole = SearchPlan(n_trials=options.raced, prune_margin=0, n_jobs=JOBS, warm_starts=0)
    unraced_wall, unraced = timed(lambda: run_search(X, y, whole))
    racing = whole.model_copy(update={"prune_margin": SearchPlan().prune_margin})
    raced_wall, raced = timed(lambda: run_search(X, y, racing))
    # Of fewer draws or smaller forests, what the start of workers takes is most of it.
    judged = options.draws >= DRAWS and options.trees >= TREES and options.raced >= RACED
    fits = [sum(len(t.fold_errors) for t in found.trials) for found in (raced, unraced)]
    errors = [best(found.trials).cv_error for found in (raced, unraced)]
    results.show(
        "search",
        [
            results.Row("the same draws: time", my_wall, their_wall, "s",
                        *_goal(judged, my_wall, 1, their_wall)),
            results.Row("the same draws: largest difference", gap, 0.0, "",
                        gap <= TOLERANCE, f"{TOLERANCE:g}"),
            results.Row("raced: time", raced_wall, unraced_wall, "s",
                        *_goal(judged, raced_wall, RACE_WALL, unraced_wall)),
            results.Row("raced: fits", *fits, "fits"),
            results.Row("raced: best cross-validated RMSE", *errors, "dollars",
                        errors[0] <= RACE_ERROR * errors[1], f"{RACE_ERROR} x"),
        ],
        f"{options.draws} forests of {options.trees} trees beside RandomizedSearchCV, "
        f"{options.raced} draws of the default family beside themselves without a race",
    )  # fmt: skip
