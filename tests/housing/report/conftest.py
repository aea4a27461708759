"""A night's report, of which a test changes the part that it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from housing.gate.check import judge
from housing.gate.evidence import Predictions, TestRows, gather
from housing.gate.policy import GatePolicy
from housing.records import (
    BatchSummary,
    DatasetProfile,
    Draw,
    Interval,
    Rejection,
    StepTime,
    Trial,
)
from housing.report.content import NightReport, QuarantinedRow, TestSet

START = datetime(2026, 11, 24, 2, tzinfo=UTC)


def trial(index, family="hist_gradient_boosting", rmse=41_000.0, error=""):
    folds = () if error else (rmse - 500, rmse, rmse + 500)
    return Trial(Draw(index, family, {"learning_rate": 0.06}), folds, 2.0, error)


@pytest.fixture(scope="session")
def rows():
    rng = np.random.default_rng(7)
    n = 800
    actual = np.minimum(rng.uniform(50_000, 550_000, n), 500_001)
    return TestRows(3, rng.uniform(-124, -114, n), rng.uniform(32, 42, n), actual)


@pytest.fixture(scope="session")
def make_report(rows):
    """The report of a night whose challenger makes `factor` times the champion's errors."""
    rng = np.random.default_rng(8)
    errors = rng.normal(0, 40_000, len(rows.actual))
    policy = GatePolicy()

    def make(factor=0.9, *, champion=True, **changes):
        old = Predictions(7, "sha256:7", np.maximum(rows.actual + errors, 1), 3_000, 0)
        new = Predictions(8, "sha256:8", np.maximum(rows.actual + factor * errors, 1), 3_100, 0)
        baselines = {"median": np.full(len(errors), np.median(rows.actual))}
        evidence = gather(
            rows, new, old if champion else None, baselines, policy, read_rows=9, rejected_rows=2
        )
        verdict = judge(evidence, policy)
        outcomes = {"promote": "promoted", "keep": "kept", "inconclusive": "inconclusive"}
        report = NightReport(
            run=12,
            started_at=START,
            outcome=outcomes[verdict.outcome],
            sentence=verdict.sentence,
            location="reports/night-12.html",
            challenger="m8 (boosting)",
            champion="m7 (forest)" if champion else "",
            evidence=evidence,
            policy=policy,
            verdict=verdict,
            trials=(trial(0, rmse=42_000.0), trial(1), trial(2, "extra_trees", error="too deep")),
            best=1,
            importances={"median_income": 0.7, "latitude": 0.3},
            test=TestSet(rows.longitude, rows.latitude, rows.actual, new.values),
            batches=(
                BatchSummary(
                    4, "landing", "tonight.csv", "accepted", "7 districts came in.", 9, 7, 2,
                    (Rejection("range", "median_income", 2, "tonight.csv line 3: 83252"),),
                ),
                BatchSummary(None, "landing", "slow.csv", "waiting", "Still being written."),
            ),
            quarantine=(QuarantinedRow("tonight.csv", 3, "range", "median_income", "83252"),),
            dataset=DatasetProfile(3, 4_000, 3_200, 800, "sha256:abc", {}),
            steps=(StepTime("intake", 0.5, "2 files"), StepTime("search", 75.0)),
            history=tuple(
                (START - timedelta(days=i), Interval(40_000.0 + i, 39_000.0, 41_000.0))
                for i in range(3)
            ),
            settings={"seed": "42"},
        )  # fmt: skip
        return replace(report, **changes)

    return make
