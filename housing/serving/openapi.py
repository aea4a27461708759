"""OpenAPI with what FastAPI cannot see: bodies that are read from their bytes, examples, units."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from housing.schema import CATALOGUE, CATEGORIES, FEATURES
from housing.serving.app_state import State
from housing.serving.response_models import Problem


def describe(app: FastAPI) -> dict[str, Any]:
    """The description; its examples are typical districts of the champion's training rows."""
    state: State = app.state.housing
    served = state.follower.current
    known = app.openapi_schema
    if known is not None and (served is None or known.get("x-model") == served.name):
        return known
    found = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    found["x-model"] = None if served is None else served.name
    typical = middle() if served is None else served.calibration.typical
    _add_questions(found, state, typical)
    if state.settings.serve.token is not None:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    app.openapi_schema = found
    return found


def _add_questions(found: dict[str, Any], state: State, typical: Mapping[str, float | str]) -> None:
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    shapes = {
        "Question": state.question,
        "OneQuestion": state.one_question,
        "Problem": TypeAdapter(Problem),
    }
    for name, adapter in shapes.items():
        described = adapter.json_schema(ref_template="#/components/schemas/{model}")
        schemas |= described.pop("$defs", {})
        schemas[name] = described
    district = dict(typical)
    components["examples"] = {
        "district": {"summary": "A typical district", "value": {"districts": [district]}},
        "districts": {"summary": "Two districts", "value": {"districts": [district] * 2}},
    }


def middle() -> dict[str, float | str]:
    """A district in the middle of the catalogue's ranges, while there is no champion."""
    found: dict[str, float | str] = {}
    for name in FEATURES:
        column = CATALOGUE[name]
        if name in CATEGORIES:
            found[name] = column.categories[0]
        else:
            found[name] = ((column.minimum or 0.0) + (column.maximum or 0.0)) / 2
    return found
