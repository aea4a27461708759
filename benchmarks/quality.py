"""Time and error of a search with default settings beside the reference recipe, on its own split.

`python -m benchmarks.quality housing.csv [--budget] [--flaml FOLDER]`. Both sides get the same
training rows; each chooses by cross-validation alone, and the test rows are looked at once, when
both have chosen. Folds of whole cells of the map are reported beside random ones: neighbours of a
test row are in training, so the random figure is of interpolation.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GroupKFold

from benchmarks import results
from benchmarks.reference import recipe
from housing import schema
from housing.training.candidates import pipeline
from housing.training.fit import fit_members, members_of
from housing.training.plan import SearchPlan
from housing.training.search import best, run_search

QUICK_WALL, QUICK_ERROR = 0.2, 0.95
BUDGET_ERROR = 0.92
CELL_DEGREES = 0.5


@dataclass(frozen=True)
class Side:
    """What one side took and reached."""

    wall: float  # seconds, search and refit
    cv: float  # US dollars
    test: float  # US dollars


def reference(train: pd.DataFrame, test: pd.DataFrame) -> tuple[Side, object]:
    """The recipe as it is published."""
    began = time.perf_counter()
    found = recipe.search(2).fit(train.drop(columns=schema.TARGET), train[schema.TARGET])
    wall = time.perf_counter() - began
    said = found.predict(test.drop(columns=schema.TARGET))
    error = root_mean_squared_error(test[schema.TARGET], said)
    return Side(wall, -float(found.best_score_), error), found.best_estimator_


def ours(train: pd.DataFrame, test: pd.DataFrame, plan: SearchPlan) -> tuple[Side, object]:
    """Search, choice and refit as a night does them."""
    features = list(schema.FEATURES)
    X, y = train.astype(schema.dtypes())[features], train[schema.TARGET]
    began = time.perf_counter()
    found = run_search(X, y, plan)
    draws = {trial.draw.index: trial.draw for trial in found.trials}
    members = members_of(found.choice.models, draws, plan.seed)
    model = fit_members(X, y, members, workers=plan.workers).model
    wall = time.perf_counter() - began
    said = model.predict(test.astype(schema.dtypes())[features])
    error = root_mean_squared_error(test[schema.TARGET], said)
    folds = sum(len(trial.fold_rmse) for trial in found.trials)
    print(
        f"  ours: {len(found.trials)} draws, {folds} of {len(found.trials) * plan.folds} folds, "
        f"chose {dict(found.choice.models)}, best alone {best(found.trials).rmse:,.0f}"
    )
    unfitted = pipeline(best(found.trials).draw, plan.seed)
    return Side(wall, found.choice.rmse, error), unfitted


def night(table: Path) -> float:
    """Seconds of `housing retrain` in an empty home, from the table to the report."""
    with tempfile.TemporaryDirectory() as home:
        environment = {n: v for n, v in os.environ.items() if not n.startswith("HOUSING_")}
        environment |= {"HOUSING_HOME": home, "HOUSING_CENSUS": str(table.resolve())}
        environment["HOUSING_SOURCE"] = "census"
        began = time.perf_counter()
        command = [str(Path(sys.executable).with_name("housing")), "retrain"]
        run = subprocess.run(
            command, env=environment, cwd=home, capture_output=True, text=True, check=False
        )
        if run.returncode not in (0, 3, 4):
            raise SystemExit(f"the night failed:\n{run.stdout}\n{run.stderr}")
        return time.perf_counter() - began


def by_cells(model: object, train: pd.DataFrame) -> float:
    """RMSE of 3 folds of whole cells of the map."""
    places = train[list(schema.COORDINATES)].to_numpy() // CELL_DEGREES
    cell = pd.DataFrame(places).groupby([0, 1]).ngroup().to_numpy()
    X, y = train[list(schema.FEATURES)], train[schema.TARGET].to_numpy()
    errors = []
    for fit, score in GroupKFold(3).split(X, y, cell):
        model.fit(X.iloc[fit], y[fit])
        errors.append(root_mean_squared_error(y[score], model.predict(X.iloc[score])))
    return float(np.mean(errors))


def main() -> None:
    """Measure both sides, then look at the test rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", default=os.environ.get("HOUSING_CENSUS"))
    parser.add_argument("--budget", action="store_true", help="also with the reference's time")
    parser.add_argument("--cells", action="store_true", help="also folds of cells of the map")
    parser.add_argument("--night", action="store_true", help="also a whole night")
    options = parser.parse_args()
    if options.table is None:
        parser.error("name the reference table, or set HOUSING_CENSUS")
    train, test = recipe.split(pd.read_csv(options.table))
    theirs, their_model = reference(train, test)
    mine, my_model = ours(train, test, SearchPlan())
    rows = [
        results.Row("search and refit", mine.wall, theirs.wall, "s",
                    mine.wall <= QUICK_WALL * theirs.wall, f"{QUICK_WALL} x"),
        results.Row("cross-validated RMSE", mine.cv, theirs.cv, "dollars"),
        results.Row("test RMSE", mine.test, theirs.test, "dollars",
                    mine.test <= QUICK_ERROR * theirs.test, f"{QUICK_ERROR} x"),
    ]  # fmt: skip
    if options.night:
        seconds = night(Path(options.table))
        met = seconds <= QUICK_WALL * theirs.wall
        rows.append(results.Row("a whole night", seconds, theirs.wall, "s", met, f"{QUICK_WALL} x"))
    if options.budget:
        families = ("boosting", "lightgbm", "extra-trees")
        plan = SearchPlan(families=families, seconds=0.6 * theirs.wall, n_iter=6, bag=8, race=0.01)
        long, _ = ours(train, test, plan)
        rows += [
            results.Row("with the reference's time", long.wall, theirs.wall, "s",
                        long.wall <= theirs.wall, "1 x"),
            results.Row("its cross-validated RMSE", long.cv, theirs.cv, "dollars"),
            results.Row("its test RMSE", long.test, theirs.test, "dollars",
                        long.test <= BUDGET_ERROR * theirs.test, f"{BUDGET_ERROR} x"),
        ]  # fmt: skip
    if options.cells:
        typed = train.astype(schema.dtypes())
        rows.append(
            results.Row(
                f"RMSE on cells of {CELL_DEGREES} degrees",
                by_cells(my_model, typed), by_cells(their_model, train), "dollars",
            )
        )  # fmt: skip
    results.show("quality", rows, "default settings beside the reference recipe, its own split")


if __name__ == "__main__":
    main()
