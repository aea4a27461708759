"""`python -m benchmarks coverage`: what share of unseen prices the prediction interval holds.

One model of the boosting family at fixed settings on the reference table
(an option of the source `census`), out-of-fold residuals of three folds, and a test side that none
of it has seen; overall and by slice, with exact 95 % limits.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import KFold

from benchmarks import results, serving_pages
from housing import schema
from housing.inference.calibration import NOMINAL, build
from housing.quality.rows import validate
from housing.records import Candidate, Interval
from housing.sources.files import ReadLimits
from housing.sources.table_file import read_table
from housing.training.candidates import pipeline
from housing.training.split import strata

FEATURES = list(schema.FEATURES)
TEST_SHARE, FOLDS = 0.2, 3
GOAL = (0.88, 0.92)
DRAW = Candidate(
    0, "boosting",
    {"model__max_iter": 400, "model__learning_rate": 0.07, "model__max_leaf_nodes": 45,
     "model__min_samples_leaf": 8, "model__l2_regularization": 1.0, "model__max_features": 0.1},
)  # fmt: skip


def main() -> None:
    """Print the shares and keep them."""
    path = Path(os.environ["HOUSING_CENSUS"])
    frame = validate(read_table(path, ReadLimits()), path.name).accepted
    side = _test_side(frame)
    train, test = (frame[rows].reset_index(drop=True) for rows in (~side, side))
    X, y = train[FEATURES], train[schema.TARGET].to_numpy(float)
    oof = np.zeros(len(y))
    for a, b in KFold(FOLDS, shuffle=True, random_state=1).split(X):
        oof[b] = pipeline(DRAW, 1).fit(X.iloc[a], y[a]).predict(X.iloc[b])
    predicted = pipeline(DRAW, 1).fit(X, y).predict(test[FEATURES])
    calibration, _ = build(train, oof, test, predicted)
    whole = calibration.coverage
    assert whole is not None
    rows = [_row("all", len(test), whole)]
    rows += [_row(_named(s.column, s.name), s.rows, s.coverage) for s in calibration.slices]
    figures = {
        "nominal": NOMINAL, "goal": GOAL, "slices": rows,
        "models": "one model of the default family at fixed settings on the reference table, "
        f"out-of-fold residuals of {FOLDS} folds",
    }  # fmt: skip
    print(serving_pages.coverage(figures))
    results.save("coverage", figures)


def _named(column: str, name: str) -> str:
    return f"{schema.CATALOGUE[column].label} {name}".replace("<", "\\<")


def _row(name: str, rows: int, share: Interval) -> dict[str, Any]:
    error = float(np.sqrt(NOMINAL * (1 - NOMINAL) / rows))
    return {"name": name, "rows": rows, "error": error, **asdict(share)}


def _test_side(frame):
    """A share of each stratum, by chance."""
    codes, generator = strata(frame), np.random.default_rng(0)
    side = np.zeros(len(frame), dtype=bool)
    for code in np.unique(codes):
        rows = generator.permutation(np.flatnonzero(codes == code))
        side[rows[: round(len(rows) * TEST_SHARE)]] = True
    return side
