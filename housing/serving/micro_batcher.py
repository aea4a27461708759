"""Questions that come at the same moment are put to the model together.

A model answers ten rows in little more time than one, so questions that are there when it is free
go as one table. Each keeps the `Served` it came with: a table holds one version only. A quick model
is asked on the event loop itself: handing a millisecond's work to a thread and fighting over the
interpreter's lock costs more than the work. A slow model, and a large question, go to a thread, so
that others do not wait behind them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from housing.inference.columns import Columns
from housing.inference.loaded_model import LoadedModel, Predictions, single_threaded

LARGE = 64
"""Rows from which on a question is answered by itself, and no further one joins a table."""

QUICK_SECONDS = 0.003
"""A model that answers one row within this is asked on the event loop."""


@dataclass
class _Waiting:
    served: LoadedModel
    columns: Columns
    rows: int
    answer: "asyncio.Future[Predictions]"


class Batcher:
    """Answers the questions of one event loop."""

    def __init__(self) -> None:
        self._small = ThreadPoolExecutor(1, thread_name_prefix="answer", initializer=_quiet)
        self._large = ThreadPoolExecutor(1, thread_name_prefix="table", initializer=_quiet)
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._limits = single_threaded()  # of this thread, for what is asked on the loop

    async def predict(self, served: LoadedModel, columns: Columns, rows: int) -> Predictions:
        """What `served` says of some rows."""
        loop = asyncio.get_running_loop()
        if rows >= LARGE:
            return await loop.run_in_executor(self._large, served.predictions, columns)
        waiting = _Waiting(served, columns, rows, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next, loop)  # once all that has arrived by now is in
        return await waiting.answer

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._taken()
        if not batch:
            self._busy = False
            return
        served = batch[0].served
        if served.seconds <= QUICK_SECONDS:
            try:
                _deliver(batch, _together(served, batch))
            except Exception as error:  # noqa: BLE001 - goes to whoever asked
                _fail(batch, error)
            loop.call_soon(self._next, loop)  # what came meanwhile is read before
            return
        work = loop.run_in_executor(self._small, _together, served, batch)
        work.add_done_callback(lambda done: self._done(loop, batch, done))

    def _taken(self) -> list[_Waiting]:
        """The next questions for one version, at most `LARGE` rows of them."""
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        rows = 0
        for waiting in self._waiting:
            if waiting.served is self._waiting[0].served and rows + waiting.rows <= LARGE:
                batch.append(waiting)
                rows += waiting.rows
            else:
                left.append(waiting)
        self._waiting = left
        return batch

    def _done(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[_Waiting],
        done: "asyncio.Future[Predictions]",
    ) -> None:
        self._next(loop)
        error = done.exception()
        if error is not None:
            _fail(batch, error)
        else:
            _deliver(batch, done.result())

    def close(self) -> None:
        """End the threads."""
        self._small.shutdown(wait=False, cancel_futures=True)
        self._large.shutdown(wait=False, cancel_futures=True)


def _quiet() -> None:
    single_threaded()


def _together(served: LoadedModel, batch: list[_Waiting]) -> Predictions:
    if len(batch) == 1:
        return served.predictions(batch[0].columns)
    names = batch[0].columns
    return served.predictions({n: np.concatenate([w.columns[n] for w in batch]) for n in names})


def _deliver(batch: list[_Waiting], answers: Predictions) -> None:
    at = 0
    for waiting in batch:
        if not waiting.answer.done():  # its client may have left
            waiting.answer.set_result(_part(answers, at, waiting.rows))
        at += waiting.rows


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def _part(answers: Predictions, at: int, rows: int) -> Predictions:
    if rows == len(answers.predicted):
        return answers
    end = at + rows
    return Predictions(
        predicted=answers.predicted[at:end],
        lower=answers.lower[at:end],
        upper=answers.upper[at:end],
        outside=answers.outside[at:end],
        far=answers.far[at:end],
        kilometres=answers.kilometres[at:end],
    )
