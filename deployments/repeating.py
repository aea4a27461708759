"""Lines that are repeated while something takes long: silence looks like a program that hangs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_SECONDS = 4.0
"""Longest silence, but for what a busy machine adds."""


@contextmanager
def repeated(say: Callable[[], None], seconds: float | None = None) -> Iterator[None]:
    """Call `say` in another thread every `seconds` (LINE_SECONDS) while the block runs."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(LINE_SECONDS if seconds is None else seconds):
            say()

    ticker = threading.Thread(target=repeat, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        ended.set()
        ticker.join()
