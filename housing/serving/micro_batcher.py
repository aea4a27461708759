"""Micro-batching: requests that wait at the same moment are predicted in one call.

A model predicts ten rows in little more time than one. A batch uses one model, since each request
keeps the model that it started with. A fast model runs on the event loop: passing a millisecond's
work to a thread costs more than the work. A slow model and a large request run in threads, so that
they delay no other request.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from housing.inference.columns import Columns
from housing.inference.loaded_model import LoadedModel, Predictions

LARGE = 64
"""Rows from which on a request is predicted alone; also the most rows of a batch."""

FAST_SECONDS = 0.003
"""A model that predicts one row within this time runs on the event loop."""


@dataclass
class _Waiting:
    served: LoadedModel
    columns: Columns
    rows: int
    result: "asyncio.Future[Predictions]"


class MicroBatcher:
    """Predicts for the requests of one event loop. A model has one thread, as there are workers."""

    def __init__(self) -> None:
        self._small = ThreadPoolExecutor(1, "predict-small", threadpool_limits, (1,))
        self._large = ThreadPoolExecutor(1, "predict-large", threadpool_limits, (1,))
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._limits = threadpool_limits(1)  # of the event loop's thread

    async def predict(self, served: LoadedModel, columns: Columns, rows: int) -> Predictions:
        """Predictions of `served` for `rows` rows."""
        loop = asyncio.get_running_loop()
        if rows >= LARGE:
            return await loop.run_in_executor(self._large, served.predictions, columns)
        waiting = _Waiting(served, columns, rows, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next, loop)  # after the requests that have arrived by now
        return await waiting.result

    def close(self) -> None:
        """Stop the threads."""
        for threads in (self._small, self._large):
            threads.shutdown(wait=False, cancel_futures=True)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._next_batch()
        if not batch:
            self._busy = False
        elif batch[0].served.seconds <= FAST_SECONDS:
            done: asyncio.Future[Predictions] = loop.create_future()
            try:
                done.set_result(_predict(batch))
            except Exception as error:  # noqa: BLE001 - passed on to the requests of the batch
                done.set_exception(error)
            _deliver(batch, done)
            loop.call_soon(self._next, loop)  # after the requests that arrived meanwhile
        else:
            work = loop.run_in_executor(self._small, _predict, batch)
            work.add_done_callback(lambda _: self._next(loop))
            work.add_done_callback(partial(_deliver, batch))

    def _next_batch(self) -> list[_Waiting]:
        """The oldest requests of one model, at most `LARGE` rows."""
        batch: list[_Waiting] = []
        rows, waiting, self._waiting = 0, self._waiting, []
        for one in waiting:
            fits = one.served is waiting[0].served and rows + one.rows <= LARGE
            (batch if fits else self._waiting).append(one)
            rows += one.rows * fits
        return batch


def _predict(batch: list[_Waiting]) -> Predictions:
    first = batch[0]
    if len(batch) == 1:
        return first.served.predictions(first.columns)
    together = {n: np.concatenate([w.columns[n] for w in batch]) for n in first.columns}
    return first.served.predictions(together)


def _deliver(batch: list[_Waiting], done: "asyncio.Future[Predictions]") -> None:
    """Give each request its rows, or the error; a client may have gone meanwhile."""
    error, at = done.exception(), 0
    for waiting in batch:
        rows = slice(at, at + waiting.rows)
        at = rows.stop
        if waiting.result.done():
            continue
        if error is not None:
            waiting.result.set_exception(error)
        else:
            waiting.result.set_result(done.result().rows(rows))
