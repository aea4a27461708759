"""State of one worker process: store, reloader, batcher, metrics, prediction log."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from housing.inference.columns import Columns
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.serving.metrics import ServiceMetrics
from housing.serving.micro_batcher import MicroBatcher
from housing.serving.model_reloader import ModelReloader
from housing.serving.prediction_log import Entry, PredictionLog, sample_rows
from housing.serving.shadow import Shadow
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now

FILE_THREADS = 2
"""Files that are scored at once; further ones wait without delaying other requests."""


@dataclass
class AppState:
    """Created once per worker, in `app`."""

    settings: Settings
    store: Store
    reloader: ModelReloader
    batcher: MicroBatcher
    metrics: ServiceMetrics
    log: PredictionLog
    shadow: Shadow
    request_schema: TypeAdapter[Any]
    explain_schema: TypeAdapter[Any]
    upload_dir: Path
    file_slots: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(FILE_THREADS))
    explain_slots: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))

    def champion(self) -> LoadedModel:
        """The current model, which a request looks up once and keeps; HTTPException 503 if none."""
        reloader = self.reloader
        if reloader.current is not None:
            return reloader.current
        why = "There is no champion yet. `housing retrain` makes the first one."
        if reloader.failure is not None:
            why = f"The champion {reloader.failure.model} cannot be loaded; see /ready."
        elif reloader.log_error:
            why = "The promotion log cannot be read; see /ready."
        raise HTTPException(503, why, {"Retry-After": "5"})

    def record(
        self,
        served: LoadedModel,
        columns: Columns,
        predictions: Predictions,
        ids: Sequence[str | None] | None = None,
    ) -> None:
        """Count predictions and put them into the prediction log."""
        entry = Entry(utc_now(), served, columns, predictions, ids)
        self.metrics.rows.labels(served.name).inc(entry.rows)
        self.metrics.extrapolated.inc(int(predictions.extrapolates.sum()))
        self.log.put(sample_rows(entry, self.settings.serve.log_per_request))


def state_of(request: Request) -> AppState:
    """The worker's state."""
    state: AppState = request.app.state.housing
    return state
