"""The Prefect server as a child process, and how others on this machine find one that runs.

`housing up` keeps one; `housing retrain` uses it, or starts one for the length of a night. It
starts here rather than inside Prefect so that it comes up while this process is importing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.processes import prefect_access
from deployments.processes.parent_death import start_child, wait_and_close
from housing.errors import HousingError
from housing.store.objects.filesystem import named_in_errors, write_durably

START_SECONDS = 120.0
STOP_SECONDS = 15.0
_LOCAL = "127.0.0.1"


class ServerUnavailable(HousingError):
    """The orchestrator's server does not answer."""

    template = "The Prefect server {url} does not answer: {why}. {next_step}"


@dataclass
class Server:
    """A server process of ours; `url` is its API."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    secret: str  # its auth string

    @property
    def client(self) -> dict[str, str]:
        """Environment of a program that uses it."""
        return prefect_access.client_settings(self.url, self.secret)

    def wait_until_ready(self) -> None:
        """Return when it answers; ServerUnavailable if it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not is_healthy(self.url):
            if self.process.poll() is not None:
                raise ServerUnavailable(
                    url=self.url,
                    why=f"it ended with code {self.process.returncode}{disk_full_hint(self.log)}",
                    next_step=f"Its log is {self.log}.",
                )
            if time.monotonic() > deadline:
                raise ServerUnavailable(
                    url=self.url,
                    why=f"it was given {START_SECONDS:.0f} s to start",
                    next_step=f"Its log is {self.log}.",
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, politely at first."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        wait_and_close(self.process)


LEAST_FREE = 1_000_000
"""Bytes without which a server cannot begin."""


def disk_full_hint(log: Path) -> str:
    """What to add where a program did not begin and its disk is full: its log cannot say it."""
    return "; the disk is full" if shutil.disk_usage(log.parent).free < LEAST_FREE else ""


def start(home: Path, *, port: int | None = None) -> Server:
    """Start a server for one night on loopback; it is not ready yet when this returns."""
    port = port or free_port()
    url = api_url(port)
    log = home / "prefect" / "server.log"
    secret = prefect_access.new_secret()
    variables = {**os.environ, **environment(url, secret, ui=False)}
    return Server(start_child(command(port), variables, log), url, log, secret)


def api_url(port: int) -> str:
    """The address of the API of a server on this machine."""
    return f"http://{_LOCAL}:{port}/api"


def command(port: int, *, reports: Path | None = None) -> tuple[str, ...]:
    """The program, with the folder of reports that it shows beside its UI."""
    shown = () if reports is None else ("--reports", str(reports))
    return (
        sys.executable,
        "-m",
        "deployments.processes.prefect_server_main",
        "--port",
        str(port),
        *shown,
    )


def environment(url: str, secret: str, *, ui: bool) -> dict[str, str]:
    """Environment of a server, in addition to `environment.prepare`."""
    variables = {
        **prefect_access.server_settings(url, secret),
        "PREFECT_API_URL": url,
        "PREFECT_UI_ENABLED": "1" if ui else "0",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    if not ui:
        # A server for one night needs no scheduler, no late-run marking and no telemetry.
        variables["PREFECT__SERVER_EPHEMERAL"] = "1"
    return variables


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((_LOCAL, 0))
        return int(probe.getsockname()[1])


def is_healthy(url: str, timeout: float = 2.0) -> bool:
    """Whether an API is up."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=timeout) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
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
    known = running(home)
    server = None if known is not None else start(home)
    with _environment(known if server is None else server.client):
        try:
            yield server
        finally:
            if server is not None:
                flush_logs_and_events()
                server.stop()


@contextmanager
def _environment(changed: Mapping[str, str] | None) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changed or ()}
    os.environ.update(changed or {})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def flush_logs_and_events() -> None:
    """Logs and events that wait to be sent: without their server they would try for a minute."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=STOP_SECONDS)
