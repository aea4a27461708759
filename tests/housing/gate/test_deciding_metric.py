"""A gate that decides by another metric than RMSE: evidence, verdicts, and their replay."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from housing import schema
from housing.evaluation.metrics import error_of
from housing.evaluation.spatial_se import spatial_cells
from housing.gate import evidence as records
from housing.gate.check import judge
from housing.gate.evidence import Evidence
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy
from housing.gate.replay import replay
from housing.records import Verdict
from housing.report.gate_plots import forest_rows

N = 1_500
METRICS = ("rmse", "mae", "rmsle", "pinball:0.5", "pinball:0.9")


@pytest.fixture(scope="module")
def competition():
    """A challenger that is better by the absolute error and worse by the squared one."""
    rng = np.random.default_rng(3)
    actual = rng.uniform(50_000, 450_000, N)
    places = spatial_cells(rng.uniform(-124, -114, N), rng.uniform(32, 42, N), schema.CELL)
    rows = TestRows(
        3, places, actual, slices={"first": np.arange(N) < 400}, fresh=np.arange(N) >= 1_200
    )
    errors = rng.normal(0, 20_000, N)
    far = np.arange(N) % 100 == 0
    better = np.where(far, 6 * np.abs(errors) + 50_000, 0.75 * errors)
    members = tuple(actual + better + rng.normal(0, 500, N) for _ in range(3))
    new = ModelPredictions(8, "8", np.mean(members, axis=0), 4_000, 0, members)
    champion = ModelPredictions(7, "7", actual + errors, 4_000, 0)
    former = (
        ModelPredictions(5, "5", actual + np.where(far, 150_000, 0.8 * errors), 4_000, 0),
        ModelPredictions(6, "6", actual + 1.01 * errors, 4_000, 0),
    )
    return rows, new, Competitors(champion, {"median": np.full(N, np.median(actual))}, former)


def evidence_by(competition, metric):
    return measure_evidence(*competition, GatePolicy(metric=metric), RunFacts())


def stored(kind, value):
    return TypeAdapter(kind).dump_python(value, mode="json")


@pytest.mark.parametrize("metric", METRICS)
def test_everything_that_is_compared_is_compared_by_the_deciding_metric(competition, metric):
    evidence = evidence_by(competition, metric)
    rows, new, others = competition
    assert evidence.metric == metric
    compared = [
        evidence.comparison, evidence.former.comparison, evidence.recent.comparison,
        evidence.slices[0].comparison, evidence.baselines["median"].comparison,
    ]  # fmt: skip
    assert {c.metric for c in compared} == {metric}
    value = error_of(rows.actual, new.values, metric)
    assert evidence.challenger.metrics.error.value == pytest.approx(value)
    assert evidence.challenger.metrics.rmse.value == pytest.approx(
        error_of(rows.actual, new.values)
    )
    errors = [error_of(rows.actual, m.values, metric) for m in others.former]
    assert evidence.former.error == pytest.approx(min(errors))
    assert evidence.seed_variance.errors == pytest.approx(
        [error_of(rows.actual, m, metric) for m in new.members]
    )
    beside = {name for name, c in (("mae", evidence.mae), ("rmse", evidence.rmse)) if c}
    assert beside == {"mae", "rmse"} - {metric}
    assert len(forest_rows(evidence, GatePolicy(metric=metric))) >= 2 + len(beside)


@pytest.mark.parametrize("rule", ["no_regression", "superior", "non_inferior"])
def test_every_rule_decides_by_it(competition, rule):
    outcomes = {}
    for metric in METRICS:
        policy = GatePolicy(metric=metric, rule=rule, thresholds={"artifact-size": 500})
        verdict = judge(evidence_by(competition, metric), policy)
        deciding = next(c for c in verdict.checks if c.name == "no-regression")
        outcomes[metric] = deciding.outcome
        assert deciding.figures["metric"] == metric
    assert (outcomes["rmse"], outcomes["mae"]) == ("failed", "passed")
    assert outcomes["pinball:0.5"] == outcomes["mae"]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("mae", "The challenger's MAE is $"),
        ("rmsle", "The challenger's RMSLE is 0."),
        ("pinball:0.9", "The challenger's pinball loss at 0.9 is $"),
    ],
)
def test_messages_name_the_metric_and_its_unit(competition, metric, words):
    verdict = judge(evidence_by(competition, metric), GatePolicy(metric=metric))
    by_name = {check.name: check.message for check in verdict.checks}
    for name in ("no-regression", "beats-baseline", "cumulative-regression"):
        assert by_name[name].startswith(words), by_name[name]
    if metric == "rmsle":
        assert "$" not in by_name["no-regression"] + by_name["cumulative-regression"]


def test_evidence_by_another_metric_is_an_error_and_promotes_nothing(competition):
    verdict = judge(evidence_by(competition, "rmse"), GatePolicy(metric="mae"))
    wrong = {c.name: c.message for c in verdict.checks if c.outcome == "error"}
    assert "compared by rmse, not mae" in wrong["no-regression"]
    assert {"slices", "recent-rows", "cumulative-regression", "beats-baseline"} <= set(wrong)
    assert verdict.outcome != "promote"


@pytest.mark.parametrize("metric", METRICS)
def test_a_stored_verdict_is_judged_by_its_own_metric(competition, metric):
    """Whatever the setting is now: evidence and policy are as they were stored."""
    policy = GatePolicy(metric=metric)
    evidence = evidence_by(competition, metric)
    verdict = judge(evidence, policy)
    again = replay(
        stored(Evidence, evidence), policy.model_dump(mode="json"), stored(Verdict, verdict)
    )
    assert again.agrees
    assert again.now == again.recorded
    assert records.read(stored(Evidence, evidence)) == evidence


def test_a_metric_that_is_none_is_refused_by_name():
    with pytest.raises(ValidationError, match="there is no metric r2; there are rmse, mae, rmsle"):
        GatePolicy(metric="r2")
    assert GatePolicy(metric="pinball").metric == "pinball:0.5"
