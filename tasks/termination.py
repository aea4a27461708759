"""Raise SIGTERM's exception again at the next step when Python swallowed it.

Prefect's handler raises an exception, and Python drops it where it lands in a callback (a weak
reference, a finalizer). The cancelled run would then continue to its end. So the signal is noted,
and raised again at the next step.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from prefect.exceptions import TerminationSignal

from housing import progress


@contextmanager
def reraise_sigterm() -> Iterator[None]:
    """Note SIGTERM beside its handler; the next report of progress raises TerminationSignal."""
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
        with progress.heard_by(end):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
