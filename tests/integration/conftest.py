"""Nights in processes of their own, forked from one that has already imported everything."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.server import Server
from housing.settings import load_settings
from housing.store.engine import Store
from housing.store.opening import open_store
from tests.integration import victim
from tests.integration.victim import Blow
from tests.nights import SMALL, landing_rows

Night = Callable[[Path, Blow | None], int]


@pytest.fixture(scope="session")
def fork_night(prefect_server: Server) -> Night:
    """Run a night on a home; returns the exit code (-9 for killed)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.victim"])

    def run(home: Path, blow: Blow | None = None) -> int:
        environment = {
            **SMALL,
            "HOUSING_HOME": str(home),
            **prefect_server.client,
            "PREFECT_HOME": str(home / "prefect"),
        }
        process = context.Process(target=victim.run, args=(environment, blow))
        process.start()
        process.join(120)
        assert process.exitcode is not None, "the night hangs"
        return process.exitcode

    return run


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
