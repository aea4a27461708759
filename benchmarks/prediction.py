"""One row and batches through the fast predictor and through the frame, on a default challenger.

`python -m benchmarks.prediction housing.csv`: p50 and p99 of one row, rows a second of batches of
rows near real districts, and the largest relative difference between the two ways.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from benchmarks import results
from housing import schema
from housing.features.curve import along_curve
from housing.features.derived import COVARIATES, compute
from housing.records import Member
from housing.training.draws import draws
from housing.training.fit import fit_members
from housing.training.plan import SearchPlan
from housing.training.predict import CHUNK_ROWS, PLACE, predictor, split_columns
from housing.training.workers import one_thread

ONE_ROW_GOAL_MS = 5.0
BATCH_GOAL = 300_000
SINGLE_ROWS = 400
PART_ROWS = 40_000


def around(table: pd.DataFrame, rows: int, seed: int = 0) -> pd.DataFrame:
    """Rows drawn from a table and moved a little, shape (rows, features)."""
    rng = np.random.default_rng(seed)
    frame = table.iloc[rng.integers(0, len(table), rows)].reset_index(drop=True)
    for name in schema.COORDINATES:
        frame[name] += rng.normal(0, 0.01, rows)
    return frame


def columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Plain columns of a frame."""
    return {name: frame[name].to_numpy() for name in schema.FEATURES}


def latencies(call: Callable[[int], object], n: int) -> np.ndarray:
    """Milliseconds of each of n calls."""
    taken = []
    for i in range(n):
        began = time.perf_counter()
        call(i)
        taken.append(1e3 * (time.perf_counter() - began))
    return np.array(taken)


def parts(model: Pipeline, rows: pd.DataFrame) -> dict[str, float]:
    """Processor microseconds a row of each part of a batch, one thread."""
    taken: dict[str, float] = {}

    def measured(name: str, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = call()
        taken[name] = 1e6 * (time.process_time() - began) / len(rows)
        return found

    with one_thread():
        fast = predictor(model)
        numbers, categories = measured("columns", lambda: split_columns(columns(rows)))
        order = along_curve(numbers[:, PLACE])
        values = measured("all features", lambda: fast.features.compute(
            numbers[order], categories[order]))  # fmt: skip
        near = compute(numbers[order][:, fast.features.near_inputs], COVARIATES)
        near = np.where(np.isnan(near), fast.features.fill, near)
        for look in fast.features.looks:
            scale = getattr(look, "scale", None)
            name = "nearest on the map" if scale is None else f"most alike, scale {scale:g}"
            measured(f"of these, {name}", lambda look=look: look.looked_up(near))
        measured("binning", lambda: [bins.of_rows(values) for bins in fast.binned.bins])
        measured("binning and trees, in blocks", lambda: [
            fast.binned.each(values[i : i + CHUNK_ROWS])
            for i in range(0, len(values), CHUNK_ROWS)])  # fmt: skip
        measured("trees without binning, by scikit-learn", lambda: model[-1].predict(values))
    return taken


def main() -> None:
    """Measure and print both sides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", default=os.environ.get("HOUSING_CENSUS"))
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a batch")
    options = parser.parse_args()
    if options.table is None:
        parser.error("name the reference table, or set HOUSING_CENSUS")
    table = pd.read_csv(options.table).astype(schema.dtypes())
    plan = SearchPlan()
    draw = draws(plan)[0]
    members = [Member(draw, seed) for seed in range(plan.bag)]
    X = table[list(schema.FEATURES)]
    model = fit_members(X, table[schema.TARGET], members, workers=plan.workers).model
    fast = predictor(model, threads=plan.workers)

    few = around(X, SINGLE_ROWS)
    given = [columns(few.iloc[[i]]) for i in range(SINGLE_ROWS)]
    fast.predict(given[0])
    ours = latencies(lambda i: fast.predict(given[i]), SINGLE_ROWS)
    theirs = latencies(lambda i: model.predict(few.iloc[[i]]), 60)
    many = around(X, options.rows, seed=1)
    batch = columns(many)
    began = time.perf_counter()
    said = fast.predict(batch)
    ours_rate = len(many) / (time.perf_counter() - began)
    began = time.perf_counter()
    expected = model.predict(many)
    theirs_rate = len(many) / (time.perf_counter() - began)
    worst = float(np.max(np.abs(said / expected - 1)))

    p99 = float(np.quantile(ours, 0.99))
    results.show(
        "prediction",
        [
            results.Row("one row, p99", p99, float(np.quantile(theirs, 0.99)), "ms",
                        p99 <= ONE_ROW_GOAL_MS, f"at most {ONE_ROW_GOAL_MS:g} ms"),
            results.Row("one row, median", float(np.median(ours)), float(np.median(theirs)), "ms"),
            results.Row("batch", ours_rate, theirs_rate, "rows/s",
                        ours_rate >= BATCH_GOAL, f"at least {BATCH_GOAL:,} rows/s"),
            results.Row("largest relative difference", worst, 0.0, "", worst <= 1e-9, "1e-9"),
        ],
        f"a mean of {plan.bag} models, through `training.predict` and through the frame",
        parts=parts(model, many.iloc[:PART_ROWS]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
