"""Time and error of a search with default settings beside the reference recipe, on its own split.

`python -m benchmarks quality housing.csv --night --budget --cells --flaml VENV/bin/python`. All
sides get the same training rows and two cores; each chooses by cross-validation alone, and the test
rows are looked at once, when all have chosen. Folds of whole cells of the map are reported beside
random ones: neighbours of a test row are in training, so the random figure is of interpolation.
`--draws 2` shortens the reference for a trial; its goals are then not judged.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GroupKFold

from benchmarks import results
from benchmarks.reference import recipe
from housing import schema
from housing.records import Trial
from housing.training.candidates import unfitted
from housing.training.fit import fit_members, members_of
from housing.training.plan import SearchPlan
from housing.training.search import run_search

QUICK_WALL, QUICK_ERROR = 0.2, 0.95
BUDGET_ERROR = 0.92
CELL_DEGREES = 0.5
JOBS = 2
DRAWS = 10
LONG = {
    "families": ("boosting-slow", "lightgbm-slow", "extra-trees"), "bag": 12, "race": 0.01,
    "n_iter": 4, "n_jobs": JOBS,
}  # fmt: skip
"""What is asked for with the reference's time, of which `SEARCH_SHARE` is for the search."""

SEARCH_SHARE = 0.55
PEER = Path(__file__).parent / "reference" / "flaml_peer.py"


@dataclass(eq=False)
class Side:
    """One side that has chosen: what it took, its cross-validated error as time went by."""

    name: str
    wall: float  # seconds, search and refit
    cv: float  # US dollars
    curve: list[tuple[float, float]]  # seconds, best cross-validated RMSE so far
    predict: Callable[[pd.DataFrame], Any]
    model: Any = None  # unfitted, for folds of cells
    facts: dict[str, Any] = field(default_factory=dict)
    test: float = 0.0  # US dollars; only when all sides have chosen


def reference(train: pd.DataFrame, draws: int) -> Side:
    """The recipe as it is published."""
    X, y = train.drop(columns=schema.TARGET), train[schema.TARGET]
    began = time.perf_counter()
    found = recipe.search(JOBS).set_params(n_iter=draws).fit(X, y)
    wall = time.perf_counter() - began
    each = found.cv_results_
    took = np.cumsum(each["mean_fit_time"] + each["mean_score_time"]) * found.n_splits_
    # The search does not say when a draw was done: all of its time, by each draw's share of work.
    at = took / took[-1] * (wall - found.refit_time_)
    best = np.minimum.accumulate(-each["mean_test_score"])
    curve = [*zip(at.tolist(), best.tolist(), strict=True), (wall, float(best[-1]))]
    said = lambda test: found.predict(test.drop(columns=schema.TARGET))  # noqa: E731
    return Side(
        "reference", wall, float(best[-1]), curve, said, clone(found.best_estimator_),
        {"draws": draws, "parameters": found.best_params_},
    )  # fmt: skip


def ours(name: str, train: pd.DataFrame, plan: SearchPlan) -> Side:
    """Search, choice and refit as a night does them."""
    features = list(schema.FEATURES)
    X, y = train.astype(schema.dtypes())[features], train[schema.TARGET]
    began = time.perf_counter()
    curve: list[tuple[float, float]] = []

    def note(trial: Trial) -> None:
        if not trial.error and not trial.stopped:
            best = min(trial.rmse, curve[-1][1] if curve else trial.rmse)
            curve.append((time.perf_counter() - began, best))

    found = run_search(X, y, plan, on_trial=note)
    draws = {trial.draw.index: trial.draw for trial in found.trials}
    members = members_of(found.choice.models, draws, plan.seed)
    model = fit_members(X, y, members, workers=plan.workers).model
    wall = time.perf_counter() - began
    curve.append((wall, found.choice.rmse))
    facts = {
        "draws": len(found.trials),
        "fits": sum(len(trial.fold_rmse) for trial in found.trials),
        "of_fits": len(found.trials) * plan.folds,
        "members": [f"{each.draw.family} {each.draw.index}" for each in members],
        "plan": plan.model_dump(mode="json"),
    }
    said = lambda test: model.predict(test.astype(schema.dtypes())[features])  # noqa: E731
    return Side(name, wall, found.choice.rmse, curve, said, clone(model), facts)


def flaml(name: str, python: Path, train: pd.DataFrame, test: pd.DataFrame, seconds: float) -> Side:
    """The peer, in its own environment; of the test rows it gets the columns, not the prices."""
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
        said = np.loadtxt(Path(folder) / "said.csv")
    facts = {"estimator": found["estimator"], "version": found["version"]}
    curve = [(t, error) for t, error in found["curve"]]
    return Side(name, found["wall"], found["cv"], curve, lambda _test: said, None, facts)


def with_our_features(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features of the default family, learnt on the training side: what FLAML is given too.

    Each training row is hidden from itself, but not from rows of other folds, so FLAML's own
    cross-validated error flatters it a little here; its test error does not.
    """
    built = unfitted("boosting", 0)[:-1]
    columns = list(schema.FEATURES)
    values = built.fit_transform(train.astype(schema.dtypes())[columns], train[schema.TARGET])
    names = [f"f{i}" for i in range(values.shape[1])]
    learnt = pd.DataFrame(values, columns=names)
    others = pd.DataFrame(built.transform(test.astype(schema.dtypes())[columns]), columns=names)
    return (
        learnt.assign(target=train[schema.TARGET].to_numpy()),
        others.assign(target=0.0),
    )


def night(table: Path) -> float:
    """Seconds of `housing retrain` in an empty home, from the table to the report."""
    with tempfile.TemporaryDirectory() as home:
        environment = {n: v for n, v in os.environ.items() if not n.startswith("HOUSING_")}
        environment |= {"HOUSING_HOME": home, "HOUSING_CENSUS": str(table.resolve())}
        environment |= {"HOUSING_SOURCE": "census", "HOUSING_SEARCH__N_JOBS": str(JOBS)}
        began = time.perf_counter()
        command = [sys.executable, "-m", "deployments.cli.entry", "retrain"]
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        if run.returncode not in (0, 3, 4):
            raise SystemExit(f"the night failed:\n{run.stdout}\n{run.stderr}")
        return time.perf_counter() - began


def by_cells(side: Side, train: pd.DataFrame) -> float:
    """RMSE of 3 folds of whole cells of the map."""
    places = train[list(schema.COORDINATES)].to_numpy() // CELL_DEGREES
    cell = pd.DataFrame(places).groupby([0, 1]).ngroup().to_numpy()
    X, y = train[list(schema.FEATURES)], train[schema.TARGET].to_numpy()
    errors = []
    for fit, score in GroupKFold(3).split(X, y, cell):
        model = clone(side.model).fit(X.iloc[fit], y[fit])
        errors.append(root_mean_squared_error(y[score], model.predict(X.iloc[score])))
    return float(np.mean(errors))


def _rows(sides: dict[str, Side], judged: bool, nights: float | None) -> list[results.Row]:
    theirs, mine = sides["reference"], sides["default"]

    def row(name: str, ours: float, of: float, unit: str, limit: float | None) -> results.Row:
        met = None if limit is None or not judged else bool(ours <= limit * of)
        return results.Row(name, ours, of, unit, met, f"{limit} x" if met is not None else "")

    rows = [
        row("search and refit", mine.wall, theirs.wall, "s", QUICK_WALL),
        row("cross-validated RMSE", mine.cv, theirs.cv, "dollars", None),
        row("test RMSE", mine.test, theirs.test, "dollars", QUICK_ERROR),
    ]
    if nights is not None:
        rows.insert(1, row("a whole night", nights, theirs.wall, "s", QUICK_WALL))
    if "budget" in sides:
        long = sides["budget"]
        rows += [
            row("with the reference's time", long.wall, theirs.wall, "s", 1.0),
            row("its cross-validated RMSE", long.cv, theirs.cv, "dollars", None),
            row("its test RMSE", long.test, theirs.test, "dollars", BUDGET_ERROR),
        ]
    for name in (n for n in sides if n.startswith("FLAML")):
        rows += [
            row(f"{name}: time", sides[name].wall, theirs.wall, "s", None),
            row(f"{name}: test RMSE", sides[name].test, theirs.test, "dollars", None),
        ]
    return rows


def main() -> None:
    """Let all sides choose, then look at the test rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", default=os.environ.get("HOUSING_CENSUS"))
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the reference")
    parser.add_argument("--budget", action="store_true", help="also with the reference's time")
    parser.add_argument("--cells", action="store_true", help="also folds of cells of the map")
    parser.add_argument("--night", action="store_true", help="also a whole night")
    parser.add_argument("--flaml", type=Path, metavar="PYTHON", help="an interpreter with FLAML")
    parser.add_argument("--flaml-seconds", type=float, help="default: the reference's time")
    options = parser.parse_args()
    if options.table is None:
        parser.error("name the reference table, or set HOUSING_CENSUS")
    table = Path(options.table)
    train, test = recipe.split(pd.read_csv(table))
    sides = {"reference": reference(train, options.draws)}
    wall = sides["reference"].wall
    sides["default"] = ours("default", train, SearchPlan(n_jobs=JOBS))
    nights = night(table) if options.night else None
    if options.budget:
        plan = SearchPlan.model_validate({**LONG, "seconds": SEARCH_SHARE * wall})
        sides["budget"] = ours("budget", train, plan)
    if options.flaml:
        seconds = options.flaml_seconds or wall
        last = [*(c for c in train if c != schema.TARGET), schema.TARGET]
        tables = {"FLAML, raw columns": (train[last], test[last]),
                  "FLAML, our features": with_our_features(train, test)}  # fmt: skip
        for name, both in tables.items():
            sides[name] = flaml(name, options.flaml, *both, seconds)
    for side in sides.values():
        side.test = float(root_mean_squared_error(test[schema.TARGET], side.predict(test)))
    rows = _rows(sides, options.draws >= DRAWS, nights)
    if options.cells:
        mine, theirs = (
            by_cells(sides["default"], train.astype(schema.dtypes())),
            by_cells(sides["reference"], train),
        )
        rows.append(
            results.Row(f"RMSE on cells of {CELL_DEGREES} degrees", mine, theirs, "dollars")
        )
    results.show(
        "quality", rows, f"beside the reference recipe of {options.draws} draws, on its own split"
    )
    kept = {
        name: {k: v for k, v in asdict(side).items() if k not in ("predict", "model")}
        for name, side in sides.items()
    }
    results.keep("quality-curves", {"sides": kept})


if __name__ == "__main__":
    main()
