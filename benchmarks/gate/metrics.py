"""Coverage and power of the gate by each deciding metric.

Errors of two equally good models are drawn at the places of real test sides, as in
`benchmarks.gate.coverage`, where a part is shared by neighbours. The share of intervals that hold
the true change, which is zero by symmetry, is the coverage. For RMSLE the errors are those of
logarithms, without the rows' own scale. A challenger that is truly worse or better is one whose
errors are all multiplied: each metric then changes by exactly that share, and its standard error
with it. Beside the measured rate at which the rule promotes it stands the predicted one.

    python -m benchmarks gate-metrics housing.csv
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.gate.coverage import DRAWS, SPLITS, Side, pairs
from benchmarks.gate.pool import sides, table
from housing import schema
from housing.evaluation.compare import compare
from housing.gate import decision_rule
from housing.gate.policy import GatePolicy
from housing.gate.power import chance, operating_characteristic
from housing.metric import RMSLE
from housing.records import Comparison

METRICS = ("rmse", "mae", "rmsle", "pinball:0.9")
CASES = ((0, 0.0), (5, 0.3), (10, 0.1), (20, 0.1))
"""Length in km, and the share of each part's variance that neighbours share."""
CHANGES = (-0.02, -0.015, 0.0, 0.01, 0.02)
TYPICAL = 0.2  # error of a logarithm


def compared(
    side: Side, actual: np.ndarray, pair: tuple[np.ndarray, np.ndarray], metric: str
) -> Comparison:
    """Two models with these errors (n,) each."""
    if metric == RMSLE:
        logarithms = np.log1p(actual)
        one, other = (np.expm1(logarithms + TYPICAL * e / side.scale) for e in pair)
        return compare(actual, one, other, side.where, metric, confidence=0.95)
    return compare(np.zeros(side.rows), *pair, side.where, metric, confidence=0.95)


def planted(found: Comparison, change: float) -> Comparison:
    """The comparison if all errors of the challenger were larger by a share."""
    factor = 1 + change
    effect = (1 + found.effect) * factor - 1
    half = (found.upper - found.effect) * factor
    return replace(found, effect=effect, se=found.se * factor, upper=effect + half)


def comparisons(
    path: Path, length: float, share: float, draws: int
) -> Iterator[tuple[str, Comparison]]:
    """Metric and comparison of each draw, on all splits."""
    frame = table(path)
    for split in SPLITS:
        test = frame[sides(frame, split)]
        side, actual = Side(test), test[schema.TARGET].to_numpy()
        rng = np.random.default_rng([split, int(length), int(100 * share), len(METRICS)])
        root = side.field(length) if share else None
        for pair in pairs(rng, side, root, share, draws // len(SPLITS)):
            for metric in METRICS:
                yield metric, compared(side, actual, pair, metric)


def summary(found: list[Comparison]) -> dict[str, Any]:
    """Coverage, standard error, gain that is found, and rates by planted change."""
    policy = GatePolicy(metric=found[0].metric)
    gains = [operating_characteristic(c, policy).gain_needed or 0.0 for c in found[::10]]
    rates = {}
    for change in CHANGES:
        there = [planted(c, change) for c in found]
        rates[f"{change:g}"] = {
            "rate": float(np.mean([decision_rule.outcome(c, policy) == "passed" for c in there])),
            "predicted": float(np.mean([chance(c, policy, change) for c in there])),
        }
    return {
        "coverage": float(np.mean([c.interval.lower <= 0 <= c.interval.upper for c in found])),
        "upper": float(np.mean([c.upper >= 0 for c in found])),
        "true_se": float(np.std([c.effect for c in found])),
        "se": float(np.median([c.se for c in found])),
        "gain": float(np.median(gains)),
        "changes": rates,
    }


def case(path: Path, length: float, share: float, draws: int) -> Mapping[str, Any]:
    """One line for each metric."""
    found: dict[str, list[Comparison]] = {metric: [] for metric in METRICS}
    for metric, comparison in comparisons(path, length, share, draws):
        found[metric].append(comparison)
    measured = {metric: summary(each) for metric, each in found.items()}
    return {"length": length, "share": share, "metrics": measured}


def main() -> None:
    """Measure and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("--draws", type=int, default=DRAWS)
    options = parser.parse_args()
    path = reference_table(options)
    figures: dict[str, Any] = {"draws": options.draws, "splits": len(SPLITS), "cases": []}
    for length, share in CASES:
        row = case(path, length, share, options.draws)
        figures["cases"].append(row)
        for metric, each in row["metrics"].items():
            print(length, share, metric, f"{each['coverage']:.3f} {each['gain']:.4f}", flush=True)
    results.save("gate-metrics", figures)
