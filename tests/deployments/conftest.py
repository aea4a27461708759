"""The command line on a home with a few runs, the server's client, a receiver of alerts."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from typer.testing import CliRunner, Result

from deployments.cli.main import app
from tests.fixtures.small_settings import SMALL
from tests.housing.test_notify import Receiver

Housing = Callable[..., Result]


@pytest.fixture(scope="module")
def received() -> Iterator[Receiver]:
    """A webhook's receiver."""
    server = Receiver(200)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    """Of the session's server."""
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture
def housing(populated_home: Path, monkeypatch: pytest.MonkeyPatch) -> Housing:
    """Run a command in this process on the home that has seen runs."""
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    for name, value in {**SMALL, "HOUSING_HOME": str(populated_home)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(populated_home)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run `housing` as a process of its own, in an empty folder, with only these settings."""

    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "PREFECT_"))}
        environment = {**kept, "HOUSING_HOME": str(tmp_path / "home"), "COLUMNS": "200", **settings}
        return subprocess.run(
            [sys.executable, "-m", "deployments.cli.__main__", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run
