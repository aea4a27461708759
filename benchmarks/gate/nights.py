"""Nights on the real table: nothing changed, or a change of known size was planted.

A night is a pair of ensembles of the pool (`benchmarks.gate.pool`), one as champion, one as
challenger, in an order drawn once, judged on the test side of their split by the whole gate.
Both come from one recipe, so by exchange of the two no pair favours the challenger: the true
change of the RECIPE is zero. A planted change multiplies the challenger's residuals by 1 + x:
the same recipe, truly worse (or better) by x. Beside each rule stands the gate that promotes
where the challenger's RMSE is at most the champion's, on the same rows.

    python -m benchmarks gate-nights housing.csv POOL
"""

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.gate import pool
from benchmarks.gate.cases import RULES, as_test_rows
from benchmarks.gate.pool import Split
from housing.evaluation.compare import compare
from housing.evaluation.spatial_se import SpatialCells
from housing.formatting import percent
from housing.gate.check import judge
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, measure_evidence
from housing.gate.policy import GatePolicy
from housing.gate.power import chance

CHANGES = (-0.05, -0.02, -0.015, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.05)
POLICY = GatePolicy(preflight=False)


def pairs(splits: list[Split]) -> Iterator[tuple[int, Split, int, int]]:
    """All pairs of ensembles of one split, each once, champion first."""
    rng = np.random.default_rng(0)
    for number, split in enumerate(splits):
        for one, other in combinations(range(len(split.predicted)), 2):
            champion, challenger = (one, other) if rng.random() < 0.5 else (other, one)
            yield number, split, champion, challenger


def night(split: Split, champion: int, challenger: int, change: float, bag: int) -> dict[str, Any]:
    """Judge one pair; the outcome of each rule and of the gate of points."""
    ours, theirs = (split.predicted[b][:bag].mean(axis=0) for b in (challenger, champion))
    ours = split.actual + (1 + change) * (ours - split.actual)
    ours = np.maximum(ours, 1.0)  # a planted loss may push a price below zero
    members = tuple(split.predicted[challenger][:bag]) if bag > 1 else ()
    median = np.full(len(ours), np.median(split.actual))
    evidence = measure_evidence(
        as_test_rows(split.rows),
        ModelPredictions(2, "challenger", ours, 1, 0, members),
        Competitors(ModelPredictions(1, "champion", theirs, 1, 0), {"median": median}),
        POLICY,
        RunFacts(),
    )
    found = evidence.comparison
    verdicts = {rule: judge(evidence, POLICY.model_copy(update={"rule": rule})) for rule in RULES}
    return {
        "effect": found.effect,
        "se": found.se,
        "se_independent": found.se_independent,
        "luck": None if evidence.seed_variance is None else evidence.seed_variance.spread,
        "points": evidence.challenger.metrics.rmse.value <= evidence.champion.metrics.rmse.value,
        "failed": sorted(r.name for r in verdicts["non_inferior"].checks if r.outcome == "failed"),
        "outcome": {rule: verdict.outcome for rule, verdict in verdicts.items()},
        "rule_alone": {
            rule: next(r.outcome for r in verdict.checks if r.name == "no-regression") == "passed"
            for rule, verdict in verdicts.items()
        },
        "comparison": found,
    }


def rate(hits: list[bool], group: list[int]) -> dict[str, float]:
    """Share, and its standard error clustered by split: pairs of one split share bags."""
    y = np.asarray(hits, dtype=float)
    sums = np.bincount(group, weights=y - y.mean())
    occupied = len(set(group))
    error = float(np.sqrt(occupied / (occupied - 1) * (sums @ sums)) / len(y))
    return {"rate": float(y.mean()), "se": error}


def measure(splits: list[Split], bag: int, change: float, luck: float) -> dict[str, Any]:
    """All pairs at one planted change."""
    found = [(number, night(split, a, b, change, bag)) for number, split, a, b in pairs(splits)]
    group = [number for number, _ in found]
    nights = [n for _, n in found]
    figures: dict[str, Any] = {
        "nights": len(nights),
        "effect_mean": float(np.mean([n["effect"] for n in nights])),
        "effect_sd": float(np.std([n["effect"] for n in nights])),
        "se_mean": float(np.mean([n["se"] for n in nights])),
        "se_ratio": float(np.mean([n["se"] / n["se_independent"] for n in nights])),
        "points": rate([n["points"] for n in nights], group),
        "blocked_by": {
            name: float(np.mean([name in n["failed"] for n in nights]))
            for name in sorted({x for n in nights for x in n["failed"]})
        },
    }
    for rule in RULES:
        policy = POLICY.model_copy(update={"rule": rule})
        outcomes = [n["outcome"][rule] for n in nights]
        figures[rule] = {
            "promote": rate([o == "promote" for o in outcomes], group),
            "keep": float(np.mean([o == "keep" for o in outcomes])),
            "inconclusive": float(np.mean([o == "inconclusive" for o in outcomes])),
            "rule_alone": rate([n["rule_alone"][rule] for n in nights], group),
            "predicted": float(
                np.mean([chance(n["comparison"], policy, change, seed_spread=luck) for n in nights])
            ),
            "predicted_without_luck": float(
                np.mean([chance(n["comparison"], policy, change) for n in nights])
            ),
        }
    return figures


def unlike(splits: list[Split]) -> Iterator[tuple[Split, str, np.ndarray, np.ndarray]]:
    """Pairs of the first bag with a model of another family, and of these with one another."""
    for split in splits:
        models = {"boosting": split.predicted[0].mean(axis=0), **split.others}
        for one, other in combinations(models, 2):
            yield split, f"{other} against {one}", models[one], models[other]


def reaches(found: list[tuple[Split, np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Standard error over the one of independent rows: as chosen, and by each kernel alone."""
    chosen, alone = [], []
    for split, theirs, ours in found:
        c = compare(split.actual, theirs, ours, split.where, confidence=0.95)
        chosen.append((c.se / c.se_independent, c.bandwidth, c.degrees))
        alone.append([])
        for kernel in split.where.kernels:
            only = SpatialCells(split.where.codes, (kernel,))
            c = compare(split.actual, theirs, ours, only, confidence=0.95)
            alone[-1].append(c.se / c.se_independent)
    ratio, reach, df = np.mean(chosen, axis=0)
    kernels = found[0][0].where.kernels
    means = np.mean(alone, axis=0)
    by = {f"{k.bandwidth:g}": float(mean) for k, mean in zip(kernels, means, strict=True)}
    return {"pairs": len(found), "ratio": ratio, "reach": reach, "df": df, "alone": by}


def all_reaches(splits: list[Split]) -> dict[str, Any]:
    """How alike real errors are: ensembles of one recipe, single models of it, other families."""
    same = {
        f"one recipe, ensembles of {bag}" if bag > 1 else "one recipe, single seeds": [
            (split, *(split.predicted[m][:bag].mean(axis=0) for m in (a, b)))
            for _, split, a, b in pairs(splits)
        ]
        for bag in (pool.MEMBERS, 1)
    }
    others: dict[str, list[tuple[Split, np.ndarray, np.ndarray]]] = {}
    for split, name, theirs, ours in unlike(splits):
        others.setdefault(name, []).append((split, theirs, ours))
    return {name: reaches(found) for name, found in (same | others).items()}


def training_luck(splits: list[Split], bag: int) -> float:
    """Standard deviation of a pair's change that the test rows do not explain."""
    nights = [night(split, a, b, 0.0, bag) for _, split, a, b in pairs(splits)]
    spread = np.mean([n["effect"] ** 2 for n in nights])
    explained = np.mean([n["se"] ** 2 for n in nights])
    return float(np.sqrt(max(spread - explained, 0.0)))


def main() -> None:
    """Judge all nights and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("var/benchmarks/pool"))
    options = parser.parse_args()
    splits = pool.load(reference_table(options), options.folder)
    figures: dict[str, Any] = {
        "splits": len(splits),
        "bags": len(splits[0].predicted),
        "members": pool.MEMBERS,
        "test_rows": len(splits[0].actual),
        "trained_share": pool.TRAINED_SHARE,
    }
    for bag in (1, pool.MEMBERS):
        luck = training_luck(splits, bag)
        rmse = [
            float(np.sqrt(np.mean((b[:bag].mean(axis=0) - s.actual) ** 2)))
            for s in splits
            for b in s.predicted
        ]
        figures[f"bag_{bag}"] = {
            "rmse_mean": float(np.mean(rmse)),
            "training_luck": luck,
            "changes": {f"{c:g}": measure(splits, bag, c, luck) for c in CHANGES},
        }
        print(f"ensemble of {bag}: luck {percent(luck, 3)}", flush=True)
        for change, row in figures[f"bag_{bag}"]["changes"].items():
            shown = "  ".join(
                f"{rule} {row[rule]['promote']['rate']:.3f} ({row[rule]['predicted']:.3f})"
                for rule in RULES
            )
            print(
                f"{float(change):+.3f}  >= {row['points']['rate']:.3f}  {shown}", row["blocked_by"]
            )
    figures["reaches"] = all_reaches(splits)
    for name, row in figures["reaches"].items():
        print(f"{name:<32}", row)
    results.save("gate-nights", figures)
