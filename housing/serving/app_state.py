"""What the endpoints of one worker share: the store, the follower, the batcher, the numbers."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import TypeAdapter
from starlette.requests import Request

from housing.inference.columns import Columns
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.serving.metrics import Metrics
from housing.serving.micro_batcher import Batcher
from housing.serving.model_reloader import ModelReloader
from housing.serving.prediction_log import Entry, PredictionLog, thinned
from housing.serving.problems import HTTPProblem
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now

P = ParamSpec("P")
T = TypeVar("T")

ASIDE_THREADS = 2
"""Threads for what is slower than a prediction and yet soon done: metrics, facts, pages."""

FILE_THREADS = 2
"""Files that are answered at once; further ones wait, and nothing else waits behind them."""

EXPLAIN_THREADS = 1
"""Explanations at once."""


@dataclass
class State:
    """Made once a worker, in `app`."""

    settings: Settings
    store: Store
    follower: ModelReloader
    batcher: Batcher
    metrics: Metrics
    log: PredictionLog
    question: TypeAdapter[Any]
    one_question: TypeAdapter[Any]
    scratch: Path  # folder of uploads under way
    threads: ThreadPoolExecutor = field(
        default_factory=partial(ThreadPoolExecutor, ASIDE_THREADS, "aside")
    )
    files: ThreadPoolExecutor = field(
        default_factory=partial(ThreadPoolExecutor, FILE_THREADS, "file")
    )
    explaining: ThreadPoolExecutor = field(
        default_factory=partial(ThreadPoolExecutor, EXPLAIN_THREADS, "explain")
    )

    def champion(self) -> LoadedModel:
        """The model that answers; a request asks once and keeps it."""
        served = self.follower.current
        if served is None:
            raise HTTPProblem(503, self._why_none(), {"Retry-After": "5"})
        return served

    def _why_none(self) -> str:
        if self.follower.failure is not None:
            failure = self.follower.failure
            return f"{failure.model} is champion and cannot be loaded; /ready says why."
        if self.follower.ledger_error:
            return "The ledger cannot be read; /ready says why."
        return "There is no champion yet. `housing retrain` makes the first one."

    def note(
        self,
        served: LoadedModel,
        columns: Columns,
        answers: Predictions,
        ids: Sequence[str | None] | None = None,
    ) -> None:
        """Count and log what was answered."""
        entry = Entry(utc_now(), served, columns, answers, ids)
        self.metrics.districts.labels(served.name).inc(entry.rows)
        extrapolated = int(answers.extrapolates.sum())
        if extrapolated:
            self.metrics.extrapolated.inc(extrapolated)
        self.log.put(thinned(entry, self.settings.serve.log_per_request))

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something beside the event loop that is soon done."""
        return await self.within(self.threads, work, *args, **kwargs)

    async def within(
        self,
        threads: ThreadPoolExecutor,
        work: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run something in `threads` of this state."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, lambda: work(*args, **kwargs))

    def end_threads(self) -> None:
        """Begin nothing more."""
        for threads in (self.threads, self.files, self.explaining):
            threads.shutdown(wait=False, cancel_futures=True)


def state_of(request: Request) -> State:
    """The worker's state."""
    state: State = request.app.state.housing
    return state
