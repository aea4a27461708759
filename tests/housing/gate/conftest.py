"""Evidence of a night, of which a test changes the one fact that it is about."""

import dataclasses
from statistics import NormalDist

import pytest

from housing.gate.evidence import Baseline, Contender, Evidence
from housing.records import Comparison, Interval, Metrics

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
    return Contender(
        id=id,
        digest=f"sha256:{id}",
        training_rows=16_000,
        test_overlap=0,
        non_finite=0,
        non_positive=0,
        metrics=metrics(rmse, rows),
    )


@pytest.fixture(scope="session")
def make_evidence():
    """A night whose challenger (m8) has the given relative change against champion and baseline."""

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
        )
        return dataclasses.replace(evidence, **changes)

    return make
