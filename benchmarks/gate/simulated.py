"""Planted challengers whose true error is known: simulated worlds, fresh test sets without end.

In each of WORLDS worlds two ensembles of one recipe are fitted on the training side of a first
table, and asked about SETS fresh test sets of ROWS districts. Their RMSE over all of these is the
true one (to about 0.1 %), and the challenger's residuals are scaled so that it is truly worse or
better by exactly the planted change. Each test set is then a night. Two more figures come of the
same predictions: how often the 95 % interval holds the true change, and how far a predicted
operating characteristic lies from the measured one.

Predictions that are in the folder already are judged again and not made again; when those of each
world were made, and a digest of them, is kept with the figures. The same code gives the same bytes.

    python -m benchmarks gate-simulated FOLDER
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import results
from benchmarks.gate.cases import RULES
from benchmarks.gate.family import fitted, plain
from benchmarks.gate.pool import MEMBERS, sides
from housing import schema
from housing.evaluation.compare import compare
from housing.evaluation.spatial_se import spatial_cells
from housing.gate import decision_rule
from housing.gate.policy import GatePolicy
from housing.gate.power import chance
from housing.problems.california.simulated.scenarios import simulate

WORLDS, SETS, ROWS = 6, 200, 4_128
FIRST = 20_640
CHANGES = (-0.05, -0.02, -0.015, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.05)


def world(number: int, folder: Path) -> dict[str, Any]:
    """Test rows and the predictions of two bags, shape (SETS * ROWS,); kept in the folder."""
    done = folder / f"world-{number}.npz"
    if not done.exists():
        frame = simulate(FIRST, 100 + number)
        train = frame[~sides(frame, number)]
        bags = [_bag(train, 50 * number + 10 * b) for b in range(2)]
        names = ("actual", "longitude", "latitude", "one", "other")
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for night in range(1, SETS + 1):
            rows = simulate(ROWS, 100 + number, day=night)
            parts["actual"].append(rows[schema.TARGET].to_numpy())
            for name, column in zip(("longitude", "latitude"), schema.COORDINATES, strict=True):
                parts[name].append(rows[column].to_numpy())
            for name, bag in zip(("one", "other"), bags, strict=True):
                X = rows[list(schema.FEATURES)]
                parts[name].append(np.mean([m.predict(X) for m in bag], axis=0))
        results.keep_arrays(done, **{name: np.stack(found) for name, found in parts.items()})
        print(f"world {number + 1} of {WORLDS}", flush=True)
    return dict(np.load(done))


def _bag(train: pd.DataFrame, seed: int) -> list[Any]:
    part = train.sample(frac=0.95, random_state=seed)
    X, y = part[list(schema.FEATURES)], part[schema.TARGET].to_numpy()
    return [fitted(plain(seed + member), X, y) for member in range(MEMBERS)]


def nights(worlds: list[dict[str, Any]], change: float) -> list[Any]:
    """One comparison a test set, the challenger truly worse by `change`."""
    found = []
    for w in worlds:
        rmse = [float(np.sqrt(np.mean((w[m] - w["actual"]) ** 2))) for m in ("one", "other")]
        factor = (1 + change) * rmse[0] / rmse[1]
        challenger = w["actual"] + factor * (w["other"] - w["actual"])
        coordinates = zip(w["longitude"], w["latitude"], strict=True)
        where = w.get("where") or [spatial_cells(*each, 0.1) for each in coordinates]
        w["where"] = where  # the same for every planted change
        found += [
            compare(*columns, confidence=0.95)
            for columns in zip(w["actual"], w["one"], challenger, where, strict=True)
        ]
    return found


def measure(found: list[Any], change: float) -> dict[str, Any]:
    """Measured and predicted rates, and the coverage of both intervals."""
    figures: dict[str, Any] = {
        "nights": len(found),
        "se_mean": float(np.mean([c.se for c in found])),
        "effect_sd": float(np.std([c.effect for c in found])),
        "coverage": float(np.mean([c.interval.lower <= change <= c.interval.upper for c in found])),
        "coverage_independent": float(
            np.mean([abs(c.effect - change) <= 1.96 * c.se_independent for c in found])
        ),
        "points": float(np.mean([c.effect <= 0 for c in found])),
    }
    for rule in RULES:
        policy = GatePolicy(rule=rule)
        passed = [decision_rule.outcome(c, policy) == "passed" for c in found]
        figures[rule] = {
            "measured": float(np.mean(passed)),
            "predicted": float(np.mean([chance(c, policy, change) for c in found])),
        }
    return figures


def main() -> None:
    """Simulate and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("var/benchmarks/worlds"))
    options = parser.parse_args()
    worlds = [world(number, options.folder) for number in range(WORLDS)]
    figures = {"worlds": WORLDS, "sets": SETS, "test_rows": ROWS, "changes": {}}
    figures["predictions"] = [
        results.provenance(options.folder / f"world-{number}.npz") for number in range(WORLDS)
    ]
    for change in CHANGES:
        row = measure(nights(worlds, change), change)
        figures["changes"][f"{change:g}"] = row
        shown = "  ".join(
            f"{rule} {row[rule]['measured']:.4f} ({row[rule]['predicted']:.4f})" for rule in RULES
        )
        print(f"{change:+.3f}  {shown}  coverage {row['coverage']:.3f}", flush=True)
    results.save("gate-simulated", figures)
