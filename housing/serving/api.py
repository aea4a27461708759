"""Endpoints for programs: predictions, explanations, files, model facts, readiness, metrics.

Each looks up the champion once and keeps it for the whole request. What is checked before a
request comes here belongs in `middleware`.
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson
from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from housing.inference.columns import Columns, columns_of
from housing.inference.explain import GROUPS, explain
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.schema import CATALOGUE, COORDINATES, ID_COLUMN, LOCATION, UNIT, written
from housing.serving.app_state import state_of
from housing.serving.middleware import UPLOAD_PATH
from housing.serving.request_models import read
from housing.serving.response_models import (
    EXPLANATION,
    ID_FIELD,
    Health,
    ModelFacts,
    PredictionResponse,
    Readiness,
)
from housing.serving.uploads import CSV, PARQUET, score_upload
from housing.store.models import registry
from housing.store.queries import corrected_error, error_by
from housing.store.queries import time as as_text

NEIGHBOURS = 8
SCHEMAS = "#/components/schemas/"  # `openapi.describe` adds these

Rows = list[dict[str, Any]]

PROBLEMS: Mapping[int | str, dict[str, Any]] = {
    statuses: {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": SCHEMAS + "Problem"}}},
    }
    for statuses, description in (
        ("4XX", "The request is invalid: `detail` is the reason, `errors` lists the fields"),
        ("5XX", "There is no champion yet, or the server failed"),
    )
}
"""OpenAPI's description of the error responses."""

router = APIRouter(responses={**PROBLEMS})


def json_response(content: Any, status: int = 200) -> Response:
    """JSON written by orjson: NaN becomes null."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, media_type="application/json")


# --- predictions ----------------------------------------------------------------------------


def _json_body(schema: str, example: str) -> dict[str, Any]:
    """OpenAPI's description of a JSON body that is parsed straight from its bytes."""
    content = {
        "schema": {"$ref": SCHEMAS + schema},
        "examples": {example: {"$ref": f"#/components/examples/{example}"}},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


async def _predicted(
    request: Request, schema: TypeAdapter[Any]
) -> tuple[LoadedModel, Rows, Columns, dict[str, Any]]:
    """Predict the rows of a JSON request: model, rows, columns and response."""
    state = state_of(request)
    served = state.champion()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(
            415, f"This endpoint reads application/json. Send files to {UPLOAD_PATH}."
        )
    rows = read(schema, await request.body())
    columns = columns_of(rows)
    predictions = await state.batcher.predict(served, columns, len(rows))
    has_ids = any(ID_COLUMN in row for row in rows)
    ids = [row.get(ID_COLUMN) for row in rows] if has_ids else None
    state.record(served, columns, predictions, ids)
    return served, rows, columns, _response(served, rows, predictions)


def _response(served: LoadedModel, rows: Rows, predictions: Predictions) -> dict[str, Any]:
    interval = served.calibration.interval
    predicted, lower, upper, flags = (
        values.tolist()
        for values in (
            predictions.predicted, predictions.lower, predictions.upper, predictions.extrapolates,
        )
    )  # fmt: skip
    return {
        "model": served.name,
        "promotion": served.seq,
        "champion_since": as_text(served.since),
        "unit": UNIT,
        "notice": served.notice,
        "nominal_coverage": None if interval is None else interval.nominal,
        "predictions": [
            {
                "predicted": predicted[i],
                "lower": None if math.isnan(lower[i]) else lower[i],
                "upper": None if math.isnan(upper[i]) else upper[i],
                "extrapolates": flags[i],
                "warnings": served.warnings(row, predictions, i) if flags[i] else [],
                **({ID_FIELD: row[ID_COLUMN]} if ID_COLUMN in row else {}),
            }
            for i, row in enumerate(rows)
        ],
    }


@router.post(
    "/predict",
    responses={200: {"model": PredictionResponse}},
    openapi_extra=_json_body("PredictionRequest", "two"),
)
async def predict(request: Request) -> Response:
    """Predictions for one or many rows, with their intervals."""
    return json_response((await _predicted(request, state_of(request).request_schema))[-1])


@router.post(
    "/explain",
    responses={200: {"model": EXPLANATION}},
    openapi_extra=_json_body("ExplanationRequest", "one"),
)
async def explain_one(request: Request) -> Response:
    """The prediction for one row and the contribution of each feature."""
    state = state_of(request)
    served, (row,), columns, response = await _predicted(request, state.explain_schema)
    found = await to_thread.run_sync(explain, served, columns, limiter=state.explain_slots)
    contributions = sorted(found.contributions.items(), key=lambda item: -abs(item[1]))
    return json_response(
        {
            **response,
            "base_value": found.base_value,
            "contributions": [
                {
                    "feature": group,
                    "value": ", ".join(_with_unit(name, row.get(name)) for name in GROUPS[group]),
                    "contribution": contribution,
                }
                for group, contribution in contributions
            ],
            **({} if LOCATION is None else {"neighbours": _neighbours(served, row)}),
        }
    )


def _neighbours(served: LoadedModel, row: Mapping[str, Any]) -> list[dict[str, float]]:
    index = served.training_index
    return [
        {
            **{name: float(index.columns[name][at]) for name in COORDINATES},
            "distance": distance,
            "value": float(index.values[at]),
        }
        for at, distance in index.nearest([float(row[name]) for name in COORDINATES], NEIGHBOURS)
    ]


def _with_unit(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if CATALOGUE[name].kind == "category":
        return str(value)
    return written(name, value)


_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}


@router.post(
    UPLOAD_PATH,
    responses={
        200: {
            "description": "The file's rows with the predictions as further columns, in the same "
            "format; the column `error` is the reason for an invalid row",
            "content": {kind: {"schema": {"type": "string"}} for kind in (CSV, PARQUET)},
        }
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                CSV: {"schema": _BINARY},
                PARQUET: {"schema": _BINARY},
                "multipart/form-data": {"schema": _FORM},
            },
        }
    },
)
async def predict_batch(request: Request) -> Response:
    """Predictions for a CSV or Parquet file."""
    return await score_upload(request, state_of(request))


# --- the model and the worker ---------------------------------------------------------------


@router.get("/model", responses={200: {"model": ModelFacts}})
def model(request: Request) -> Response:
    """The champion: since when, its test error, its intervals' coverage and its dataset."""
    state = state_of(request)
    served = state.champion()
    with state.store.read() as connection:
        evaluation = registry.newest_evaluation(connection, served.model)
        corrected = corrected_error(connection, served.model)
    metrics = None if evaluation is None else evaluation.evidence["challenger"]["metrics"]
    calibration = served.calibration
    interval, coverage = calibration.interval, calibration.coverage
    return json_response(
        {
            **served.model_facts,
            "notice": served.notice,
            "champion_since": as_text(served.since),
            "promotion": served.seq,
            "test_error": metrics and error_by(metrics, served.model_facts["metric"]),
            "test_rmse": metrics and metrics["rmse"],
            "test_rows": None if metrics is None else metrics["rows"],
            "corrected_error": corrected,
            "nominal_coverage": None if interval is None else interval.nominal,
            "coverage": None if coverage is None else vars(coverage),
            "coverage_by_slice": [
                {"column": s.column, "name": s.name, "rows": s.rows, **vars(s.coverage)}
                for s in calibration.slices
            ],
            "no_interval_reason": calibration.no_interval_reason,
        }
    )


@router.get("/health", responses={200: {"model": Health}})
async def health() -> Response:
    """This worker is alive; needs no token."""
    return json_response({"status": "ok"})


@router.get("/ready", responses={200: {"model": Readiness}, 503: {"model": Readiness}})
async def ready(request: Request) -> Response:
    """Whether this worker has a model, and whether that is the current champion."""
    state = state_of(request)
    reloader = state.reloader
    served, failure = reloader.current, reloader.failure
    content = {
        "ready": served is not None,
        "model": None if served is None else served.name,
        "promotion": None if served is None else served.seq,
        "artifact_error": "" if served is None else served.artifact_error,
        "onnx_copy": "" if served is None else served.onnx_copy or "stored",
        "reload_failure": None
        if failure is None
        else {
            "model": failure.model,
            "promotion": failure.seq,
            "error": failure.error,
            "since": as_text(failure.since),
            "retry_at": as_text(failure.retry_at),
        },
        "promotion_log_error": reloader.log_error,
        "shadow_error": state.shadow.error,
    }
    return json_response(content, 200 if served is not None else 503)


@router.get(
    "/metrics", responses={200: {"description": "Prometheus", "content": {"text/plain": {}}}}
)
def metrics(request: Request) -> Response:
    """Metrics of all workers in the Prometheus text format."""
    state = state_of(request)
    state.metrics.reload_failed.set(state.reloader.failure is not None)
    state.metrics.shadow_failed.set(state.shadow.error != "")
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
