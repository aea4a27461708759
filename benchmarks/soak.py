"""An hour of `housing up` with a schedule of every minute and new rows before each run.

Counts how the runs ended, and measures by how much both databases and the memory of the services
grow from run to run.
"""

import argparse
import json
import sqlite3
import time
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.memory import proportional_mib
from benchmarks.results import save
from tests.fixtures.housing_up import ENDED, Up, until
from tests.fixtures.small_settings import SMALL, landing_rows

SETTINGS = {"HOUSING_SCHEDULES__RETRAIN": "* * * * *", "HOUSING_SEARCH__FAMILIES": "linear"}
SERVICES = ("server", "worker", "watchdog", "prediction API")
ROWS = 100
"""New rows before each run."""

WARM_UP = 10
"""Minutes that count for the outcomes, not for the growth."""

STUCK = 600
"""Seconds after the schedule is switched off at which a run that has not ended counts as stuck."""


def main() -> None:
    """Run, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak")
    parser.add_argument("--minutes", type=int, default=60)
    minutes = parser.parse_args().minutes
    with TemporaryDirectory() as folder:
        up = Up(Path(folder) / "home", SETTINGS)
        try:
            save("soak", _soak(up, minutes))
        finally:
            up.stop()


def _soak(up: Up, minutes: int) -> dict[str, Any]:
    landing_rows(0, 600).to_csv(up.home / "landing" / "first.csv", index=False)
    until(lambda: "nightly" in up.deployments(), 120, "housing up did not start")
    began, samples = time.time(), []
    for minute in range(1, minutes + 1):
        time.sleep(max(0.0, began + 60 * minute - time.time()))
        path = up.home / f"rows-{minute}.csv"
        landing_rows(minute, ROWS).to_csv(path, index=False)
        path.rename(up.home / "landing" / path.name)
        samples.append(_sample(up))
        print(json.dumps(samples[-1]), flush=True)
    return figures(up, samples)


def _sample(up: Up) -> dict[str, float]:
    """Runs so far, and megabytes of each database and service."""
    services = {
        name: sum(map(proportional_mib, up.pids(part)))
        for part, name in zip(SERVICES, map(str.lower, SERVICES), strict=True)
    }
    completed = [run for run in up.housing("runs", "--all") if run["status"] == "completed"]
    return {
        "runs": len(completed),
        "store": _megabytes(up.home / "housing.db"),
        "prefect": _megabytes(up.home / "prefect" / "prefect.db"),
        **services,
    }


def _megabytes(path: Path) -> float:
    """Used pages of a SQLite database, those in its log with them."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    finally:
        connection.close()
    return float((pages - free) * size / 1e6)


def figures(up: Up, samples: list[dict[str, float]]) -> dict[str, Any]:
    """Switch the schedule off, wait for the last runs, and count."""
    nightly = up.deployments()["nightly"]["id"]
    up.ask(f"deployments/{nightly}", {"paused": True}, "PATCH")
    end = time.monotonic() + STUCK
    while _open(due := _due(up)) and time.monotonic() < end:
        time.sleep(5)
    seconds = [run["total_run_time"] for run in due if run["state"]["name"] != "Skipped"]
    warm = samples[min(WARM_UP, len(samples) - 2) :]
    runs = [sample["runs"] for sample in warm]
    growth = {
        name: float(np.polyfit(runs, [sample[name] for sample in warm], 1)[0])
        for name in warm[0]
        if name != "runs"
    }
    return {
        "minutes": len(samples),
        "rows_per_run": ROWS,
        "settings": {**SMALL, **SETTINGS},
        "due": len(due),
        "outcomes": dict(Counter(run["state"]["name"] for run in due)),
        "failed": sum(run["state"]["type"] in ("FAILED", "CRASHED") for run in due),
        "stuck": len(_open(due)),
        "seconds": {"median": median(seconds), "most": max(seconds)},
        "first": warm[0],
        "last": warm[-1],
        "growth_per_run": growth,
    }


def _due(up: Up) -> list[dict[str, Any]]:
    found = up.ask("flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC", "limit": 200})
    return [run for run in found if run["state"]["name"] != "Scheduled"]


def _open(due: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [run for run in due if run["state"]["type"] not in ENDED]
