"""Evidence is measured on one set of rows at the policy's settings, and survives JSON."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from housing import schema
from housing.evaluation.compare import compare, compare_by_halves
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import spatial_cells
from housing.gate.check import judge
from housing.gate.evidence import Evidence
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy

ADAPTER = TypeAdapter(Evidence)


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(4)
    n = 900
    actual = rng.uniform(50_000, 500_001, n)
    where = spatial_cells(rng.uniform(-124, -114, n), rng.uniform(32, 42, n), schema.CELL)
    test = TestRows(3, where, actual)
    champion = ModelPredictions(7, "sha256:7", actual + rng.normal(0, 40_000, n), 3_600, 0)
    better = actual + 0.9 * (champion.values - actual)
    challenger = ModelPredictions(8, "sha256:8", np.maximum(better, 1.0), 3_700, 0)
    baselines = {"median": np.full(n, np.median(actual))}
    return test, challenger, replace(champion, values=np.maximum(champion.values, 1)), baselines


def gathered(measured, policy=None, **changes):
    test, challenger, champion, baselines = measured
    parts = {"challenger": challenger, "champion": champion, "baselines": baselines, **changes}
    competitors = Competitors(parts["champion"], parts["baselines"])
    found = RunFacts(read_rows=500, rejected_rows=4)
    return measure_evidence(test, parts["challenger"], competitors, policy or GatePolicy(), found)


@pytest.mark.parametrize("policy", [GatePolicy(), GatePolicy(confidence=0.8)])
def test_the_policy_decides_how_to_measure(measured, policy):
    test, challenger, champion, baselines = measured
    evidence = gathered(measured, policy)
    assert evidence.comparison == compare(
        test.actual, champion.values, challenger.values, test.where, confidence=policy.confidence
    )
    assert evidence.baselines["median"].comparison == compare_by_halves(
        test.actual,
        baselines["median"],
        challenger.values,
        test.where,
        confidence=policy.confidence,
    )
    assert evidence.challenger.metrics == measure(
        test.actual, challenger.values, policy.confidence, test.where
    )
    assert evidence.champion.metrics == measure(
        test.actual, champion.values, policy.confidence, test.where
    )
    assert judge(evidence, policy).outcome == "promote"


def test_facts_are_carried_over(measured):
    evidence = gathered(measured)
    assert (evidence.version, evidence.test_rows) == (3, 900)
    assert (evidence.read_rows, evidence.rejected_rows) == (500, 4)
    assert (evidence.challenger.id, evidence.champion.id) == (8, 7)
    assert (evidence.challenger.training_rows, evidence.champion.training_rows) == (3_700, 3_600)
    assert (evidence.challenger.digest, evidence.champion.digest) == ("sha256:8", "sha256:7")
    assert (
        gathered(measured, challenger=replace(measured[1], test_overlap=2)).challenger.test_overlap
        == 2
    )


def test_the_first_challenger_has_no_champion_and_no_comparison(measured):
    evidence = gathered(measured, champion=None)
    assert evidence.champion is None
    assert evidence.comparison is None
    assert evidence.baselines["median"].comparison is not None


def with_value(model, value):
    values = model.values.copy()
    values[5] = value
    return replace(model, values=values)


def test_a_challenger_with_a_hole_is_counted_and_kept_out(measured):
    evidence = gathered(measured, challenger=with_value(measured[1], np.nan))
    assert evidence.challenger.metrics is None
    assert evidence.challenger.non_finite == 1
    assert evidence.comparison is None
    verdict = judge(evidence, GatePolicy())
    assert verdict.outcome == "keep"
    assert "1 are not finite" in verdict.message


def test_a_champion_with_a_hole_is_not_beaten_by_default(measured):
    evidence = gathered(measured, champion=with_value(measured[2], np.inf))
    assert evidence.champion.metrics is None
    assert judge(evidence, GatePolicy()).outcome == "inconclusive"


def test_evidence_survives_json_and_gives_the_same_verdict(measured):
    for evidence in (
        gathered(measured),
        gathered(measured, champion=None),
        gathered(measured, challenger=with_value(measured[1], np.nan)),
    ):
        again = ADAPTER.validate_json(ADAPTER.dump_json(evidence))
        assert again == evidence
        assert judge(again, GatePolicy()) == judge(evidence, GatePolicy())
