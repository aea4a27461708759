"""Artifacts, test rows and leaks: each condition is flipped by hand."""

from dataclasses import replace

import pytest

from housing.gate.data_checks import DriftFound, Identity, LeakProof, RejectedShare, TestRowCount
from housing.gate.policy import GatePolicy
from housing.records import DriftReport
from tests.housing.gate.conftest import column, drift

POLICY = GatePolicy()


def test_different_artifacts_pass_the_identity_check(make_evidence):
    assert Identity().run(make_evidence(), POLICY).outcome == "passed"


@pytest.mark.parametrize("same", [{"digest": "sha256:7"}, {"id": 7}])
def test_a_model_is_not_compared_with_itself(make_evidence, same):
    evidence = make_evidence()
    evidence = replace(evidence, challenger=replace(evidence.challenger, **same))
    result = Identity().run(evidence, POLICY)
    assert result.outcome == "failed"
    assert "m7" in result.message


def test_identity_does_not_apply_without_a_champion(make_evidence):
    assert Identity().run(make_evidence(champion=None), POLICY).outcome == "not applicable"


def test_an_artifact_without_digest_cannot_be_identified(make_evidence):
    evidence = make_evidence()
    with pytest.raises(ValueError, match="no digest"):
        Identity().run(
            replace(evidence, challenger=replace(evidence.challenger, digest="")), POLICY
        )


@pytest.mark.parametrize(
    ("rows", "outcome"), [(499, "inconclusive"), (500, "passed"), (501, "passed")]
)
def test_the_least_number_of_test_rows_is_enough(make_evidence, rows, outcome):
    result = TestRowCount().run(make_evidence(rows=rows), GatePolicy(min_test_rows=500))
    assert result.outcome == outcome
    assert f"{rows}" in result.message
    assert "500" in result.message


def test_the_leak_proof_counts_both_models(make_evidence):
    result = LeakProof().run(make_evidence(), POLICY)
    assert result.outcome == "passed"
    assert set(result.figures) == {"m7", "m8"}


@pytest.mark.parametrize("who", ["challenger", "champion"])
def test_one_shared_row_is_a_leak(make_evidence, who):
    evidence = make_evidence()
    leaking = replace(getattr(evidence, who), test_overlap=1)
    result = LeakProof().run(replace(evidence, **{who: leaking}), POLICY)
    assert result.outcome == "failed"
    assert f"1 of the 16,000 training rows of m{leaking.id}" in result.message


@pytest.mark.parametrize("who", ["challenger", "champion"])
def test_one_near_duplicate_is_a_leak(make_evidence, who):
    evidence = make_evidence()
    assert "near-duplicate" not in LeakProof().run(evidence, POLICY).message  # not looked for
    apart = {
        w: replace(getattr(evidence, w), near_duplicates=0) for w in ("challenger", "champion")
    }
    evidence = replace(evidence, **apart)
    passed = LeakProof().run(evidence, POLICY)
    assert passed.outcome == "passed"
    assert "nor has one a near-duplicate" in passed.message
    leaking = replace(getattr(evidence, who), near_duplicates=1)
    result = LeakProof().run(replace(evidence, **{who: leaking}), POLICY)
    assert result.outcome == "failed"
    assert f"among the training rows of m{leaking.id}" in result.message
    assert result.figures[f"m{leaking.id}"]["near_duplicates"] == 1


@pytest.mark.parametrize("who", ["challenger", "champion"])
def test_without_training_keys_nothing_is_proven(make_evidence, who):
    evidence = make_evidence()
    unknown = replace(getattr(evidence, who), training_rows=0)
    with pytest.raises(ValueError, match=f"m{unknown.id}"):
        LeakProof().run(replace(evidence, **{who: unknown}), POLICY)


def test_the_leak_proof_holds_for_the_first_model_too(make_evidence):
    evidence = make_evidence(champion=None)
    assert LeakProof().run(evidence, POLICY).outcome == "passed"
    leaking = replace(evidence, challenger=replace(evidence.challenger, test_overlap=3))
    assert LeakProof().run(leaking, POLICY).outcome == "failed"


def test_equal_predictions_are_a_model_compared_with_itself(make_evidence):
    result = Identity().run(make_evidence(0.0, 0.0), POLICY)
    assert result.outcome == "failed"
    assert "predicts exactly what the champion, m7, does" in result.message
    assert Identity().run(make_evidence(0.0, 1e-9), POLICY).outcome == "passed"
    assert Identity().run(make_evidence(-0.01, 0.0), POLICY).outcome == "passed"


# --- rejected share -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "rejected", "outcome"),
    [
        (100, 20, "passed"),
        (100, 21, "failed"),
        (0, 0, "not applicable"),
        (100, 0, "passed"),
        (50, 50, "failed"),
        (49, 49, "not applicable"),
    ],
)
def test_too_many_rejected_rows_fail(make_evidence, read, rejected, outcome):
    evidence = make_evidence(read_rows=read, rejected_rows=rejected)
    result = RejectedShare().run(evidence, GatePolicy(max_rejected_share=0.2))
    assert result.outcome == outcome
    if read:
        assert f"{rejected} of " in result.message


@pytest.mark.parametrize("rejected", [-1, 101])
def test_counts_that_cannot_be_are_a_fault(make_evidence, rejected):
    with pytest.raises(ValueError, match="of 100 rows"):
        RejectedShare().run(make_evidence(read_rows=100, rejected_rows=rejected), POLICY)


# --- drift ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "outcome"),
    [("report", "passed"), ("inconclusive", "inconclusive"), ("keep", "failed")],
)
def test_the_policy_decides_the_outcome_of_drift(make_evidence, action, outcome):
    evidence = make_evidence(drift=(drift(column(0.3, 0.001)), drift()))
    result = DriftFound().run(evidence, GatePolicy(drift_action=action))
    assert result.outcome == outcome
    assert result.message.startswith(
        "Drift in the new rows, by the distance of two distributions: population 0.30 "
        "(0: the same distribution, 1: nothing in common). Distances from 0.1 on count"
    )
    assert result.figures == {"new rows": {"population (number)": 0.3}}


@pytest.mark.parametrize(
    ("change", "there"),
    [
        ({}, True),
        ({"effect": 0.0999}, False),
        ({"q": 0.0101}, False),
        ({"rows": 199}, False),
    ],
)
def test_drift_takes_rows_an_effect_and_more_than_chance(make_evidence, change, there):
    facts = {"effect": 0.1, "q": 0.01, "rows": 200} | change
    policy = GatePolicy(drift_action="keep")
    result = DriftFound().run(make_evidence(drift=(drift(column(**facts)),)), policy)
    assert (result.outcome == "failed") is there


def test_drift_without_rows_to_compare_does_not_apply(make_evidence):
    empty = DriftReport("training rows of m7", "new rows", 0, 0, ())
    for evidence in (make_evidence(drift=(empty,)), make_evidence(champion=None)):
        assert DriftFound().run(evidence, POLICY).outcome == "not applicable"
