"""kill -9 of the real `housing retrain` at a random moment, then the same command again."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.results import save_if_asked
from deployments.processes.prefect_server import Server
from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import runs
from tests.faults.databases import Databases, PostgresDatabases, SqliteFiles
from tests.fixtures.small_settings import SMALL, contents, landing_rows

pytestmark = [pytest.mark.system, pytest.mark.prefect]

LESS = {
    "HOUSING_SEARCH__N_TRIALS": "1",  # the command's forest is of full size
    "HOUSING_GATE__LATENCY_BUDGET_MS": "60000",  # a busy machine must not decide what is compared
}

Start = Callable[["Home"], "subprocess.Popen[bytes]"]

PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Home:
    """A folder with one landing file, and the address of its database."""

    folder: Path
    database: str


@pytest.fixture
def start(prefect_server: Server) -> Start:
    """Start the command on a home, against the session's server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "PREFECT_"))}

    def run(home: Home) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "deployments.cli.__main__", "retrain"],
            env={
                **kept,
                **SMALL,
                **LESS,
                "HOUSING_HOME": str(home.folder),
                "HOUSING_DATABASE_URL": home.database,
                **prefect_server.client,
            },
            cwd=home.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def new_home(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Callable[[str], Home]:
    """Make a home whose database is of the kind that the test asks for."""
    databases: Databases = SqliteFiles()
    if kind == "postgresql":
        databases = PostgresDatabases(request.getfixturevalue("postgres_server"))

    def make(name: str) -> Home:
        folder = tmp_path / name
        (folder / "landing").mkdir(parents=True)
        landing_rows().to_csv(folder / "landing" / "a.csv", index=False)
        return Home(folder, databases.url(folder))

    return make


def _open(home: Home) -> Store:
    return open_store(load_settings(home=home.folder, database_url=home.database))


def _kill_at_random(
    start: Start, new_home: Callable[[str], Home], kind: str, times: int
) -> dict[str, int | str]:
    """Returns how many kills there were, and how many hit a run that had begun and not ended."""
    quiet = new_home("quiet")
    began = time.monotonic()
    assert start(quiet).wait(PATIENCE_SECONDS) == 0
    lasts = time.monotonic() - began
    with _open(quiet) as store:
        undisturbed = contents(store)
    chance, hits = random.Random(os.environ.get("KILL_SEED", "0")), 0
    for number in range(times):
        home = new_home(f"killed_{number}")
        victim = start(home)
        # Starting takes most of the time, and there is little to be hit in it.
        time.sleep(lasts * chance.uniform(0.4, 1.0))
        victim.send_signal(signal.SIGKILL)
        victim.wait(30)
        assert start(home).wait(PATIENCE_SECONDS) == 0
        with _open(home) as store:
            assert contents(store) == undisturbed, f"kill {number}"
            with store.read() as connection:
                statuses = connection.execute(sa.select(runs.c.status)).scalars().all()
        assert set(statuses) <= {"crashed", "completed"}
        hits += "crashed" in statuses
        shutil.rmtree(home.folder)
        figures = {"database": kind, "kills": number + 1, "in_mid_night": hits, "differences": 0}
        save_if_asked(
            f"kills-{kind}", figures
        )  # each time: a soak that is cut short has its figures too
    return figures


@pytest.fixture(autouse=True)
def small_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of this process, by which it opens what the command has made."""
    for name, value in {**SMALL, **LESS}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_command_killed_at_random_a_hundred_times(
    start: Start, new_home: Callable[[str], Home], kind: str
) -> None:
    figures = _kill_at_random(start, new_home, kind, 100)
    print(figures)
    assert int(figures["in_mid_night"]) >= 20
