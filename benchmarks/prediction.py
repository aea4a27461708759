"""One row and batches through the fast predictor and through the frame, on a default challenger.

`python -m benchmarks prediction housing.csv`: p50 and p99 of one row, rows a second of batches of
rows near real districts, and the largest relative difference between the two ways; of the default
challenger, of a large ensemble, and of one that leaves out what costs most.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from benchmarks import results
from benchmarks.data import add_table, reference_table
from housing import schema
from housing.features.arrays import NUMBERS
from housing.features.derived import inputs_of
from housing.features.preprocess import fitted_neighbour_steps
from housing.features.space_filling_curve import along_curve
from housing.inference.columns import columns_of_frame
from housing.inference.fast_predictor import CHUNK_ROWS, TOLERANCE, predictor, split_columns
from housing.problems.california.features import COVARIATES
from housing.records import Member
from housing.training.fit import fit_members
from housing.training.sampling import sample_candidates
from housing.training.search_config import SearchPlan
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
        numbers, categories = measured("columns", lambda: split_columns(columns_of_frame(rows)))
        order = along_curve(numbers[:, [NUMBERS.index(name) for name in schema.COORDINATES]])
        (part,) = fast.parts
        values = measured("all features", lambda: part.features.compute(
            numbers[order], categories[order]))  # fmt: skip
        fitted = model["preprocess"].named_transformers_["near"]
        near = fitted[:-1].transform(rows.iloc[order][list(inputs_of(COVARIATES))])
        for look in fitted_neighbour_steps(model["preprocess"]).values():
            scale = getattr(look, "scale", None)
            name = "nearest on the map" if scale is None else f"most alike, scale {scale:g}"
            measured(f"of these, {name}", lambda look=look: look.neighbour_features(near))
        measured("binning", lambda: part.binned.binned(values))
        measured("binning and trees, in blocks", lambda: [
            part.binned.each(values[i : i + CHUNK_ROWS])
            for i in range(0, len(values), CHUNK_ROWS)])  # fmt: skip
        measured("trees without binning, by scikit-learn", lambda: model[-1].predict(values))
    return taken


def one_row(model: Pipeline, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of each of the rows asked alone, the fast way and through the frame.

    Through the frame, of as many as that takes some seconds for.
    """
    fast = predictor(model)
    given = [columns_of_frame(rows.iloc[[i]]) for i in range(len(rows))]
    with one_thread():  # as in the server
        fast.predict(given[0])
        ours = latencies(lambda i: fast.predict(given[i]), len(rows))
        theirs = latencies(lambda i: model.predict(rows.iloc[[i]]), min(60, len(rows)))
    return ours, theirs


@dataclass(frozen=True)
class Batch:
    """Rows a second of wall and of processor time, and how far two ways are apart."""

    ours: float
    ours_processor: float
    theirs: float
    theirs_processor: float
    worst: float  # largest relative difference


def batch(model: Pipeline, rows: pd.DataFrame, threads: int) -> Batch:
    """All rows at once, by both ways."""
    fast, given = predictor(model, threads), columns_of_frame(rows)

    def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
        began, processor = time.perf_counter(), time.process_time()
        predicted = call()
        taken = time.perf_counter() - began, time.process_time() - processor
        return predicted, len(rows) / taken[0], len(rows) / taken[1]

    predicted, ours, ours_processor = timed(lambda: fast.predict(given))
    expected, theirs, theirs_processor = timed(lambda: model.predict(rows))
    worst = float(np.max(np.abs(predicted / expected - 1)))
    return Batch(ours, ours_processor, theirs, theirs_processor, worst)


@dataclass(frozen=True)
class Kind:
    """A challenger that is asked."""

    name: str
    bag: int
    without: tuple[str, ...] = ()
    goal: bool = False  # whether the goal of batches is meant for it


KINDS = (
    Kind("default", SearchPlan().ensemble_size, goal=True),
    Kind("ensemble of 8", 8),
    Kind("one model, fewer features", 1, ("regression", "similar")),
)


def fitted(table: pd.DataFrame, plan: SearchPlan, kind: Kind) -> Pipeline:
    """A challenger of the default family."""
    members = [Member(sample_candidates(plan)[0], seed) for seed in range(kind.bag)]
    X, y = table[list(schema.FEATURES)], table[schema.TARGET]
    found = fit_members(X, y, members, workers=plan.workers, without=kind.without)
    model: Pipeline = found.model
    return model


def figures(kind: Kind, alone: tuple[np.ndarray, np.ndarray], together: Batch) -> list[results.Row]:
    """The rows of one kind."""
    p99, theirs = (float(np.quantile(each, 0.99)) for each in alone)
    met = together.ours >= BATCH_GOAL if kind.goal else None
    return [
        results.Row(f"{kind.name}: one row, p99", p99, theirs, "ms",
                    p99 <= ONE_ROW_GOAL_MS, f"at most {ONE_ROW_GOAL_MS:g} ms"),
        results.Row(f"{kind.name}: one row, median", *map(float, map(np.median, alone)), "ms"),
        results.Row(f"{kind.name}: batch", together.ours, together.theirs, "rows/s", met,
                    f"at least {BATCH_GOAL:,} rows/s" if kind.goal else ""),
        results.Row(f"{kind.name}: a processor second", together.ours_processor,
                    together.theirs_processor, "rows"),
        results.Row(f"{kind.name}: largest difference", together.worst, 0.0, "",
                    together.worst <= TOLERANCE, f"{TOLERANCE:g}"),
    ]  # fmt: skip


def main() -> None:
    """Measure and print both sides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a batch")
    options = parser.parse_args()
    table = pd.read_csv(reference_table(options)).astype(schema.dtypes())
    plan = SearchPlan()
    few = around(table[list(schema.FEATURES)], SINGLE_ROWS)
    many = around(table[list(schema.FEATURES)], options.rows, seed=1)
    rows, where, trees = [], {}, 0
    for kind in KINDS:
        model = fitted(table, plan, kind)
        rows += figures(kind, one_row(model, few), batch(model, many, plan.workers))
        if kind.goal:
            where = parts(model, many.iloc[:PART_ROWS])
            trees = sum(len(each._predictors) for each in model[-1].estimators_)
    results.show(
        "prediction", rows, "default challengers, by the fast predictor and through the frame",
        parts=where, trees=trees,
    )  # fmt: skip
