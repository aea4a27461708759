"""Questions that come at the same moment are put to the model together.

A model answers sixty-four rows in hardly more time than one, so while it is at work further
questions gather, and go as one table. Each keeps the `Served` it came with: a table holds one
version only. Large questions go their own way, so that small ones do not wait behind them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from housing.serving.inputs import Columns
from housing.serving.served import Answers, Served, single_threaded

LARGE = 64
"""Rows from which on a question is answered by itself."""


@dataclass
class _Waiting:
    served: Served
    columns: Columns
    rows: int
    answer: "asyncio.Future[Answers]"


class Batcher:
    """Answers questions of one event loop on two threads: one for small ones, one for large."""

    def __init__(self) -> None:
        self._small = ThreadPoolExecutor(1, thread_name_prefix="answer", initializer=_quiet)
        self._large = ThreadPoolExecutor(1, thread_name_prefix="table", initializer=_quiet)
        self._waiting: list[_Waiting] = []
        self._busy = False

    async def answer(self, served: Served, columns: Columns, rows: int) -> Answers:
        """What `served` says of some rows."""
        loop = asyncio.get_running_loop()
        if rows >= LARGE:
            return await loop.run_in_executor(self._large, served.answer, columns)
        waiting = _Waiting(served, columns, rows, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._next(loop)
        return await waiting.answer

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._waiting:
            self._busy = False
            return
        self._busy = True
        served = self._waiting[0].served
        batch = [w for w in self._waiting if w.served is served]
        self._waiting = [w for w in self._waiting if w.served is not served]
        work = loop.run_in_executor(self._small, _together, served, batch)
        work.add_done_callback(lambda done: self._deliver(loop, batch, done))

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[_Waiting],
        done: "asyncio.Future[Answers]",
    ) -> None:
        self._next(loop)
        error = done.exception()
        at = 0
        for waiting in batch:
            if waiting.answer.cancelled():
                pass
            elif error is not None:
                waiting.answer.set_exception(error)
            else:
                waiting.answer.set_result(_part(done.result(), at, waiting.rows))
            at += waiting.rows

    def close(self) -> None:
        """End the threads."""
        self._small.shutdown(wait=False, cancel_futures=True)
        self._large.shutdown(wait=False, cancel_futures=True)


def _quiet() -> None:
    single_threaded()


def _together(served: Served, batch: list[_Waiting]) -> Answers:
    if len(batch) == 1:
        return served.answer(batch[0].columns)
    names = batch[0].columns
    return served.answer({n: np.concatenate([w.columns[n] for w in batch]) for n in names})


def _part(answers: Answers, at: int, rows: int) -> Answers:
    end = at + rows
    return Answers(
        predicted=answers.predicted[at:end],
        lower=answers.lower[at:end],
        upper=answers.upper[at:end],
        outside=answers.outside[at:end],
        far=answers.far[at:end],
        kilometres=answers.kilometres[at:end],
    )
