"""What the challenger would be in service: budgets from both sides, and the fresh process."""

import pytest

from housing.gate.evidence import LoadCheck, ServingCosts
from housing.gate.policy import GatePolicy
from housing.gate.service_checks import SAME, ArtifactSize, Latency, PreflightRun

POLICY = GatePolicy(latency_budget_ms=50, thresholds={"artifact-size": 3})


@pytest.mark.parametrize(
    ("check", "costs", "outcome"),
    [
        (Latency(), ServingCosts(50.0, 20.0, 1), "passed"),
        (Latency(), ServingCosts(50.1, 20.0, 1), "failed"),
        (Latency(), ServingCosts(1.0, None, 10**12), "passed"),
        (ArtifactSize(), ServingCosts(1e9, None, 3_000_000), "passed"),
        (ArtifactSize(), ServingCosts(1.0, None, 3_000_001), "failed"),
    ],
)
def test_latency_and_size_are_checked_against_their_budgets(make_evidence, check, costs, outcome):
    assert check.run(make_evidence(costs=costs), POLICY).outcome == outcome


@pytest.mark.parametrize("check", [Latency(), ArtifactSize(), PreflightRun()])
def test_a_missing_measurement_never_passes(make_evidence, check):
    evidence = make_evidence(costs=None, preflight=None)
    assert check.run(evidence, POLICY).outcome == "not applicable"
    assert check.needs(evidence, POLICY)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (LoadCheck(0.0, 1.0), "passed"),
        (LoadCheck(SAME, 1.0), "passed"),
        (LoadCheck(1.01 * SAME, 1.0), "failed"),
        (LoadCheck(1e-8, 1.0), "failed"),
        (LoadCheck(float("nan"), 1.0), "failed"),
        (LoadCheck(None, 1.0, fault="ImportError: no such module"), "failed"),
        (LoadCheck(None, 1.0), "failed"),
    ],
)
def test_the_preflight_check_reports_the_fresh_process(make_evidence, found, outcome):
    result = PreflightRun().run(make_evidence(preflight=found), POLICY)
    assert result.outcome == outcome
    assert found.fault in result.message


def test_a_process_that_could_not_be_asked_is_an_error_and_no_finding(make_evidence):
    evidence = make_evidence(preflight=LoadCheck(None, 120.0, not_run="no answer within 120 s"))
    with pytest.raises(RuntimeError, match="no answer"):
        PreflightRun().run(evidence, POLICY)


def test_a_policy_that_does_not_ask(make_evidence):
    evidence = make_evidence(preflight=LoadCheck(1.0, 1.0))
    assert PreflightRun().run(evidence, GatePolicy(preflight=False)).outcome == "not applicable"
