"""Time and error of a search with default settings beside the reference recipe, on its own split.

`python -m benchmarks quality housing.csv --night --budget --cells --flaml VENV/bin/python`. All
sides get the same training rows and two cores; each chooses by cross-validation alone, and the test
rows are looked at once, when all have chosen. Folds of whole cells of the map are reported beside
random ones: neighbours of a test row are in training, so the random figure measures interpolation.
`--draws 2` shortens the reference for a trial; its goals are then not judged.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from sklearn.metrics import root_mean_squared_error

from benchmarks import results
from benchmarks.contenders import (
    CELL_DEGREES,
    JOBS,
    Side,
    flaml,
    night,
    our_features,
    ours,
    raw_columns,
    reference,
)
from benchmarks.data import add_table, reference_table
from benchmarks.reference import recipe
from housing import schema
from housing.features.preprocess import SIMILAR
from housing.features.statistics import GROUPS
from housing.training.candidates import FAMILIES
from housing.training.search_config import SearchPlan

QUICK_WALL, QUICK_ERROR = 0.2, 0.95
BUDGET_ERROR = 0.92
CATBOOST_ERROR = 0.93
DRAWS = 10
LONG = {
    "families": (
        "lightgbm-slow", "boosting-slow", "extra-trees", "lightgbm-slow", "boosting-slow",
        "lightgbm-slow",
    ),
    "ensemble_size": 12, "prune_margin": 0.01, "n_trials": 6, "n_jobs": JOBS,
}  # fmt: skip
"""The plan with the reference's time, of which `SEARCH_SHARE` is for the search."""

NEIGHBOURS = (*GROUPS, SIMILAR)
"""Groups of features that use the districts around a row; the side "by itself" has none."""

QUICK = {"families": ("lightgbm",), "n_trials": 2, "ensemble_size": 2, "n_jobs": JOBS}
"""The plan where time matters most."""

CATBOOST = {"families": ("catboost",), "n_trials": 2, "ensemble_size": 2, "n_jobs": JOBS}
"""The plan with the extra `catboost`."""

SEARCH_SHARE = 0.55


def _rows(
    sides: dict[str, Side], errors: dict[str, float], judged: bool, nights: dict[str, float]
) -> list[results.Row]:
    theirs, mine = sides["reference"], sides["default"]

    def row(name: str, ours: float, of: float, unit: str, limit: float | None) -> results.Row:
        met = None if limit is None or not judged else bool(ours <= limit * of)
        return results.Row(name, ours, of, unit, met, f"{limit} x" if met is not None else "")

    def chosen(side: str, title: str, limit: float | None, error: float) -> list[results.Row]:
        """A side of ours that was asked for: time, cross-validated and test error."""
        if side not in sides:
            return []
        its = "" if side == "default" else "its "
        return [
            row(title, sides[side].wall, theirs.wall, "s", limit),
            row(f"{its}cross-validated RMSE", sides[side].cv, theirs.cv, "dollars", None),
            row(f"{its}test RMSE", errors[side], errors["reference"], "dollars", error),
        ]

    rows = [
        *chosen("default", "search and refit", None, QUICK_ERROR),
        *chosen("quick", "two draws: search and refit", None, QUICK_ERROR),
        *chosen("catboost", "with CatBoost: search and refit", None, CATBOOST_ERROR),
        *(row(name, seconds, theirs.wall, "s", QUICK_WALL) for name, seconds in nights.items()),
        *chosen("budget", "with the reference's time", 1.0, BUDGET_ERROR),
    ]
    for name in (n for n in sides if n.startswith("FLAML")):
        rows += [
            row(f"{name}: time", sides[name].wall, theirs.wall, "s", None),
            row(f"{name}: test RMSE", errors[name], errors["reference"], "dollars", None),
        ]
    if mine.cells is not None and theirs.cells is not None:
        name, alone = f"RMSE on cells of {CELL_DEGREES} degrees", sides["by itself"].cells
        rows.append(row(name, mine.cells, theirs.cells, "dollars", None))
        assert alone is not None
        rows.append(row("the same without neighbours", alone, theirs.cells, "dollars", None))
    return rows


def asked() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the reference")
    parser.add_argument("--budget", action="store_true", help="also with the reference's time")
    parser.add_argument("--cells", action="store_true", help="also folds of cells of the map")
    parser.add_argument(
        "--night", action="store_true", help="also whole nights, and two draws alone"
    )
    parser.add_argument("--flaml", type=Path, metavar="PYTHON", help="an interpreter with FLAML")
    parser.add_argument("--flaml-seconds", type=float, help="default: the reference's time")
    return parser.parse_args()


def main() -> None:
    """Let all sides choose, then predict the test rows."""
    options = asked()
    table, cells = reference_table(options), options.cells
    train, test = recipe.split(pd.read_csv(table))
    sides = {"reference": reference(train, test, options.draws, cells)}
    wall = sides["reference"].wall
    default, quick = SearchPlan(n_jobs=JOBS), SearchPlan.model_validate(QUICK)
    plans = {"default": (default, cells)}
    if cells:
        alone = default.model_copy(update={"exclude_features": NEIGHBOURS})
        plans["by itself"] = alone, cells
    if options.night:
        plans["quick"] = quick, False
    if FAMILIES["catboost"].installed:
        plans["catboost"] = SearchPlan.model_validate(CATBOOST), False
    if options.budget:
        long = SearchPlan.model_validate({**LONG, "seconds": SEARCH_SHARE * wall})
        plans["budget"] = long, False
    for name, (plan, by_cell) in plans.items():
        print(f"{name} ...", flush=True)
        sides[name] = ours(name, train, test, plan, by_cell)
    nights = {}
    if options.night:
        nights = {
            "a whole night": night(table, default),
            "a night of two draws": night(table, quick),
        }
    if options.flaml:
        for name, given in (("raw columns", raw_columns), ("our features", our_features)):
            peer, seconds = f"FLAML, {name}", options.flaml_seconds or wall
            sides[peer] = flaml(peer, options.flaml, *given(train, test), seconds)
    errors = {
        name: float(root_mean_squared_error(test[schema.TARGET], side.predicted))
        for name, side in sides.items()
    }
    results.show(
        "quality", _rows(sides, errors, options.draws >= DRAWS, nights),
        f"compared with the reference recipe of {options.draws} draws, on its own split",
    )  # fmt: skip
    shown = {name: {**asdict(side), "test": errors[name]} for name, side in sides.items()}
    for side in shown.values():
        del side["predicted"]
    results.save("quality-curves", {"sides": shown})
