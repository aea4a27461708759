"""The policy names, describes and bounds each threshold, and refuses what it does not know."""

import pytest
from pydantic import ValidationError

from housing.gate.policy import GatePolicy


def test_every_threshold_is_described():
    for name, field in GatePolicy.model_fields.items():
        assert field.description, name


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
        {"cell_degrees": 0},
        {"cell_degrees": 11},
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
