"""The endpoints for programs: one or many districts, files, the model, readiness, metrics.

Each takes the champion once and keeps it to its last byte. What is checked before a request
comes here belongs in `guard`; how the application is put together belongs in `app`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from housing.inference.columns import columns_of
from housing.inference.explain import GROUPS, explain
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.inference.training_index import TrainingIndex
from housing.schema import CATALOGUE, CATEGORIES, COORDINATES, ID_COLUMN
from housing.serving.app_state import State, state_of
from housing.serving.problems import HTTPProblem
from housing.serving.request_models import read
from housing.serving.response_models import UNIT, Answer, Explained, Health, ModelFacts, Ready
from housing.serving.uploads import answer_file
from housing.store.models import registry
from housing.store.queries import time as as_text

NEIGHBOURS = 8
REFERENCE = "#/components/schemas/"  # `openapi.describe` puts these there

PROBLEMS: Mapping[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {"application/problem+json": {"schema": {"$ref": REFERENCE + "Problem"}}},
    }
    for status, words in {
        400: "The body cannot be read",
        401: "A token is needed",
        403: "A web page of another origin may not ask",
        404: "It is not there",
        408: "The body did not arrive in time",
        413: "The body is too large",
        415: "The body is of a kind that is not read here",
        421: "The host name is not one that is answered",
        422: "A field is not what the catalogue wants; `errors` names each",
        503: "There is no champion yet",
    }.items()
}

router = APIRouter(responses={s: PROBLEMS[s] for s in (401, 403, 421)})


def body_of(schema: str, example: str) -> dict[str, Any]:
    """OpenAPI's description of a JSON body that is read straight from its bytes."""
    content = {
        "schema": {"$ref": REFERENCE + schema},
        "examples": {example: {"$ref": f"#/components/examples/{example}"}},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def asked(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented problems of an endpoint."""
    return {status: PROBLEMS[status] for status in statuses}


_BODY_PROBLEMS = asked(400, 408, 413, 415, 422, 503)


def json_answer(content: Any, status: int = 200) -> Response:
    """JSON, written by orjson: NaN becomes null."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, media_type="application/json")


async def districts_of(request: Request, adapter: TypeAdapter[Any]) -> list[dict[str, Any]]:
    """The districts of a JSON request."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPProblem(415, "This endpoint reads application/json. Files go to /predict/batch.")
    return read(adapter, await request.body())


def ids_of(rows: Sequence[Mapping[str, Any]]) -> list[str | None] | None:
    """The districts' own ids, or None where none has one."""
    if not any(ID_COLUMN in row for row in rows):
        return None
    return [row.get(ID_COLUMN) for row in rows]


@router.post(
    "/predict",
    responses={200: {"model": Answer}, **_BODY_PROBLEMS},
    openapi_extra=body_of("Question", "districts"),
)
async def predict(request: Request) -> Response:
    """Prices of one or many districts, with their intervals, by the champion of now."""
    state = state_of(request)
    served = state.champion()
    rows = await districts_of(request, state.question)
    columns = columns_of(rows)
    answers = await state.batcher.predict(served, columns, len(rows))
    state.note(served, columns, answers, ids_of(rows))
    return json_answer(_answer(served, rows, answers))


@router.post(
    "/explain",
    responses={200: {"model": Explained}, **_BODY_PROBLEMS},
    openapi_extra=body_of("OneQuestion", "district"),
)
async def explain_one(request: Request) -> Response:
    """The price of one district, what drove it, and what its neighbours cost."""
    state = state_of(request)
    served = state.champion()
    rows = await districts_of(request, state.one_question)
    columns = columns_of(rows)
    answers = await state.batcher.predict(served, columns, 1)
    state.note(served, columns, answers, ids_of(rows))
    found = await state.within(state.explaining, explain, served, columns)
    row = rows[0]
    contributions = [
        {"feature": name, "value": _value(row, GROUPS[name]), "amount": amount}
        for name, amount in sorted(found.contributions.items(), key=lambda item: -abs(item[1]))
    ]
    where = [float(row[name]) for name in COORDINATES]
    return json_answer(
        {
            **_answer(served, rows, answers),
            "typical": found.typical,
            "contributions": contributions,
            "neighbours": _neighbours(served.training_index, where),
        }
    )


def _neighbours(training_index: TrainingIndex, where: Sequence[float]) -> list[dict[str, float]]:
    return [
        {
            **{name: float(training_index.columns[name][at]) for name in COORDINATES},
            "kilometres": kilometres,
            "price": float(training_index.label[at]),
        }
        for at, kilometres in training_index.around(where, NEIGHBOURS)
    ]


@router.post(
    "/predict/batch",
    responses={
        200: {
            "description": "The file's rows with the answers as further columns, of its own kind; "
            "a row that is no district says why in its column `error`",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/vnd.apache.parquet": {"schema": {"type": "string"}},
            },
        },
        **asked(400, 408, 413, 415, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("text/csv", "application/vnd.apache.parquet")
            }
            | {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"file": {"type": "string", "format": "binary"}},
                        "required": ["file"],
                    }
                }
            },
        }
    },
)
async def predict_batch(request: Request) -> Response:
    """Prices for a CSV or Parquet file of districts, however long."""
    state = state_of(request)
    return await answer_file(request, state, state.champion())


@router.get("/model", responses={200: {"model": ModelFacts}, **asked(503)})
async def model(request: Request) -> Response:
    """Which model answers, since when, how far off it is, and what it was trained on."""
    state = state_of(request)
    served = state.champion()
    return json_answer(await state.aside(model_facts, state, served))


def model_facts(state: State, served: LoadedModel) -> dict[str, Any]:
    """What `/model` says."""
    with state.store.read() as connection:
        evaluation = registry.newest_evaluation(connection, served.model)
    metrics = None if evaluation is None else evaluation.evidence["challenger"]["metrics"]
    calibration = served.calibration
    covered = calibration.coverage
    return {
        **served.model_facts,
        "since": as_text(served.since),
        "ledger": served.seq,
        "test_rmse": None if metrics is None else metrics["rmse"],
        "test_rows": None if metrics is None else metrics["rows"],
        "nominal": None if calibration.interval is None else calibration.interval.nominal,
        "coverage": None if covered is None else vars(covered),
        "coverage_by_slice": [
            {"column": s.column, "name": s.name, "rows": s.rows, **vars(s.share)}
            for s in calibration.slices
        ],
        "no_interval_reason": calibration.no_interval_reason,
    }


@router.get("/health", responses={200: {"model": Health}})
async def health() -> Response:
    """That this worker is alive; needs no token."""
    return json_answer({"status": "ok"})


@router.get("/ready", responses={200: {"model": Ready}, 503: {"model": Ready}})
async def ready(request: Request) -> Response:
    """Whether this worker answers, and whether it is the ledger's champion that does."""
    follower = state_of(request).follower
    served, failure = follower.current, follower.failure
    content = {
        "ready": served is not None,
        "model": None if served is None else served.name,
        "ledger": None if served is None else served.seq,
        "behind": None
        if failure is None
        else {
            "model": failure.model,
            "ledger": failure.seq,
            "why": failure.why,
            "since": as_text(failure.since),
            "retry_at": as_text(failure.retry_at),
        },
        "ledger_error": follower.ledger_error,
    }
    return json_answer(content, 200 if served is not None else 503)


@router.get(
    "/metrics",
    responses={200: {"description": "Prometheus", "content": {"text/plain": {}}}},
)
async def metrics(request: Request) -> Response:
    """The numbers of all workers, in Prometheus' text format."""
    state = state_of(request)
    state.metrics.reload_failed.set(state.follower.failure is not None)
    body = await state.aside(state.metrics.text)
    return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")


def _answer(
    served: LoadedModel, rows: Sequence[Mapping[str, Any]], answers: Predictions
) -> dict[str, Any]:
    interval = served.calibration.interval
    predicted, lower, upper, flags = (
        values.tolist()
        for values in (answers.predicted, answers.lower, answers.upper, answers.extrapolates)
    )
    return {
        "model": served.name,
        "ledger": served.seq,
        "since": as_text(served.since),
        "unit": UNIT,
        "nominal": None if interval is None else interval.nominal,
        "predictions": [
            {
                "predicted": predicted[i],
                "lower": None if math.isnan(lower[i]) else lower[i],
                "upper": None if math.isnan(upper[i]) else upper[i],
                "extrapolates": flags[i],
                "warnings": served.warnings(row, answers, i) if flags[i] else [],
                **({ID_COLUMN: row[ID_COLUMN]} if ID_COLUMN in row else {}),
            }
            for i, row in enumerate(rows)
        ],
    }


def _value(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(_with_unit(name, row.get(name)) for name in names)


def _with_unit(name: str, value: Any) -> str:
    if value is None:
        return "not known"
    if name in CATEGORIES:
        return str(value)
    unit = CATALOGUE[name].unit
    times = " x " if unit[0].isdigit() else " "
    return f"{value:,.6g}{times}{unit}"
