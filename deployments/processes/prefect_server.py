"""The Prefect server as a child process, and how others on this machine find one that runs.

`housing up` keeps one; `housing retrain` uses it, or starts one for one run. It
starts here rather than inside Prefect so that it comes up while this process is importing.
"""

import json
import os
import socket
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.processes import prefect_access
from deployments.processes.child_process import STOP_SECONDS, Child, start_child
from housing.errors import HousingError
from housing.store.objects.filesystem import named_in_errors, write_durably

_LOCAL = "127.0.0.1"


class ServerUnavailable(HousingError):
    """The orchestrator's server does not answer."""

    template = "The Prefect server {url} does not answer: {why}. {next_step}"


@dataclass
class Server(Child):
    """A server process of ours; `url` is its API."""

    url: str
    secret: str  # its auth string

    @property
    def client(self) -> dict[str, str]:
        """Environment of a program that uses it."""
        return prefect_access.client_settings(self.url, self.secret)

    def wait_until_ready(self) -> None:
        """Return when it answers; ServerUnavailable if it ends or takes too long."""
        if why := self.why_not_ready(lambda: is_healthy(self.url)):
            raise ServerUnavailable(url=self.url, why=why, next_step=f"Its log is {self.log}.")


def start(home: Path) -> Server:
    """Start a server for one run on loopback; it is not ready yet when this returns."""
    port = free_port()
    url, secret = api_url(port), prefect_access.new_secret()
    log = home / "prefect" / "server.log"
    process = start_child(command(port), environment(url, secret, ui=False), log)
    return Server(process, log, url, secret)


def api_url(port: int) -> str:
    """The address of the API of a server on this machine."""
    return f"http://{_LOCAL}:{port}/api"


def command(port: int, *, reports: bool = False) -> tuple[str, ...]:
    """The program, which may show reports beside its UI."""
    shown = ("--reports",) if reports else ()
    module = "deployments.processes.prefect_server_main"
    return (sys.executable, "-m", module, "--port", str(port), *shown)


def environment(url: str, secret: str, *, ui: bool) -> dict[str, str]:
    """Environment of a server, in addition to `environment.prepare`."""
    variables = {
        **prefect_access.server_settings(url, secret),
        "PREFECT_API_URL": url,
        "PREFECT_UI_ENABLED": "1" if ui else "0",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    if not ui:
        # A server for one run needs no scheduler, no late-run marking and no telemetry.
        variables["PREFECT__SERVER_EPHEMERAL"] = "1"
    return variables


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((_LOCAL, 0))
        return int(probe.getsockname()[1])


def is_healthy(url: str) -> bool:
    """Whether an API is up."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2.0) as response:  # noqa: S310
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


# --- finding one --------------------------------------------------------------------------


def publish_url(home: Path, url: str, secret: str) -> None:
    """Tell other commands of this user that a server runs, and its auth string."""
    known = prefect_access.client_settings(url, secret)
    path = home / "prefect" / "server.json"
    with named_in_errors(path):
        write_durably(path, json.dumps(known).encode())


def unpublish_url(home: Path) -> None:
    """Take the announcement back."""
    (home / "prefect" / "server.json").unlink(missing_ok=True)


def running(home: Path) -> dict[str, str] | None:
    """A client's environment for a server that answers, or None.

    The server is the user's PREFECT_API_URL, or the one that `up` started.
    """
    chosen = os.environ.get("PREFECT_API_URL")
    if chosen:
        if is_healthy(chosen):
            return prefect_access.client_settings(chosen, None)
        raise ServerUnavailable(
            url=chosen,
            why="no answer within 2 s",
            next_step="Start it, or unset PREFECT_API_URL to run with a temporary one.",
        )
    try:
        known: dict[str, str] = json.loads((home / "prefect" / "server.json").read_text())
        url = known["PREFECT_API_URL"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return known if is_healthy(url) else None


@contextmanager
def temporary_prefect_server(home: Path) -> Iterator[Server | None]:
    """A temporary server that is still starting when the block begins; None where one runs already.

    Within the block the environment names the server.
    """
    known, server = running(home), None
    if known is None:
        server = start(home)
        known = server.client
    with _environment(known):
        try:
            yield server
        finally:
            if server is not None:
                flush_logs_and_events()
                server.stop()


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in changed if name in before})


def flush_logs_and_events() -> None:
    """Send the queued logs and events: after the server's end Prefect would retry for a minute."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=STOP_SECONDS)
