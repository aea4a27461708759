"""A run's report, of which a test changes the part that it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from housing import schema
from housing.evaluation.drift import measure_drift
from housing.evaluation.spatial_se import spatial_cells
from housing.gate.check import judge
from housing.gate.evidence import LoadCheck, ServingCosts
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy
from housing.problems.california.simulated.scenarios import DriftScenario, simulate
from housing.records import (
    BatchSummary,
    Candidate,
    DatasetProfile,
    Interval,
    Rejection,
    RunOutcome,
    StepTime,
    Trial,
)
from housing.report.data import QuarantinedRow, RunReport, TestSet
from housing.training.lineage import FeatureGroup

START = datetime(2026, 11, 24, 2, tzinfo=UTC)


def trial(index, family="hist_gradient_boosting", rmse=41_000.0, error=""):
    folds = () if error else (rmse - 500, rmse, rmse + 500)
    return Trial(Candidate(index, family, {"learning_rate": 0.06}), folds, 2.0, error)


@pytest.fixture(scope="session")
def located():
    rng = np.random.default_rng(7)
    n = 800
    actual = np.minimum(rng.uniform(50_000, 550_000, n), 500_001)
    part = rng.integers(0, 6, n)
    where = rng.uniform(-124, -114, n), rng.uniform(32, 42, n)
    return where, TestRows(
        3,
        spatial_cells(*where, schema.CELL),
        actual,
        slices={f"ocean proximity {chr(65 + i)}": part == i for i in range(6)}
        | {"ocean proximity ISLAND": np.arange(n) < 3},
        fresh=np.arange(n) >= n - 120,
        capped=actual >= 500_001,
    )


@pytest.fixture(scope="session")
def rows(located):
    return located[1]


@pytest.fixture(scope="session")
def make_report(located):
    """The report of a run whose challenger makes `factor` times the champion's errors."""
    (longitude, latitude), rows = located
    rng = np.random.default_rng(8)
    errors = rng.normal(0, 40_000, len(rows.actual))
    seeds = rng.normal(0, 8_000, len(errors))
    own = rng.normal(0, 10_000, len(errors))
    drifts = tuple(
        measure_drift(
            simulate(3_000, 1),
            simulate(400, 1, day=day, drift=DriftScenario(price_per_day=0.3)),
            names=("training rows of m7", current),
        )
        for day, current in ((1, "rows of this run"), (0, "active dataset"))
    )  # fmt: skip
    policy = GatePolicy()

    def make(factor=0.9, *, champion=True, **changes):
        old = ModelPredictions(7, "sha256:7", np.maximum(rows.actual + errors, 1), 3_000, 0)
        values = np.maximum(rows.actual + factor * errors + own, 1)
        members = tuple(values + s * seeds for s in (-1, 0.5, 0.5))
        new = ModelPredictions(8, "sha256:8", values, 3_100, 0, members)
        former = [ModelPredictions(5, "sha256:5", rows.actual + 1.02 * errors, 2_900, 0)]
        baselines = {"median": np.full(len(errors), np.median(rows.actual))}
        found = RunFacts(
            200, 2, 14,
            drifts if champion else (),
            ServingCosts(41.3, 39.8 if champion else None, 1_900_000),
            LoadCheck(0.0, 2.4),
        )  # fmt: skip
        rivals = Competitors(old, baselines, former) if champion else Competitors(None, baselines)
        evidence = measure_evidence(rows, new, rivals, policy, found)
        verdict = judge(evidence, policy)
        outcomes = {"promote": "promoted", "keep": "kept", "inconclusive": "inconclusive"}
        report = RunReport(
            run=12,
            started_at=START,
            outcome=RunOutcome(outcomes[verdict.outcome]),
            message=verdict.message,
            location="reports/report-r12.html",
            challenger="m8 (boosting)",
            champion="m7 (forest)" if champion else "",
            evidence=evidence,
            policy=policy,
            verdict=verdict,
            trials=(trial(0, rmse=42_000.0), trial(1), trial(2, "extra_trees", error="too deep")),
            best=1,
            lineage=(
                FeatureGroup("", ("median_income",), ("number__median_income",)),
                FeatureGroup(
                    "ratios", ("total_rooms", "households"), ("ratios__rooms_per_house",)
                ),
            ),
            importances={"median_income": 0.7, "latitude": 0.3},
            test=TestSet(rows.actual, new.values, (longitude, latitude)),
            batches=(
                BatchSummary(
                    4, "landing", "new.csv", "accepted", "7 districts came in.", 9, 7, 2,
                    rejections=(
                        Rejection("range", "median_income", 2, "new.csv line 3: 83252"),
                    ),
                ),
                BatchSummary(None, "landing", "slow.csv", "waiting", "Still being written."),
            ),
            quarantine=(QuarantinedRow("new.csv", 3, "range", "median_income", "83252"),),
            dataset=DatasetProfile(3, 4_000, 3_200, 800, 0, "sha256:abc", {}),
            steps=(StepTime("intake", 0.5, "2 files"), StepTime("search", 75.0)),
            history=tuple(
                (START - timedelta(days=i), Interval(40_000.0 + i, 39_000.0, 41_000.0))
                for i in range(3)
            ),
            settings={"seed": "42"},
        )  # fmt: skip
        return replace(report, **changes)

    return make
