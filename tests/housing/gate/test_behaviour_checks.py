"""Behavioural tests of a model: reported by default, a veto by their threshold."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from housing import schema
from housing.evaluation.spatial_se import spatial_cells
from housing.gate.behaviour_checks import BEHAVIOUR_CHECKS, BehaviourCheck
from housing.gate.check import CHECKS, judge, with_default_thresholds
from housing.gate.evidence import Evidence, read
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy
from housing.gate.policy import read as read_policy
from housing.gate.replay import replay
from housing.problem import Behaviour
from housing.problems.california.simulated.scenarios import simulate
from housing.records import Verdict

ROWS = simulate(900, 7)


def linear(rows):
    return 40_000 * rows["median_income"].to_numpy() + 50_000


def falling(rows):
    return 400_000 - 20_000 * rows["median_income"].to_numpy()


def by_position(rows):
    return linear(rows) + np.arange(len(rows))


def centred(rows):
    """Depends on the batch, as with a scaler that is fitted again for each."""
    return linear(rows) - 10 * rows["median_income"].mean()


def judged(predict, **thresholds):
    where = spatial_cells(ROWS["longitude"], ROWS["latitude"], schema.CELL)
    features = ROWS[list(schema.FEATURES)]
    test = TestRows(1, where, ROWS[schema.TARGET].to_numpy(), features=features)
    challenger = ModelPredictions(2, "a" * 64, predict(features), 4_000, 0, predict=predict)
    policy = with_default_thresholds(GatePolicy(thresholds=thresholds))
    evidence = measure_evidence(test, challenger, Competitors(), policy, RunFacts(), CHECKS)
    return evidence, policy, judge(evidence, policy)


def result(verdict, name):
    return {r.name: r for r in verdict.checks}[name]


def test_a_model_that_behaves_passes_every_test():
    _, _, verdict = judged(linear)
    assert {result(verdict, check.name).outcome for check in BEHAVIOUR_CHECKS} == {"passed"}
    assert all("break this" not in result(verdict, c.name).message for c in BEHAVIOUR_CHECKS)


@pytest.mark.parametrize(
    ("predict", "name"),
    [(by_position, "row-order"), (centred, "batch"), (falling, "higher-income")],
)
def test_a_model_that_does_not_is_reported_and_vetoed_where_the_policy_says_so(predict, name):
    _, _, verdict = judged(predict)
    found = result(verdict, name)
    assert (found.outcome, "only reported" in found.message) == ("passed", True)
    assert found.figures["broken"] > 0
    _, _, strict = judged(predict, **{name.replace("-", "_"): 0.0})
    assert result(strict, name).outcome == "failed"
    assert strict.outcome == "keep"


def test_a_tolerated_share_is_the_limit():
    evidence, _, _ = judged(falling)
    found = evidence.measured["higher-income"]
    share = found["broken"] / found["rows"]
    assert 0 < share < 1
    assert result(judged(falling, higher_income=share)[2], "higher-income").outcome == "passed"
    below = share - 1e-6
    assert result(judged(falling, higher_income=below)[2], "higher-income").outcome == "failed"


def test_a_verdict_is_judged_again_from_its_record_without_the_model():
    evidence, policy, verdict = judged(falling, higher_income=0.1)
    record = [
        json.loads(json.dumps(value))
        for value in (
            TypeAdapter(Evidence).dump_python(evidence, mode="json"),
            policy.model_dump(mode="json"),
            TypeAdapter(Verdict).dump_python(verdict, mode="json"),
        )
    ]
    assert replay(*record).agrees
    assert judge(read(record[0]), read_policy(record[1])) == verdict


def test_an_old_record_is_judged_by_its_own_checks(make_evidence):
    old = tuple(check for check in CHECKS if check not in BEHAVIOUR_CHECKS)
    evidence, policy = make_evidence(measured={}), GatePolicy()
    verdict = judge(evidence, policy, old)
    again = replay(
        TypeAdapter(Evidence).dump_python(evidence, mode="json"),
        policy.model_dump(mode="json"),
        TypeAdapter(Verdict).dump_python(verdict, mode="json"),
    )
    assert again.agrees
    assert set(again.not_asked) == {check.name for check in BEHAVIOUR_CHECKS}


def test_a_veto_without_a_measurement_is_an_error(make_evidence):
    evidence = make_evidence(measured={})
    assert result(judge(evidence, GatePolicy()), "batch").outcome == "not applicable"
    strict = judge(evidence, GatePolicy(thresholds={"batch": 0.5}))
    assert result(strict, "batch").outcome == "error"
    assert strict.outcome == "inconclusive"


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_no_number_breaks_a_test(wrong):
    behaviour = Behaviour("odd", "All stays", lambda rows: rows.assign(population=-1.0))
    model = ModelPredictions(
        2, "a", linear(ROWS), 1, 0,
        predict=lambda rows: np.where(rows["population"] < 0, wrong, linear(rows)),
    )  # fmt: skip
    where = spatial_cells(ROWS["longitude"], ROWS["latitude"], schema.CELL)
    test = TestRows(1, where, linear(ROWS), features=pd.DataFrame(ROWS))
    found = BehaviourCheck(behaviour).measure(test, model, Competitors())
    assert found["broken"] == found["rows"] == 900
    json.dumps(found, allow_nan=False)
