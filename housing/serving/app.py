"""The application of one worker, put together: store, follower, door, endpoints, description."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from housing.errors import HousingError
from housing.inference.loaded_model import LoadedModel
from housing.serving import api, pages
from housing.serving.app_state import State, state_of
from housing.serving.metrics import Metrics
from housing.serving.micro_batcher import Batcher
from housing.serving.middleware import AccessMiddleware, AccessRules, Limit
from housing.serving.model_reloader import ModelReloader
from housing.serving.openapi import describe
from housing.serving.prediction_log import PredictionLog
from housing.serving.problems import HTTPProblem, problem
from housing.serving.request_models import Fault, InvalidRequest, question
from housing.serving.shadow import Shadow
from housing.settings import Settings, load_settings
from housing.store.database.open import open_store

log = logging.getLogger("housing")

FEWER = "Send fewer districts at once, or a CSV or Parquet file to /predict/batch."
PARTS = "Send the file in parts, as Parquet, or allow more by HOUSING_SERVE__MAX_UPLOAD_BYTES."

SWITCH_SECONDS = 0.0005
"""A thread that works beside the answers (log, files, reload) makes them wait no longer than this
for the interpreter; Python's own 5 ms would be most of what an answer may take."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; uvicorn's workers call it without arguments."""
    chosen = load_settings() if settings is None else settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_SECONDS)
        state = _state(chosen, metrics)
        app.state.housing = state
        await state.follower.start()
        state.log.start()
        try:
            yield
        finally:
            await state.follower.stop()
            state.batcher.close()
            await asyncio.to_thread(state.log.close)
            state.end_threads()
            state.store.close()

    app = FastAPI(
        title="housing",
        summary="House prices of districts, by the model that is champion now",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.include_router(api.router)
    app.include_router(pages.router)
    paths = frozenset(str(getattr(route, "path", "")) for route in app.routes)
    metrics = Metrics(paths)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    for kind, handler in _HANDLERS:
        app.add_exception_handler(kind, handler)
    app.add_middleware(AccessMiddleware, rules=_rules(chosen), observe=metrics.observe)
    return app


def _state(settings: Settings, metrics: Metrics) -> State:
    store = open_store(settings)
    options = settings.serve

    def swapped(served: LoadedModel) -> None:
        metrics.model.set(served.model)
        metrics.ledger.set(served.seq)

    follower = ModelReloader(store, options, settings.notify, swapped)
    return State(
        settings=settings,
        store=store,
        follower=follower,
        log=PredictionLog(
            store,
            options,
            shadow=Shadow(store, options, lambda: follower.current),
            on_drop=metrics.log_dropped.inc,
        ),
        batcher=Batcher(),
        metrics=metrics,
        question=question(options.max_rows),
        one_question=question(1),
        scratch=_scratch(settings.home),
    )


def _scratch(home: Path) -> Path:
    folder = home / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _rules(settings: Settings) -> AccessRules:
    options, token = settings.serve, settings.serve.token
    return AccessRules(
        token=None if token is None else token.get_secret_value(),
        hosts=frozenset(host.lower() for host in options.allowed_hosts),
        usual=Limit(options.max_body_bytes, options.body_seconds, FEWER),
        uploads=Limit(options.max_upload_bytes, options.upload_seconds, PARTS),
        upload_paths=frozenset({"/predict/batch"}),
    )


# --- what goes wrong ------------------------------------------------------------------------


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidRequest)
    state_of(request).metrics.rejected.inc()
    first = error.faults[0]
    detail = f"{first['field']}: {first['message']}"
    return problem(422, detail, errors=error.faults, more=error.more)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPProblem)
    return problem(error.status, error.detail, headers=error.headers)


async def _bad_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults: list[Fault] = [
        {"field": str(item["loc"][-1]), "message": item["msg"]} for item in error.errors()
    ]
    return problem(422, f"{faults[0]['field']}: {faults[0]['message']}", errors=faults)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)


async def _expected(_: Request, error: Exception) -> Response:
    """The store is not to be used just now; the message names the thing and the next step."""
    log.error("%s", error)
    return problem(503, "The store cannot be used just now; the server's log says why.")


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # the client has left; nobody reads this


async def _unexpected(request: Request, error: Exception) -> Response:
    log.exception("A defect while answering %s", request.url.path, exc_info=error)
    return problem(500, "A defect of the server; its log says more.")


_HANDLERS: tuple[tuple[type[Exception], Any], ...] = (
    (InvalidRequest, _invalid),
    (HTTPProblem, _refused),
    (RequestValidationError, _bad_query),
    (HTTPException, _http),
    (HousingError, _expected),
    (ClientDisconnect, _gone),
    (Exception, _unexpected),
)
