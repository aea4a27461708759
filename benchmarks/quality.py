"""Time and error of a search with default settings beside the reference recipe, on its own split.

`python -m benchmarks quality housing.csv --night --budget --cells --flaml VENV/bin/python`. All
sides get the same training rows and two cores; each chooses by cross-validation alone, and the test
rows are looked at once, when all have chosen. Folds of whole cells of the map are reported beside
random ones: neighbours of a test row are in training, so the random figure is of interpolation.
`--draws 2` shortens the reference for a trial; its goals are then not judged. A side that has
chosen is kept at once; the same command with `--resume` goes on behind the last one.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from housing.training.search_config import SearchPlan

QUICK_WALL, QUICK_ERROR = 0.2, 0.95
BUDGET_ERROR = 0.92
DRAWS = 10
LONG = {
    "families": (
        "lightgbm-slow", "boosting-slow", "extra-trees", "lightgbm-slow", "boosting-slow",
        "lightgbm-slow",
    ),
    "ensemble_size": 12, "prune_margin": 0.01, "n_trials": 6, "n_jobs": JOBS,
}  # fmt: skip
"""What is asked for with the reference's time, of which `SEARCH_SHARE` is for the search."""

NEIGHBOURS = (*GROUPS, SIMILAR)
"""Groups of features that are of the districts around a row; "by itself" does without."""

QUICK = {"families": ("lightgbm",), "n_trials": 2, "ensemble_size": 2, "n_jobs": JOBS}
"""What is asked for where time matters most."""

SEARCH_SHARE = 0.55
UNDER_WAY = Path(__file__).with_name("out") / "quality-under-way.json"


class Sides:
    """What is known so far, on disk after each step, so that a run that is cut short loses one."""

    def __init__(self, question: dict[str, Any], resume: bool) -> None:
        self.question = question
        self.known: dict[str, Any] = {}
        if resume and UNDER_WAY.exists():
            before = json.loads(UNDER_WAY.read_text())
            if before["question"] != question:
                raise SystemExit(f"{UNDER_WAY} is of another command: {before['question']}")
            self.known = before["known"]

    def side(self, name: str, choose: Callable[[], Side]) -> Side:
        """A side, from the run before or now."""
        return Side(**self._found(name, lambda: asdict(choose())))

    def seconds(self, name: str, measure: Callable[[], float]) -> float:
        """A figure that is no side."""
        return float(self._found(name, measure))

    def _found(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.known:
            print(f"{name} ...", flush=True)
            self.known[name] = make()
            UNDER_WAY.parent.mkdir(exist_ok=True)
            text = json.dumps({"question": self.question, "known": self.known}, default=str)
            UNDER_WAY.write_text(text)
        return self.known[name]


def _rows(
    sides: dict[str, Side], errors: dict[str, float], judged: bool, nights: dict[str, float]
) -> list[results.Row]:
    theirs, mine = sides["reference"], sides["default"]

    def row(name: str, ours: float, of: float, unit: str, limit: float | None) -> results.Row:
        met = None if limit is None or not judged else bool(ours <= limit * of)
        return results.Row(name, ours, of, unit, met, f"{limit} x" if met is not None else "")

    rows = [
        row("search and refit", mine.wall, theirs.wall, "s", None),
        row("cross-validated RMSE", mine.cv, theirs.cv, "dollars", None),
        row("test RMSE", errors["default"], errors["reference"], "dollars", QUICK_ERROR),
    ]
    if "quick" in sides:
        quick = sides["quick"]
        rows += [
            row("two draws: search and refit", quick.wall, theirs.wall, "s", None),
            row("its cross-validated RMSE", quick.cv, theirs.cv, "dollars", None),
            row("its test RMSE", errors["quick"], errors["reference"], "dollars", QUICK_ERROR),
        ]
    for name, seconds in nights.items():
        rows.append(row(name, seconds, theirs.wall, "s", QUICK_WALL))
    if "budget" in sides:
        long = sides["budget"]
        rows += [
            row("with the reference's time", long.wall, theirs.wall, "s", 1.0),
            row("its cross-validated RMSE", long.cv, theirs.cv, "dollars", None),
            row("its test RMSE", errors["budget"], errors["reference"], "dollars", BUDGET_ERROR),
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
    parser.add_argument("--resume", action="store_true", help="go on where such a run was cut off")
    return parser.parse_args()


def main() -> None:
    """Let all sides choose, then look at the test rows."""
    options = asked()
    table = options.table = reference_table(options)
    train, test = recipe.split(pd.read_csv(table))
    question = {name: str(value) for name, value in vars(options).items() if name != "resume"}
    kept, cells = Sides(question, options.resume), options.cells
    sides = {}
    sides["reference"] = kept.side(
        "reference", lambda: reference(train, test, options.draws, cells)
    )
    wall = sides["reference"].wall
    default, quick = SearchPlan(n_jobs=JOBS), SearchPlan.model_validate(QUICK)
    sides["default"] = kept.side("default", lambda: ours("default", train, test, default, cells))
    if cells:
        alone = default.model_copy(update={"exclude_features": NEIGHBOURS})
        sides["by itself"] = kept.side(
            "by itself", lambda: ours("by itself", train, test, alone, cells)
        )
    nights = {}
    if options.night:
        sides["quick"] = kept.side("quick", lambda: ours("quick", train, test, quick, False))
        for name, plan in (("a whole night", default), ("a night of two draws", quick)):
            nights[name] = kept.seconds(name, lambda: night(table, plan))  # noqa: B023
    if options.budget:
        plan = SearchPlan.model_validate({**LONG, "seconds": SEARCH_SHARE * wall})
        sides["budget"] = kept.side("budget", lambda: ours("budget", train, test, plan, False))
    if options.flaml:
        seconds = options.flaml_seconds or wall
        for name, given in (("raw columns", raw_columns), ("our features", our_features)):
            peer = f"FLAML, {name}"
            sides[peer] = kept.side(
                peer,
                lambda: flaml(peer, options.flaml, *given(train, test), seconds),  # noqa: B023
            )
    errors = {
        name: float(root_mean_squared_error(test[schema.TARGET], side.predicted))
        for name, side in sides.items()
    }
    results.show(
        "quality", _rows(sides, errors, options.draws >= DRAWS, nights),
        f"beside the reference recipe of {options.draws} draws, on its own split",
    )  # fmt: skip
    results.save(
        "quality-curves",
        {"sides": {name: _told(side, errors[name]) for name, side in sides.items()}},
    )


def _told(side: Side, error: float) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(side).items() if name != "predicted"}
    return {**facts, "test": error}
