"""OpenAPI description, with the request bodies that FastAPI does not see, examples and units."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from housing.schema import CATALOGUE, FEATURES, WORDING
from housing.serving.app_state import AppState
from housing.serving.request_models import KEY
from housing.serving.response_models import Problem


def describe(app: FastAPI) -> dict[str, Any]:
    """The description; its example is a typical training row of the champion."""
    state: AppState = app.state.housing
    served = state.reloader.current
    name = None if served is None else served.name
    if app.openapi_schema is not None and app.openapi_schema["x-model"] == name:
        return app.openapi_schema
    found = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    found["x-model"] = name
    components = found["components"]
    for schema, adapter in (
        ("PredictionRequest", state.request_schema),
        ("ExplanationRequest", state.explain_schema),
        ("Problem", TypeAdapter(Problem)),
    ):
        described = adapter.json_schema(ref_template="#/components/schemas/{model}")
        components["schemas"] |= {**described.pop("$defs", {}), schema: described}
    row = dict(_midpoint() if served is None else served.calibration.typical)
    components["examples"] = {
        "one": {"summary": f"A typical {WORDING.row}", "value": {KEY: [row]}},
        "two": {"summary": f"Two {WORDING.rows}", "value": {KEY: [row] * 2}},
    }
    if state.settings.serve.token is not None:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    app.openapi_schema = found
    return found


def _midpoint() -> Mapping[str, float | str]:
    """A row in the middle of the catalogue's ranges, for the time without a champion."""
    row: dict[str, float | str] = {}
    for name in FEATURES:
        column = CATALOGUE[name]
        known = [limit for limit in (column.minimum, column.maximum) if limit is not None]
        middle = sum(known) / len(known) if known else 0.0
        row[name] = column.categories[0] if column.kind == "category" else middle
    return row
