"""Real servers on a home with two runs: uvicorn on a free port of loopback."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from deployments.processes.prediction_api import config_of
from housing.serving.app import create_app
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from tests.fixtures.small_settings import SMALL


@contextmanager
def only_settings(
    home: Path, serve: Mapping[str, object] | None = None, **others: str
) -> Iterator[Settings]:
    """Settings of a home, and none of the developer's; `serve` changes fields of ServeOptions."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("HOUSING_")]:
            patch.delenv(name)
        for name, value in {**SMALL, "HOUSING_HOME": str(home), **others}.items():
            patch.setenv(name, value)
        patch.chdir(home)
        yield load_settings(serve=dict(serve or {}))


@contextmanager
def running(settings: Settings) -> Iterator[httpx.Client]:
    """A server in a thread of this process, set as the command sets it; yields a client of it."""
    server = uvicorn.Server(config_of(settings, app=lambda: create_app(settings)))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        port = listening.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def until(ready: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until a question is answered with something true; returns it."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.02)
    return found


@pytest.fixture(scope="session")
def champion_home(populated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the home with two runs, which servers may write to; m2 is champion."""
    home = tmp_path_factory.mktemp("serving") / "home"
    shutil.copytree(populated_home, home)
    return home


@pytest.fixture(scope="session")
def client(champion_home: Path) -> Iterator[httpx.Client]:
    """A client of a server that all tests share; nothing is promoted behind it."""
    with (
        only_settings(champion_home, serve={"header_seconds": 1}) as settings,
        running(settings) as shared,
    ):
        yield shared


@pytest.fixture
def own_home(populated_home: Path, tmp_path: Path) -> Path:
    """A home of the test's own, with m1 and m2, without any logged prediction."""
    home = tmp_path / "home"
    shutil.copytree(populated_home, home)
    return home


@pytest.fixture
def own_store(own_home: Path) -> Iterator[Store]:
    """The store of `own_home`."""
    with only_settings(own_home) as settings, open_store(settings) as store:
        yield store


@pytest.fixture
def typical(client: httpx.Client) -> dict[str, Any]:
    """A row as the API's own example has it."""
    examples = client.get("/openapi.json").json()["components"]["examples"]
    row: dict[str, Any] = examples["one"]["value"]["districts"][0]
    return row


Started = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def served(own_home: Path) -> Started:
    """`housing serve` as a process of its own: served(*arguments, **settings) -> its address."""

    @contextmanager
    def start(*arguments: str, **settings: str) -> Iterator[str]:
        port = free_port()
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HOUSING_")}
        environment = {**kept, **SMALL, "HOUSING_HOME": str(own_home), **settings}
        command = [sys.executable, "-m", "deployments.cli.__main__", "serve", "--port", str(port)]
        log = (own_home / "server.log").open("wb")
        process = subprocess.Popen(
            [*command, *arguments],
            env=environment, cwd=own_home, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        try:
            until(lambda: _alive(address) or process.poll() is not None, 180)
            assert process.poll() is None, (own_home / "server.log").read_text()
            yield address
        finally:
            process.terminate()
            process.wait(30)
            log.close()

    return start


def _alive(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{address}/health").status_code == 200
    return False


def free_port() -> int:
    """A free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
