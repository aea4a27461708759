"""kill -9 of the real `housing retrain` at a random moment, then the same command again."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.server import Server
from housing.settings import load_settings
from housing.store.opening import open_store
from housing.store.tables import runs
from tests.nights import SMALL, contents, landing_rows

pytestmark = pytest.mark.prefect

LESS = {"HOUSING_SEARCH__N_ITER": "1"}  # the command's forest is of full size

Start = Callable[[Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(prefect_server: Server) -> Start:
    """Start the command on a home, against the session's server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "PREFECT_"))}

    def run(home: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "deployments.cli.entry", "retrain"],
            env={
                **kept,
                **SMALL,
                **LESS,
                "HOUSING_HOME": str(home),
                "PREFECT_API_URL": prefect_server.url,
            },
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    return run


def _home(folder: Path) -> Path:
    (folder / "landing").mkdir(parents=True)
    landing_rows().to_csv(folder / "landing" / "a.csv", index=False)
    return folder


def _kill_at_random(start: Start, tmp_path: Path, times: int) -> int:
    """Returns how many of the kills hit a night that had begun and not ended."""
    quiet = _home(tmp_path / "quiet")
    began = time.monotonic()
    assert start(quiet).wait(240) == 0
    lasts = time.monotonic() - began
    with open_store(load_settings(home=quiet)) as store:
        undisturbed = contents(store)
    chance, hits = random.Random(os.environ.get("KILL_SEED", "0")), 0
    for number in range(times):
        home = _home(tmp_path / f"killed-{number}")
        victim = start(home)
        # Starting takes most of the time, and there is little to be hit in it.
        time.sleep(lasts * chance.uniform(0.4, 1.0))
        victim.send_signal(signal.SIGKILL)
        victim.wait(30)
        assert start(home).wait(240) == 0
        with open_store(load_settings(home=home)) as store:
            assert contents(store) == undisturbed, f"kill {number}"
            with store.read() as connection:
                statuses = connection.execute(sa.select(runs.c.status)).scalars().all()
        assert set(statuses) <= {"crashed", "completed"}
        hits += "crashed" in statuses
    return hits


def test_a_command_killed_at_random(
    start: Start, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SMALL, **LESS}.items():
        monkeypatch.setenv(name, value)
    _kill_at_random(start, tmp_path, 2)


@pytest.mark.slow
def test_a_command_killed_at_random_a_hundred_times(
    start: Start, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SMALL, **LESS}.items():
        monkeypatch.setenv(name, value)
    hits = _kill_at_random(start, tmp_path, 100)
    print(f"100 kills, {hits} of them in the middle of a night, no difference afterwards")
    assert hits >= 20
