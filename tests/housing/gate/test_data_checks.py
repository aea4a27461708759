"""Artifacts, test rows and leaks: each condition is flipped by hand."""

from dataclasses import replace

import pytest

from housing.gate.data_checks import Identity, LeakProof, TestRowCount
from housing.gate.policy import GatePolicy

POLICY = GatePolicy()


def test_two_artifacts_are_two(make_evidence):
    assert Identity().run(make_evidence(), POLICY).outcome == "passed"


@pytest.mark.parametrize("same", [{"digest": "sha256:7"}, {"id": 7}])
def test_a_model_is_not_compared_with_itself(make_evidence, same):
    evidence = make_evidence()
    evidence = replace(evidence, challenger=replace(evidence.challenger, **same))
    result = Identity().run(evidence, POLICY)
    assert result.outcome == "failed"
    assert "m7" in result.sentence


def test_identity_does_not_apply_without_a_champion(make_evidence):
    assert Identity().run(make_evidence(champion=None), POLICY).outcome == "not applicable"


def test_an_artifact_without_digest_cannot_be_told_apart(make_evidence):
    evidence = make_evidence()
    with pytest.raises(ValueError, match="no digest"):
        Identity().run(
            replace(evidence, challenger=replace(evidence.challenger, digest="")), POLICY
        )


@pytest.mark.parametrize(("rows", "outcome"), [(499, "unsure"), (500, "passed"), (501, "passed")])
def test_the_least_number_of_test_rows_is_enough(make_evidence, rows, outcome):
    result = TestRowCount().run(make_evidence(rows=rows), GatePolicy(min_test_rows=500))
    assert result.outcome == outcome
    assert f"{rows}" in result.sentence
    assert "500" in result.sentence


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
    assert f"1 of the 16,000 training rows of m{leaking.id}" in result.sentence


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
