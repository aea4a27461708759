"""A child that ends when its parent has gone, however the parent went.

The parent keeps the writing end of the child's standard input; the kernel closes it even after
kill -9. Without this, a killed `housing up` would leave a server that holds its port.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from housing.store.objects.filesystem import named_in_errors

EXIT_WITH_PARENT_FLAG = "--tied"
"""The argument with which a program of ours ends with its parent."""


def start_child(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a program of ours as a child, with its output in `log` and signals of its own."""
    with named_in_errors(log):
        output = log.open("ab")
    with output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and constants
            [*command, EXIT_WITH_PARENT_FLAG],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is the parent's to pass on, in order
        )


def wait_and_close(process: subprocess.Popen[bytes]) -> None:
    """Wait for a child that was signalled to end, and close its pipe."""
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def exit_with_parent() -> None:
    """In the child, where it was started tied: SIGTERM to itself once the parent is gone."""
    if EXIT_WITH_PARENT_FLAG in sys.argv:
        sys.argv.remove(EXIT_WITH_PARENT_FLAG)
        threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    # The file descriptor and not sys.stdin, whose lock would be held at the interpreter's end.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
