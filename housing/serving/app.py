"""Builds the application of one worker: state, middleware, endpoints, error responses."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from housing.errors import HousingError
from housing.inference.loaded_model import LoadedModel
from housing.schema import WORDING
from housing.serving import api, pages
from housing.serving.app_state import AppState, state_of
from housing.serving.metrics import ServiceMetrics
from housing.serving.micro_batcher import MicroBatcher
from housing.serving.middleware import AccessMiddleware
from housing.serving.model_reloader import ModelReloader
from housing.serving.openapi import describe
from housing.serving.prediction_log import PredictionLog
from housing.serving.problems import problem
from housing.serving.request_models import InvalidRequest, request_schema
from housing.serving.shadow import Shadow
from housing.settings import Settings, load_settings
from housing.store.database.open import open_store

log = logging.getLogger("housing")

SWITCH_SECONDS = 0.0005
"""Longest wait of a request for the interpreter while another thread works (log, files, reload);
Python's default of 5 ms would be most of a prediction's latency."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; uvicorn's workers call it without arguments."""
    chosen = load_settings() if settings is None else settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_SECONDS)
        state = app.state.housing = _state(chosen, metrics)
        await state.reloader.start()
        state.log.start()
        try:
            yield
        finally:
            await state.reloader.stop()
            state.batcher.close()
            await asyncio.to_thread(state.log.close)
            state.store.close()

    app = FastAPI(
        title="housing",
        summary=f"{WORDING.title}, predicted by the current champion",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/static", pages.STATIC)
    paths = frozenset(str(getattr(route, "path", "")) for route in app.routes)
    metrics = ServiceMetrics(paths)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    for kind, handler in (
        (InvalidRequest, _invalid),
        (RequestValidationError, _invalid_query),
        (HTTPException, lambda _, e: problem(e.status_code, e.detail, headers=e.headers)),
        (HousingError, _store_unavailable),
        (ClientDisconnect, lambda *_: Response(status_code=400)),  # the client does not read it
        (Exception, _unexpected),
    ):
        app.add_exception_handler(kind, handler)  # type: ignore[arg-type]
    token = chosen.serve.token
    app.add_middleware(
        AccessMiddleware,
        options=chosen.serve,
        token=None if token is None else token.get_secret_value(),
        observe=metrics.observe,
    )
    return app


def _state(settings: Settings, metrics: ServiceMetrics) -> AppState:
    store, options = open_store(settings), settings.serve

    def on_switch(served: LoadedModel) -> None:
        metrics.model.set(served.model)
        metrics.promotion.set(served.seq)

    reloader = ModelReloader(store, options, on_switch)
    shadow = Shadow(store, options, lambda: reloader.current)
    upload_dir = settings.home / "uploads"
    upload_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return AppState(
        settings=settings,
        store=store,
        reloader=reloader,
        log=PredictionLog(store, options, shadow=shadow, on_drop=metrics.log_dropped.inc),
        shadow=shadow,
        batcher=MicroBatcher(),
        metrics=metrics,
        request_schema=request_schema(options.max_rows),
        explain_schema=request_schema(1),
        upload_dir=upload_dir,
    )


# --- error responses ------------------------------------------------------------------------


def _invalid(request: Request, error: InvalidRequest) -> Response:
    state_of(request).metrics.rejected.inc()
    first = error.faults[0]
    members: dict[str, Any] = {"errors": error.faults}
    if error.more:
        members["more_errors"] = error.more
    return problem(422, f"{first['field']}: {first['message']}", **members)


def _invalid_query(_: Request, error: RequestValidationError) -> Response:
    faults = [{"field": str(e["loc"][-1]), "message": e["msg"]} for e in error.errors()]
    return problem(422, f"{faults[0]['field']}: {faults[0]['message']}", errors=faults)


def _store_unavailable(_: Request, error: HousingError) -> Response:
    log.error("%s", error)
    return problem(503, "The store is unavailable; see the server's log.")


def _unexpected(request: Request, error: Exception) -> Response:
    log.exception("Unexpected error while answering %s", request.url.path, exc_info=error)
    return problem(500, "Unexpected error of the server; see its log.")
