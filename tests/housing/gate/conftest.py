"""Evidence of a run, of which a test changes the one fact that it is about."""

import dataclasses
from statistics import NormalDist

import pytest

from housing.gate.behaviour_checks import BEHAVIOUR_CHECKS
from housing.gate.evidence import (
    Baseline,
    BestFormerChampion,
    Evidence,
    HoldoutReuse,
    LoadCheck,
    ModelMetrics,
    SeedVariance,
    ServingCosts,
    SubsetComparison,
)
from housing.gate.expected_gain import FORMULA
from housing.records import ColumnDrift, Comparison, DriftReport, Interval, Metrics

ROWS = 4_000


def metrics(rmse, rows=ROWS):
    return Metrics(
        rows=rows,
        rmse=Interval(rmse, 0.95 * rmse, 1.05 * rmse),
        mae=0.65 * rmse,
        r2=0.85,
        within_10=0.5,
        within_20=0.8,
    )


def comparison(effect, se, confidence=0.95, rows=ROWS):
    one, two = (NormalDist().inv_cdf(p) for p in (confidence, (1 + confidence) / 2))
    interval = Interval(effect, effect - two * se, effect + two * se, confidence)
    return Comparison(rows, 700, effect, se, se / 1.1, interval, effect + one * se)


def contender(id, rmse, rows=ROWS):
    return ModelMetrics(
        id=id,
        digest=f"sha256:{id}",
        training_rows=16_000,
        test_overlap=0,
        non_finite=0,
        metrics=metrics(rmse, rows),
    )


def part(effect=-0.04, se=0.02, rows=400, name="income <=1.5", confidence=0.95):
    return SubsetComparison(name, rows, comparison(effect, se, confidence, rows))


def column(effect=0.02, q=0.5, rows=500, name="population", kind="number"):
    return ColumnDrift(name, kind, 16_000, rows, effect, q, q, 0.1, ("a",), (1.0,), (1.0,))


def drift(*columns, current="new rows"):
    return DriftReport("training rows of m7", current, 16_000, 500, columns or (column(),))


def beside(effect, se, confidence, rows):
    """What is measured beside the deciding comparison where there is a champion."""
    return {
        "mae": comparison(effect, se, confidence, rows),
        "slices": (
            part(effect, 4 * se, confidence=confidence),
            part(effect, 5 * se, 300, "ocean INLAND", confidence),
            part(effect, 9 * se, 49, "ocean ISLAND", confidence),
        ),
        "recent": part(effect, 5 * se, 200, "never-used rows", confidence),
        "uncapped": part(effect, se, rows - 200, "rows below the cap", confidence),
        "former": BestFormerChampion(
            5, 2, 40_100.0, comparison(effect - 0.002, se, confidence, rows)
        ),
        "champion_seed_variance": SeedVariance((40_100.0, 40_200.0, 40_150.0), 0.002),
        "holdout_reuse": HoldoutReuse(
            12, 200, metrics(41_000.0, 200), metrics(39_900.0, rows - 200), None
        ),
        "drift": (drift(), drift(current="active dataset")),
    }


@pytest.fixture(scope="session")
def make_evidence():
    """Evidence whose challenger (m8) has the given change against champion and baseline."""

    def make(
        effect=-0.04,
        se=0.005,
        *,
        champion=40_000.0,
        baseline_effect=-0.5,
        baseline_se=0.01,
        confidence=0.95,
        rows=ROWS,
        **changes,
    ):
        rmse = (champion or 40_000.0) * (1 + effect)
        against = comparison(baseline_effect, baseline_se, confidence, rows)
        worst = comparison(baseline_effect - 0.2, baseline_se, confidence, rows)
        evidence = Evidence(
            version=3,
            test_rows=rows,
            read_rows=500,
            rejected_rows=4,
            challenger=contender(8, rmse, rows),
            champion=contender(7, champion, rows) if champion else None,
            comparison=comparison(effect, se, confidence, rows) if champion else None,
            baselines={
                "median": Baseline(metrics(110_000.0, rows), worst),
                "linear": Baseline(metrics(70_000.0, rows), against),
            },
            seed_variance=SeedVariance((38_500.0, 38_600.0, 38_450.0), 0.002),
            costs=ServingCosts(40.0, 38.0 if champion else None, 2_000_000),
            preflight=LoadCheck(0.0, 2.5),
            measured={
                check.name: {"rows": 800, "broken": 0, "worst": 0.0} for check in BEHAVIOUR_CHECKS
            },
            gain_formula=FORMULA,
            **(beside(effect, se, confidence, rows) if champion else {}),
        )
        return dataclasses.replace(evidence, **changes)

    return make
