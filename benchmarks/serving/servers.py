"""A home with two champions to serve, made once and kept: the default family on the census table.

Without the table (an option of the source `census`) simulated districts take its place, which
the figures record.
"""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import pandas as pd

from benchmarks.homes import HOUSING, run_and_promote
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.models import artifacts, registry

SETTINGS = {
    "HOUSING_SOURCES__NAMES": "landing",
    "HOUSING_SOURCES__SETTLE_SECONDS": "0",
    "HOUSING_SEARCH__N_TRIALS": "1",
    "HOUSING_SEARCH__FOLDS": "2",
}


def make(home: Path) -> None:
    """Two nights, two champions; a home that is there already is left alone."""
    os.environ.update({**SETTINGS, "HOUSING_HOME": str(home)})
    if (home / "model.joblib").exists():
        return
    landing = home / "landing"
    landing.mkdir(parents=True, exist_ok=True)
    census = os.environ.get("HOUSING_CENSUS")
    rows = pd.read_csv(census) if census else simulate(20_640, 0)
    rows = rows.sample(frac=1, random_state=0)
    for part, chunk in (("a", rows[:19_000]), ("b", rows[19_000:])):
        chunk.to_csv(landing / f"{part}.csv", index=False)
        run_and_promote()
    settings = load_settings()
    with open_store(settings) as store, store.read() as connection:
        artifact = registry.model(connection, 2).artifact
        joblib.dump(artifacts.get_model(store, artifact), home / "model.joblib")


@contextmanager
def server(command: list[str], port: int, ready: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A server process, once it answers `ready`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 90
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} does not answer {ready}: nothing measured")
            time.sleep(0.2)
        time.sleep(3)  # every worker
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:  # refused, or an answer of 4xx and 5xx
        return False


def housing_server(port: int, workers: int) -> list[str]:
    """`housing serve`."""
    return [*HOUSING, "serve", "--port", str(port), "--workers", str(workers)]


def plain_server(port: int, workers: int) -> list[str]:
    """The plain one."""
    return [sys.executable, "-m", "benchmarks.serving.plain", str(port), str(workers)]
