"""How long work says how far it is: one listener, chosen by whoever starts the work.

Silent by default. The command line sets one that draws bars, the flow one that feeds the
orchestrator; the domain only reports.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Listener(Protocol):
    """Receives what long work reports; must be quick and must not raise."""

    def __call__(self, step: str, done: int, total: int, message: str) -> None:
        """`done` of `total` units of `step` are finished; `total` 0 is unknown."""
        ...


_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


def report(step: str, done: int, total: int, message: str = "") -> None:
    """Tell all listeners."""
    for listener in _listeners.get():
        listener(step, done, total, message)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Add a listener for the length of the block."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
