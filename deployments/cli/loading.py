"""The line shown while libraries load, until a command prints something itself.

Imports little: it is there so that a terminal does not stay empty on a busy machine.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

QUIET_SECONDS = 0.3
"""Time in which a command may print something itself."""

AGAIN_SECONDS = 4.0
"""Time after which the line is written again."""

TEXT = "Loading ..."
SERVICE = "watchdog"
"""The command whose output is a log of what it did: hours may pass without a line."""


class _Stream:
    """A standard stream whose first use ends the line."""

    def __init__(self, stream: TextIO, loading: "_Loading") -> None:
        self._stream, self._loading = stream, loading

    def __getattr__(self, name: str) -> Any:
        if name in ("write", "writelines", "buffer"):
            self._loading.end()
        return getattr(self._stream, name)


class _Loading:
    def __init__(self) -> None:
        self._streams, self._lock = (sys.stdout, sys.stderr), threading.Lock()
        self._ended = self._shown = False
        # Kept: `print` borrows the stream that it writes to, and `end` puts another in its place.
        self._kept: Any = [_Stream(each, self) for each in self._streams]
        sys.stdout, sys.stderr = self._kept
        self._start(QUIET_SECONDS)

    def _start(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        with self._lock, suppress(OSError, ValueError):  # a closed stream
            if not self._ended:
                self._shown = True
                self._write(f"\r{TEXT}" if self._streams[1].isatty() else f"{TEXT}\n")
                self._start(AGAIN_SECONDS)

    def end(self) -> None:
        """Erase the line, or do not show it."""
        self._timer.cancel()
        with self._lock, suppress(OSError, ValueError):
            if not self._ended:
                self._ended = True
                sys.stdout, sys.stderr = self._streams
                if self._shown and self._streams[1].isatty():
                    self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._streams[1].write(text)
        self._streams[1].flush()


@contextmanager
def loading() -> Iterator[None]:
    """Show the line on standard error if the block prints nothing for QUIET_SECONDS."""
    if sys.argv[1:2] == [SERVICE]:
        yield
        return
    shown = _Loading()
    try:
        yield
    finally:
        shown.end()
