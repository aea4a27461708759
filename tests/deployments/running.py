"""A running `housing up`, as tests drive it: its API, its deployments, its parts' processes."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deployments.access import basic, sign_in_url
from deployments.server import free_port
from tests.nights import SMALL

T = TypeVar("T")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PROGRAMS = {
    "server": "deployments.api",
    "runner": "deployments.runner",
    "watch": "deployments.watch",
    "prediction API": "deployments.predicting",
    "flow": "prefect.engine",
}


class Up:
    """A running `housing up` on a home of its own."""

    command = (sys.executable, "-m", "deployments.cli.entry", "up")

    def __init__(self, home: Path, settings: Mapping[str, str] = {}) -> None:
        (home / "landing").mkdir(parents=True, exist_ok=True)
        self.home = home
        self.port, self.api_port = free_port(), free_port()
        self.said = home.parent / f"{home.name}.said"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "PREFECT_"))}
        self.environment = {
            **kept,
            **SMALL,
            "HOUSING_SEARCH__FAMILIES": "linear",
            "HOUSING_HOME": str(home),
            "HOUSING_SCHEDULE": "0 2 * * *",
            "HOUSING_TIMEZONE": "Europe/Berlin",
            "HOUSING_SCHEDULE_SEARCH": "off",
            "HOUSING_SCHEDULE_MONITOR": "off",
            "HOUSING_SCHEDULE_BACKUP": "off",
            "HOUSING_SCHEDULE_PRUNE": "off",
            **settings,
        }
        self._token: dict[str, str] = {}
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Begin, also once more on the same home."""
        with self.said.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port), "--api-port", str(self.api_port)],
                env=self.environment,
                cwd=self.home.parent,
                stdout=output,
                stderr=output,
            )
        return self.process

    def output(self) -> str:
        return self.said.read_text()

    def housing(self, *arguments: str) -> Any:
        """A command of ours on the same home, as JSON."""
        return json.loads(
            subprocess.check_output(
                [sys.executable, "-m", "deployments.cli.entry", *arguments, "--json"],
                env=self.environment,
                cwd=self.home.parent,
            )
        )

    # --- the orchestrator ---------------------------------------------------------------------

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """GET, or POST where there is a body, or as `method` says."""
        changes = {} if body is None else self._csrf()
        said = self._said(path, changes, None if body is None else json.dumps(body), method)
        return json.loads(said) if said else None

    def _csrf(self) -> dict[str, str]:
        """Headers without which the server changes nothing; they are valid for an hour."""
        if not self._token:
            found = json.loads(self._said("csrf-token?client=tests", {}))
            self._token = {"Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": found["token"]}
        return self._token

    def _said(
        self,
        path: str,
        headers: Mapping[str, str],
        body: str | None = None,
        method: str | None = None,
    ) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            data=None if body is None else body.encode(),
            headers={**self.headers(), **headers, "Content-Type": "application/json"},
            method=method,
        )
        return _answer(request)

    def secret(self) -> str:
        """The auth string; KeyError before there is one."""
        chosen = self.environment.get("PREFECT_SERVER_API_AUTH_STRING")
        path = self.home / "prefect" / "auth"
        if chosen is None and not path.exists():
            raise KeyError(path)
        return chosen or path.read_text()

    def headers(self) -> dict[str, str]:
        """What a client of the server sends."""
        return {"Authorization": f"Basic {basic(self.secret())}"}

    def sign_in(self) -> str:
        """The address that it printed for a browser."""
        return sign_in_url(f"http://127.0.0.1:{self.port}", self.secret())

    def deployments(self) -> dict[str, Any]:
        return {d["name"]: d for d in self.ask("deployments/filter", {})}

    def run(self, deployment: str = "nightly", **parameters: Any) -> dict[str, Any]:
        """Ask for a run, as the UI does; returns it as it is then."""
        id_ = self.deployments()[deployment]["id"]
        body = {"parameters": {"parameters": parameters}} if parameters else {}
        found: dict[str, Any] = self.ask(f"deployments/{id_}/create_flow_run", body)
        return found

    def see(self, run: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(f"flow_runs/{run['id']}")
        return found

    def ended(self, run: Mapping[str, Any], seconds: float = 120) -> dict[str, Any]:
        """The run, once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.see(run)
            return found if found["state"]["type"] in ENDED else None

        return until(look, seconds, "the run never ended")

    def searching(self, run: Mapping[str, Any]) -> None:
        """Return once a run has its first trial."""

        def look() -> bool:
            found = self.ask("artifacts/filter", {"sort": "CREATED_DESC", "limit": 50})
            mine = [a for a in found if a["flow_run_id"] == run["id"]]
            return any(a["key"] == "tune-progress" and a["data"] > 0 for a in mine)

        until(look, 90, "the search never began")

    # --- processes ----------------------------------------------------------------------------

    def pids(self, part: str, run: Mapping[str, Any] | None = None) -> list[int]:
        """Processes of this home that run a part (or a flow, or one run), whoever started them."""
        wanted = {f"HOUSING_HOME={self.home}".encode()}
        if run is not None:
            wanted.add(f"PREFECT__FLOW_RUN_ID={run['id']}".encode())
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue  # it has gone meanwhile, or is not ours
            if wanted <= set(environment) and PROGRAMS[part].encode() in command:
                found.append(int(entry.name))
        return found

    def kill(self, part: str) -> None:
        """kill -9."""
        pids = self.pids(part)
        assert pids, f"there is no {part} to kill"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """The end of a test, by SIGTERM: in order, and nothing of it stays behind."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                assert self.process.wait(90) == 0, self.output()
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def _answer(request: urllib.request.Request) -> bytes:
    """Its body; while the server's SQLite is busy (503: nothing was done) we wait, as Prefect's
    own client does."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def until(look: Callable[[], T | None], seconds: float, why: str) -> T:
    """The first answer that is one; while a server is away there is none."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError, KeyError):
            pass
        time.sleep(0.2)
    pytest.fail(why)
