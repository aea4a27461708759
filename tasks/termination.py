"""A night that was told to end does end, also where the exception of the signal's handler was lost.

Python drops what a handler raises inside a destructor or a callback; the night would go on, and
promote, after a person has cancelled it. So the signal is noted, and raised again at the next step.
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
    """Note SIGTERM beside whatever handles it; whoever reports progress after that is ended."""
    before = signal.getsignal(signal.SIGTERM)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    told = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        told.set()
        before(number, frame)

    def end(step: str, done: int, total: int, message: str) -> None:
        if told.is_set():
            raise TerminationSignal(signal=signal.SIGTERM)

    signal.signal(signal.SIGTERM, note)
    try:
        with progress.heard_by(end):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
