"""Forms of the Prefect UI: one typed field a parameter."""

from typing import Any

import pytest
from prefect.utilities.schema_tools import is_valid_schema, validate

from deployments.definitions import DEPLOYMENTS
from flows.decisions import RollbackParameters


def _fields(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: field
        for model in schema.get("definitions", {}).values()
        for name, field in model.get("properties", {}).items()
    }


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.name)
def test_no_field_asks_for_its_type(deployment: Any) -> None:
    schema = deployment.flow.parameters.model_dump()
    is_valid_schema(schema)
    for name, field in _fields(schema).items():
        assert "anyOf" not in field, f"{name} is a switch between types"
        assert field.get("default", "") is not None, f"{name} starts as null"


def test_fields_that_are_left_out_are_no_fault() -> None:
    nightly = next(each for each in DEPLOYMENTS if each.name == "nightly")
    schema = nightly.flow.parameters.model_dump()
    assert set(_fields(schema)) == {
        "source",
        "n_trials",
        "strategy",
        "families",
        "seed",
        "dry_run",
    }
    validate({"parameters": {}}, schema, raise_on_error=True)
    validate({"parameters": {"n_trials": 3}}, schema, raise_on_error=True)


def test_a_parameter_may_be_named_and_empty() -> None:
    given = RollbackParameters(reason="for a test", model=None, batch=None)
    assert (given.model, given.batch) == (None, None)
