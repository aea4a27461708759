"""Supervises the parts of `housing up`: starts them in order, restarts crashes, stops in reverse.

For a laptop. In production systemd or Docker Compose supervises, and notices what hangs.
"""

import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from deployments.processes import prefect_access
from deployments.processes import prefect_server as servers
from deployments.processes.parent_death import start_child, wait_and_close
from deployments.processes.services import Service, parts
from housing.errors import HousingError
from housing.store.objects.filesystem import named_in_errors

RESTART_SECONDS = 5.0
"""Pause before a part that ended is started again."""


class PortTaken(HousingError):
    """Another program listens where the server should."""

    template = "Port {port} is taken. Stop what listens there, or use `housing up {option} N`."


class DoesNotComeUp(HousingError):
    """A part that ends before it answers, at the first start of all."""

    template = "The {part} does not come up ({why}); {last}"


class AlreadyUp(HousingError):
    """Two of them on one home would run each night twice."""

    template = "`housing up` runs on {home} already. Stop it first, or set HOUSING_HOME."


Say = Callable[[str], None]


@dataclass
class SupervisedProcess:
    """A part and its current process."""

    part: Service
    process: subprocess.Popen[bytes] | None = None
    again_at: float = 0.0

    def start(self) -> None:
        """Begin, with a log of its own."""
        environment = {**os.environ, **self.part.environment}
        self.process = start_child(self.part.command, environment, self.part.log)

    def code(self) -> int | None:
        """The exit code, once it has ended."""
        return None if self.process is None else self.process.poll()

    def note_end(self) -> None:
        """Have it started again after the pause."""
        if self.process is not None:
            wait_and_close(self.process)
        self.process, self.again_at = None, time.monotonic() + RESTART_SECONDS

    def stop(self, force: Callable[[], bool]) -> None:
        """SIGTERM, a wait, then SIGKILL to it and its children."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self.part.stop_seconds
        while self.process.poll() is None and time.monotonic() < deadline and not force():
            time.sleep(0.05)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        wait_and_close(self.process)


def up(home: Path, port: int, api_port: int, say: Say) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP; a second one does not wait for a running night."""
    say = _ignore_closed_terminal(say)
    with _single_instance(home):
        for wanted, option in ((port, "--port"), (api_port, "--api-port")):
            if not _free(wanted) or (option == "--api-port" and wanted == port):
                raise PortTaken(port=wanted, option=option)
        stopping = _catch_signals()
        secret = prefect_access.secret_of(home)
        watched = [SupervisedProcess(part) for part in parts(home, port, api_port, secret)]
        try:
            _start_all(watched, say, stopping)
            if not stopping():
                servers.publish_url(home, servers.api_url(port), secret)
                _say_where(port, api_port, secret, say)
            while not stopping():
                time.sleep(0.2)
                for one in watched:
                    _supervise(one, say)
        finally:
            _stop_all(watched, home, say, lambda: stopping() > 1)


def _ignore_closed_terminal(say: Say) -> Say:
    """`say`, which may fail: a terminal that was closed must not keep us from ending in order."""

    def lines_found(text: str) -> None:
        with suppress(OSError):
            say(text)

    return lines_found


def _start_all(watched: Sequence[SupervisedProcess], say: Say, stopping: Callable[[], int]) -> None:
    """One after the other, each once the one before it answers; DoesNotComeUp if not."""
    say("Starting the Prefect server (some 10 s at first) ...")
    for one in watched:
        one.start()
        deadline = time.monotonic() + servers.START_SECONDS
        while one.part.is_healthy is not None and not one.part.is_healthy() and not stopping():
            if one.code() is not None or time.monotonic() > deadline:
                code, log = one.code(), one.part.log
                why = (
                    "it takes too long"
                    if code is None
                    else _in_words(code) + servers.disk_full_hint(log)
                )
                raise DoesNotComeUp(part=one.part.name, why=why, last=last_line(log))
            time.sleep(0.05)
        if stopping():
            return


def _say_where(port: int, api_port: int, secret: str, say: Say) -> None:
    ui = servers.api_url(port).removesuffix("/api")
    say(f"Prefect UI:  {prefect_access.sign_in_url(ui, secret)}")
    say(f"Deployments: {ui}/v2/deployments")
    say(f"Predictions: http://127.0.0.1:{api_port}")
    say("Ctrl-C stops everything.")


def _supervise(one: SupervisedProcess, say: Say) -> None:
    """Start again what has ended."""
    name = one.part.name
    if one.process is None:
        if time.monotonic() >= one.again_at:
            one.start()
            say(f"The {name} is started again.")
        return
    code = one.code()
    if code is not None:
        one.note_end()
        say(
            f"The {name} ended ({_in_words(code)}; {last_line(one.part.log)}); "
            f"it is started again in {RESTART_SECONDS:.0f} s."
        )


def _in_words(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"


def last_line(log: Path) -> str:
    """The last line of a log."""
    with log.open(errors="replace") as lines:
        lines_found = [line.strip() for line in deque(lines, 20) if line.strip()]
    return f"{log}: {lines_found[-1][:200]}" if lines_found else f"its log {log} is empty"


def _stop_all(
    watched: Sequence[SupervisedProcess], home: Path, say: Say, force: Callable[[], bool]
) -> None:
    say("Stopping; a running night stops safely, and the next one goes on where it was ...")
    servers.unpublish_url(home)
    for one in reversed(watched):
        one.stop(force)
    say("Stopped.")


@contextmanager
def _single_instance(home: Path) -> Iterator[None]:
    path = home / "prefect" / "up.lock"
    with named_in_errors(path):
        lock = path.open("w")
    with lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyUp(home=home) from error
        yield


def _catch_signals() -> Callable[[], int]:
    """Note signals to end instead of dying of them; returns how many came.

    SIGHUP is a terminal that was closed; where it is ignored, by `nohup`, it stays so.
    """
    came: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
            signal.signal(number, lambda received, _: came.append(received))
    return lambda: len(came)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
