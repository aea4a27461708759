"""A check measures evidence of its own and has a threshold of its own."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from housing import schema
from housing.evaluation.spatial_se import spatial_cells
from housing.gate import check as gate_check
from housing.gate import policy as policies
from housing.gate.check import CHECKS, judge, with_default_thresholds
from housing.gate.evidence import Evidence, read
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy, Threshold
from housing.gate.replay import replay
from housing.pipeline.evaluate import evaluation_key
from housing.records import CheckResult, Verdict
from housing.settings import load_settings


class Worst:
    """The largest error, in thousands."""

    name = "worst-error"
    threshold = Threshold("largest error", default=30, minimum=0, maximum=1_000)

    def measure(self, test, challenger, competitors):
        return {"worst": float(np.max(np.abs(challenger.values - test.actual))) / 1000}

    def run(self, evidence, policy):
        worst, limit = evidence.measured[self.name]["worst"], policy.thresholds[self.name]
        return CheckResult(self.name, "failed" if worst > limit else "passed", f"{worst}", {})

    def needs(self, evidence, policy):
        return "A smaller error."


OURS = (*CHECKS, Worst())


@pytest.fixture
def registered(monkeypatch):
    """The check as one of CHECKS, for the code that takes these by default."""
    for function in (gate_check.thresholds, gate_check.with_default_thresholds, gate_check.judge):
        monkeypatch.setattr(function, "__defaults__", (OURS,))


def measured(error=20_000.0, checks=OURS):
    actual = np.linspace(100_000.0, 400_000.0, 600)
    where = spatial_cells(np.linspace(-124, -114, 600), np.linspace(32, 42, 600), schema.CELL)
    rows = TestRows(1, where, actual)
    challenger = ModelPredictions(2, "a" * 64, actual + error, 4_000, 0)
    return measure_evidence(rows, challenger, Competitors(), GatePolicy(), RunFacts(), checks)


def outcome(evidence, policy=None):
    verdict = judge(evidence, policy or GatePolicy(), OURS)
    return {result.name: result for result in verdict.checks}[Worst.name]


def test_evidence_and_threshold_decide():
    assert outcome(measured(20_000.0)).outcome == "passed"
    assert outcome(measured(40_000.0)).outcome == "failed"
    stricter = policies.read({"thresholds": {"worst-error": 10}})
    assert outcome(measured(20_000.0), stricter).outcome == "failed"


def test_a_recorded_verdict_is_judged_again_with_the_recorded_threshold(monkeypatch):
    evidence, policy = measured(20_000.0), with_default_thresholds(GatePolicy(), OURS)
    record = {
        "evidence": TypeAdapter(Evidence).dump_python(evidence, mode="json"),
        "policy": policy.model_dump(mode="json"),
        "verdict": TypeAdapter(Verdict).dump_python(judge(evidence, policy, OURS), mode="json"),
    }
    record = json.loads(json.dumps(record))
    monkeypatch.setattr(Worst, "threshold", replace(Worst.threshold, default=1))
    assert replay(**record, checks=OURS).agrees
    assert read(record["evidence"]) == evidence
    assert policies.read(record["policy"]) == policy, "also where the check is gone"


@pytest.mark.parametrize("broken", [float("nan"), np.int64(3), {1, 2}, "raises"])
def test_a_measurement_that_fails_is_an_error_of_its_check_alone(monkeypatch, broken):
    def measure(self, test, challenger, competitors):
        if broken == "raises":
            raise ZeroDivisionError("no rows")
        return {"worst": broken}

    monkeypatch.setattr(Worst, "measure", measure)
    evidence = measured()
    assert outcome(evidence).outcome == "error"
    assert "could not run" in outcome(evidence).message
    json.dumps(TypeAdapter(Evidence).dump_python(evidence, mode="json"), allow_nan=False)
    assert judge(evidence, GatePolicy()) == judge(measured(checks=CHECKS), GatePolicy())


def test_evidence_without_the_measurement_never_passes():
    assert outcome(measured(checks=CHECKS)).outcome == "error"


def test_the_threshold_is_a_setting(registered, home, monkeypatch):
    monkeypatch.setenv("HOUSING_GATE__THRESHOLDS__WORST_ERROR", "5")
    assert load_settings().gate.thresholds == {"worst-error": 5}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"worst_error": 1_001}, "WORST_ERROR is 1001; it must lie in 0 to 1000"),
        ({"worst_eror": 1}, "there is no check worst-eror with a threshold of its own"),
        ({"identity": 1}, "there is no check identity with a threshold of its own"),
    ],
)
def test_an_impossible_threshold_is_refused(registered, wrong, message):
    with pytest.raises(ValidationError, match=message):
        GatePolicy(thresholds=wrong)


def test_another_threshold_is_another_evaluation(registered, home, monkeypatch):
    settings = load_settings()
    key = evaluation_key(2, 1, "content", settings)
    monkeypatch.setenv("HOUSING_GATE__THRESHOLDS__WORST_ERROR", "30")
    assert evaluation_key(2, 1, "content", load_settings()) == key, "it is the default"
    monkeypatch.setattr(Worst, "threshold", replace(Worst.threshold, default=1))
    assert evaluation_key(2, 1, "content", settings) != key
