"""Runs in processes of their own, forked from one that has already imported everything."""

import multiprocessing
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from deployments.processes.prefect_server import Server
from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from tests.fixtures import killable_run
from tests.fixtures.killable_run import Blow
from tests.fixtures.small_settings import SMALL, landing_rows

StartRun = Callable[[Path, Blow | None], int]

HANGS_SECONDS = 280
"""After which a run that has not ended never will, on however busy a machine."""


@pytest.fixture(scope="session")
def fork_run(fits_folder: Path) -> StartRun:
    """Run a run without the orchestrator on a home; returns the exit code (-9 for killed)."""
    return partial(_fork, {}, fits_folder)


@pytest.fixture(scope="session")
def fork_flow(prefect_server: Server, fits_folder: Path) -> StartRun:
    """As `fork_run`, under the session's Prefect server."""
    return partial(_fork, prefect_server.client, fits_folder)


def _fork(server: Mapping[str, str], fits: Path, home: Path, blow: Blow | None = None) -> int:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(killable_run.PRELOAD)
    environment = {**SMALL, **server, "HOUSING_HOME": str(home)}
    if server:
        environment["PREFECT_HOME"] = str(home / "prefect")
    process = context.Process(target=killable_run.run, args=(environment, blow, fits))
    process.start()
    process.join(HANGS_SECONDS)
    assert process.exitcode is not None, "the run hangs"
    return process.exitcode


@pytest.fixture
def new_home(tmp_path: Path) -> Callable[[str], Path]:
    """An empty home with one landing file."""

    def make(name: str) -> Path:
        home = tmp_path / name
        (home / "landing").mkdir(parents=True)
        landing_rows().to_csv(home / "landing" / "a.csv", index=False)
        return home

    return make


@pytest.fixture
def open_home(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Store]:
    """The store of a home."""

    def open_(home: Path) -> Store:
        monkeypatch.setenv("HOUSING_HOME", str(home))
        return open_store(load_settings())

    return open_
