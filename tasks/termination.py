"""Ends a flow run that was cancelled, also where its worker did not pass the cancellation on.

Prefect's worker sends SIGTERM to a cancelled run. The signal is lost where the worker no longer
observes cancellations, as after an outage of the server, and where Python swallows the exception of
its handler (in a weak reference's callback, in a finalizer). So the run polls Prefect at each step,
and the signal is recorded and raised again at the next step.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException, TerminationSignal
from prefect.runtime import flow_run

from housing import progress

POLL_SECONDS = 5.0
"""Time between two polls of Prefect within a step, and the timeout of a request."""

RETRY_SECONDS = 60.0
"""Time until the next poll after one failed: a failure of Prefect's client takes up to a minute."""

CANCELLED = (StateType.CANCELLING, StateType.CANCELLED)

log = logging.getLogger("housing")


class CancelRequested(TerminationSignal):
    """A person cancelled the flow run."""


@contextmanager
def stop_when_cancelled() -> Iterator[Callable[[], bool]]:
    """Raise CancelRequested in the block, at a report of progress, once the run is cancelled.

    Prefect is polled where a step begins, before a promotion's transaction (both report no units of
    work), and otherwise every `POLL_SECONDS`. If it does not answer, the run continues and polls
    less often. Yields a function that polls; outside a flow run it returns False.
    """
    run = flow_run.get_id()
    if run is None:
        yield lambda: False
        return
    polled_at, unreachable = time.monotonic(), False
    with get_client(sync_client=True, httpx_settings={"timeout": POLL_SECONDS}) as client:

        def is_cancelled() -> bool:
            nonlocal polled_at, unreachable
            try:
                cancelled = client.read_flow_run(UUID(run)).state_type in CANCELLED
                unreachable = False
            except (PrefectException, httpx.HTTPError) as error:
                if not unreachable:
                    log.warning("Prefect does not answer whether the run is cancelled: %s", error)
                cancelled, unreachable = False, True
            polled_at = time.monotonic()
            return cancelled

        def poll(step: str, done: int, total: int, message: str) -> None:
            begins, pause = done == total == 0, RETRY_SECONDS if unreachable else POLL_SECONDS
            if (begins or time.monotonic() - polled_at > pause) and is_cancelled():
                raise CancelRequested(signal=signal.SIGTERM)

        with progress.listening(poll):
            yield is_cancelled


@contextmanager
def reraise_sigterm() -> Iterator[None]:
    """Record SIGTERM beside its handler; the next report of progress raises TerminationSignal."""
    before = signal.getsignal(signal.SIGTERM)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    received = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        received.set()
        before(number, frame)

    def end(step: str, done: int, total: int, message: str) -> None:
        if received.is_set():
            raise TerminationSignal(signal=signal.SIGTERM)

    signal.signal(signal.SIGTERM, note)
    try:
        with progress.listening(end):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
