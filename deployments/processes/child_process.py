"""A child process that ends when its parent ends, even after kill -9.

The parent keeps the writing end of the child's standard input; the kernel closes it even after
kill -9. Without this, a killed `housing up` would leave a server that holds its port.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from housing.store.objects.filesystem import named_in_errors

EXIT_WITH_PARENT_FLAG = "--exit-with-parent"
"""The argument with which a program of ours ends with its parent."""

START_SECONDS, STOP_SECONDS = 300.0, 15.0
POLL_SECONDS = 0.05

LEAST_FREE = 1_000_000
"""Bytes without which a server cannot begin."""


@dataclass
class Child:
    """A running program of ours and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def why_not_ready(
        self, is_healthy: Callable[[], bool], given_up: Callable[[], bool] = lambda: False
    ) -> str:
        """Wait until it answers; returns why it does not, or "" if it does or the wait is over."""
        deadline = time.monotonic() + START_SECONDS
        while not is_healthy() and not given_up():
            if self.process.poll() is not None:
                # The log cannot say that the disk is full.
                full = shutil.disk_usage(self.log.parent).free < LEAST_FREE
                return f"it ended with {self.end()}{'; the disk is full' if full else ''}"
            if time.monotonic() > deadline:
                return f"it did not answer within {START_SECONDS:.0f} s"
            time.sleep(POLL_SECONDS)
        return ""

    def end(self) -> str:
        """How it ended."""
        code = self.process.returncode
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"

    def last_line(self) -> str:
        """The last line of its log."""
        with self.log.open(errors="replace") as lines:
            found = [line.strip() for line in deque(lines, 20) if line.strip()]
        return f"{self.log}: {found[-1][:200]}" if found else f"its log {self.log} is empty"

    def stop(
        self, seconds: float = STOP_SECONDS, hurried: Callable[[], bool] = lambda: False
    ) -> None:
        """SIGTERM, a wait, then SIGKILL to it and its children."""
        deadline = time.monotonic() + seconds
        if self.process.poll() is None:
            self.process.terminate()
        while self.process.poll() is None and time.monotonic() < deadline and not hurried():
            time.sleep(POLL_SECONDS)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def start_child(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a program of ours as a child, with its output in `log` and signals of its own."""
    with named_in_errors(log):
        output = log.open("ab")
    with output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and constants
            [*command, EXIT_WITH_PARENT_FLAG],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is the parent's to pass on, in order
        )


def exit_with_parent() -> None:
    """In the child, started with the flag: SIGTERM to itself once the parent is gone."""
    if EXIT_WITH_PARENT_FLAG in sys.argv:
        sys.argv.remove(EXIT_WITH_PARENT_FLAG)
        threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    # The file descriptor and not sys.stdin, whose lock would be held at the interpreter's end.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
