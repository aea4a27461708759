"""Supervises the services of `housing up`: ordered start, restart after a crash, reverse stop.

For a laptop. In production systemd or Docker Compose supervises, and detects hangs. A service is a
process of its own: if it dies, the others continue.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path

from deployments.processes import prefect_access
from deployments.processes import prefect_server as servers
from deployments.processes.child_process import STOP_SECONDS, Child, start_child
from deployments.processes.prediction_api import listen
from deployments.repeating import repeated
from housing.errors import HousingError
from housing.store.objects.filesystem import named_in_errors

RESTART_SECONDS = 5.0
"""Pause before a service that ended is restarted."""

RUN_STOP_SECONDS = 60.0
"""Time for a run to stop safely."""


class ServiceNotStarted(HousingError):
    """A service ended, or did not answer, when `housing up` started it."""

    template = "The {service} did not start: {why}; {last}"


class AlreadyUp(HousingError):
    """Another `housing up` on the same home: each scheduled run would start twice."""

    template = "`housing up` runs on {home} already. Stop it first, or set HOUSING_HOME."


Say = Callable[[str], None]


@dataclass
class Service:
    """A program and its current process."""

    name: str  # as people read it
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_healthy: Callable[[], bool] = lambda: True  # a live process is enough
    stop_seconds: float = STOP_SECONDS  # between SIGTERM and SIGKILL
    child: Child | None = None
    again_at: float = 0.0

    def start(self) -> Child:
        """Begin, with a log of its own."""
        self.child = Child(start_child(self.command, self.environment, self.log), self.log)
        return self.child


def services(home: Path, port: int, api_port: int, secret: str) -> tuple[Service, ...]:
    """The services, the server first, as the others need it; they stop in reverse order."""
    url = servers.api_url(port)
    client = prefect_access.client_settings(url, secret)
    logs = home / "prefect"
    module = (sys.executable, "-m")
    return (
        Service(
            "server",
            servers.command(port, reports=True),
            logs / "server.log",
            servers.environment(url, secret, ui=True),
            is_healthy=lambda: servers.is_healthy(url),
        ),
        Service(
            "worker",
            (*module, "deployments.processes.worker"),
            logs / "worker.log",
            {**client, "PREFECT_UI_URL": url.removesuffix("/api")},
            stop_seconds=RUN_STOP_SECONDS,
        ),
        Service("watchdog", (*module, "deployments.watchdog.main"), logs / "watchdog.log", client),
        Service(
            "prediction API",
            (*module, "deployments.processes.prediction_api", str(api_port)),
            logs / "predicting.log",
            {"PREFECT_UI_URL": url.removesuffix("/api")},
            is_healthy=lambda: servers.is_healthy(f"http://127.0.0.1:{api_port}"),
        ),
    )


def up(home: Path, port: int, api_port: int, say: Say) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP; a second one does not wait for a current run."""

    def show(text: str) -> None:
        with suppress(OSError):  # a terminal that was closed must not keep us from ending in order
            say(text)

    with _single_instance(home):
        with listen("127.0.0.1", port, "housing up --port"):
            listen("127.0.0.1", api_port, "housing up --api-port").close()
        stopping = _catch_signals()
        secret = prefect_access.secret_of(home)
        watched = services(home, port, api_port, secret)
        try:
            _start_all(watched, show, stopping)
            if not stopping():
                servers.publish_url(home, servers.api_url(port), secret)
                _print_addresses(port, api_port, secret, show)
            while not stopping():
                time.sleep(0.2)
                for one in watched:
                    _supervise(one, show)
        finally:
            _stop_all(watched, home, show, lambda: stopping() > 1)


def _start_all(watched: Sequence[Service], say: Say, stopping: Callable[[], int]) -> None:
    """Start services in order, each once the last is healthy; ServiceNotStarted if one is not."""
    for one in watched:
        starting = f"Starting the {one.name} ..."
        say(starting)
        child = one.start()
        with repeated(partial(say, starting)):
            why = child.why_not_ready(one.is_healthy, lambda: bool(stopping()))
        if why:
            raise ServiceNotStarted(service=one.name, why=why, last=child.last_line())
        if stopping():
            return


def _print_addresses(port: int, api_port: int, secret: str, say: Say) -> None:
    ui = servers.api_url(port).removesuffix("/api")
    say(f"Prefect UI:  {prefect_access.sign_in_url(ui, secret)}")
    say(f"Deployments: {ui}/v2/deployments")
    say(f"Predictions: http://127.0.0.1:{api_port}")
    say("Ctrl-C stops everything.")


def _supervise(one: Service, say: Say) -> None:
    """Restart the service if it has ended."""
    child = one.child
    if child is None:
        if time.monotonic() >= one.again_at:
            one.start()
            say(f"The {one.name} is started again.")
    elif child.process.poll() is not None:
        child.stop(0)
        one.child, one.again_at = None, time.monotonic() + RESTART_SECONDS
        say(
            f"The {one.name} ended ({child.end()}; {child.last_line()}); "
            f"it is started again in {RESTART_SECONDS:.0f} s."
        )


def _stop_all(
    watched: Sequence[Service], home: Path, say: Say, hurried: Callable[[], bool]
) -> None:
    say("Stopping; the current run stops safely, and the next one resumes it ...")
    servers.unpublish_url(home)
    for one in reversed(watched):
        if one.child is not None:
            with repeated(partial(say, f"Stopping the {one.name} ...")):
                one.child.stop(one.stop_seconds, hurried)
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
    """Count termination signals instead of exiting; returns a function that gives their number.

    SIGHUP is a closed terminal; where it is ignored, by `nohup`, it stays ignored.
    """
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
            signal.signal(number, lambda caught, _: received.append(caught))
    return lambda: len(received)
