"""How long a verdict takes, once the predictions are there: at 4 thousand and 1 million test rows.

A verdict is all of `gather` (champion, two baselines, one former champion, slices, never-used
rows, capped labels, a bag's luck) and `judge`, and its operating characteristic; loading models
and predicting is the models' time. Drift between two tables of the size of the test set is timed
beside it: it is measured once a night. Processor seconds count on a machine that does other work
too; --quiet states that this one does not, and keeps the wall seconds as well.

    python -m benchmarks gate-speed [--quiet]
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gate.cases import as_test_rows
from benchmarks.results import Row, at_most, show
from housing import schema
from housing.evaluation.drift import measure_drift
from housing.gate.check import judge
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, measure_evidence
from housing.gate.policy import GatePolicy
from housing.gate.power import operating_characteristic
from housing.problems.california.simulated.scenarios import simulate

SIZES = (4_128, 1_000_000)
GOALS = {4_128: 0.05, 1_000_000: 2.0}  # seconds
REPEATS = {4_128: 25, 1_000_000: 5}


def timed(call: Callable[[], Any], repeats: int) -> dict[str, dict[str, float]]:
    """Median and worst of several calls, processor and wall seconds; the first is left out."""
    took: dict[str, list[float]] = {"processor": [], "wall": []}
    clocks = {"processor": time.process_time, "wall": time.perf_counter}
    for _ in range(repeats + 1):
        began = {name: clock() for name, clock in clocks.items()}
        call()
        for name, clock in clocks.items():
            took[name].append(clock() - began[name])
    return {
        name: {"median": float(np.median(found[1:])), "worst": max(found[1:])}
        for name, found in took.items()
    }


def case(rows: int) -> tuple[Any, Any]:
    """A verdict to be called, and a measurement of drift."""
    small = simulate(min(rows, 50_000), 1)
    frame = small.iloc[np.arange(rows) % len(small)].reset_index(drop=True)
    rng = np.random.default_rng(0)
    actual = frame[schema.TARGET].to_numpy()
    for name in schema.COORDINATES:
        frame[name] += rng.normal(0, 0.2, rows)
    test = as_test_rows(frame, rng.random(rows) < 0.1)
    errors = rng.normal(0, 40_000, rows)
    predictions = [np.maximum(actual + errors + rng.normal(0, 9_000, rows), 1.0) for _ in range(6)]
    challenger = ModelPredictions(
        9, "9", np.mean(predictions[:3], axis=0), 1, 0, tuple(predictions[:3])
    )
    median, line = np.full(rows, np.median(actual)), actual + 2 * errors
    others = Competitors(
        ModelPredictions(8, "8", predictions[3], 1, 0),
        {"median": median, "linear": line},
        [ModelPredictions(7, "7", predictions[4], 1, 0)],
    )
    policy = GatePolicy(preflight=False)

    def verdict() -> None:
        evidence = measure_evidence(test, challenger, others, policy, RunFacts())
        judge(evidence, policy)
        operating_characteristic(evidence.comparison, policy)

    other = simulate(min(rows, 50_000), 2)
    fresh = other.iloc[np.arange(rows) % len(other)].reset_index(drop=True)
    return verdict, lambda: measure_drift(frame, fresh, names=("before", "now"))


def main() -> None:
    """Time both sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", action="store_true", help="nothing else runs on this machine")
    quiet = parser.parse_args().quiet
    figures: dict[str, Any] = {"quiet": quiet, "verdict": {}, "drift": {}, "goals": GOALS}
    rows = []
    for size in SIZES:
        verdict, drift = case(size)
        figures["verdict"][str(size)] = timed(verdict, REPEATS[size])
        figures["drift"][str(size)] = timed(drift, 3)
        clock = "wall" if quiet else "processor"
        took, beside = (figures[name][str(size)][clock]["median"] for name in ("verdict", "drift"))
        name = f"verdict, {size:,} rows, {clock} time"
        rows.append(at_most(name, 1e3 * took, 1e3 * GOALS[size], "ms"))
        rows.append(Row(f"drift beside it, {clock} time", beside, 0.0, "s"))
    show("gate-speed", rows, "a verdict beside what it may take", **figures)
