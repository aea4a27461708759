"""Progress reporting: long-running code calls `report`, and callers register listeners.

The command line registers progress bars, the flow a Prefect artifact; there are none by default.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int, str], None]
"""Receives progress; must be quick. An exception ends the reporting code."""

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


def report(step: str, done: int, total: int, message: str = "") -> None:
    """Call all listeners: `done` of `total` units are finished; a `total` of 0 is unknown."""
    for listener in _listeners.get():
        listener(step, done, total, message)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call the listener at each report while the block runs."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
