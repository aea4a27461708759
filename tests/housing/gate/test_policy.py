"""The policy names, describes and bounds each threshold, and refuses what it does not know."""

import pytest
from pydantic import ValidationError

from housing.gate.behaviour_checks import BEHAVIOUR_CHECKS
from housing.gate.check import with_default_thresholds
from housing.gate.policy import GatePolicy


def test_every_number_is_bounded_on_both_sides_or_is_a_count():
    for name, field in GatePolicy.model_fields.items():
        if field.annotation in (int, float):
            limits = {type(limit).__name__ for limit in field.metadata}
            assert limits & {"Ge", "Gt"}, name
            assert field.annotation is int or limits & {"Le", "Lt"}, name


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": -0.01},
        {"margin": 0.6},
        {"confidence": 1},
        {"confidence": 0.4},
        {"min_test_rows": 1},
        {"baseline_margin": 1},
        {"baseline_margin": -0.1},
        {"rule": "always"},
        {"metric": "r2"},
        {"margn": 0.01},
    ],
)
def test_impossible_and_unknown_settings_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        GatePolicy(**wrong)


def test_a_policy_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        GatePolicy().margin = 0.5


def test_the_default_policy_is_the_one_whose_rates_were_measured():
    """Changed, it is another gate: measure it again before this table follows."""
    assert with_default_thresholds(GatePolicy()).model_dump() == {
        "metric": "rmse",
        "rule": "no_regression",
        "margin": 0.01,
        "confidence": 0.95,
        "cost_of_change": 0.002,
        "regression_veto": True,
        "approval": False,
        "approval_hours": 24,
        "min_test_rows": 500,
        "max_rejected_share": 0.2,
        "rejected_min_rows": 50,
        "drift_action": "report",
        "drift": {"min_rows": 200, "min_effect": 0.1, "fdr": 0.01},
        "baseline_margin": 0.05,
        "slice_min_rows": 50,
        "slice_margin": 0.05,
        "recent_min_rows": 100,
        "recent_margin": 0.02,
        "cumulative_margin": 0.01,
        "cumulative_champions": 5,
        "uncapped_margin": 0.01,
        "latency_budget_ms": 500,
        "preflight": True,
        "thresholds": {"artifact-size": 500, **{check.name: 1.0 for check in BEHAVIOUR_CHECKS}},
    }
