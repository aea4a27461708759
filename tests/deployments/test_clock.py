"""A schedule that fires by itself, and then `housing retrain` beside it; on either database.

A slow one loses PostgreSQL, with both stores in it, in the middle of a run.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.results import save_if_asked
from tests.fixtures.housing_up import Up, until
from tests.fixtures.postgresql import Postgres, installed, postgres_with
from tests.fixtures.small_settings import landing_rows

pytestmark = [
    pytest.mark.system,
    pytest.mark.prefect,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("clock"),
]

KILLED = "PostgreSQL, both stores, for 5 s (`tests/deployments/test_clock.py`)"
EVERY_MINUTE = {"HOUSING_SCHEDULES__RETRAIN": "* * * * *"}


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with postgres_with("ours", "theirs") as server:
        yield server


def _nightly_runs(up: Up) -> list[dict[str, Any]]:
    try:
        found = up.housing("runs")
    except subprocess.CalledProcessError:  # its database is away
        return []
    return [run for run in found if run["kind"] == "nightly"]


# Where both can be had, the short form is of PostgreSQL: test_up.py has a server on SQLite.
@pytest.mark.parametrize(
    "database",
    [
        pytest.param("sqlite", marks=pytest.mark.slow if installed() else ()),
        pytest.param("postgresql", marks=pytest.mark.twin),
    ],
)
def test_the_schedule_starts_a_run_without_a_person(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    settings = dict(EVERY_MINUTE)
    if database == "postgresql":
        settings |= request.getfixturevalue("postgres").settings("ours", "theirs")
    up = Up(tmp_path / "home", settings)
    landing_rows(0, 600).to_csv(up.home / "landing" / "a.csv", index=False)
    try:
        found = until(
            lambda: [run for run in _nightly_runs(up) if run["status"] == "completed"],
            600,
            "no run came to its end by itself",
        )
        assert found[-1]["outcome"] in ("promoted", "kept", "inconclusive")
        wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        runs = until(  # Prefect learns of the end after the store
            lambda: up.ask("flow_runs/filter", wanted), 60, "no run is completed in Prefect"
        )
        assert any(run["auto_scheduled"] for run in runs), "a person started it"
        by_hand = until(lambda: _retrained(up), 300, "a run of the clock is always in the way")
        assert by_hand["outcome"] in ("nothing new", "promoted", "kept", "inconclusive")
        assert (up.home / "housing.db").exists() == (database == "sqlite")
    finally:
        up.stop()
        print(up.output())


@pytest.mark.slow
def test_both_stores_on_postgresql_which_dies_in_the_middle_of_a_run(
    tmp_path: Path, postgres: Postgres
) -> None:
    settings = {
        **EVERY_MINUTE,
        "HOUSING_SEARCH__FAMILIES": "forest",
        "HOUSING_SEARCH__N_TRIALS": "40",
        **postgres.settings("ours", "theirs"),
    }
    up = Up(tmp_path / "home", settings)
    landing_rows(0, 600).to_csv(up.home / "landing" / "a.csv", index=False)
    try:
        flow_run = until(lambda: _running(up), 600, "the clock started no run")
        up.searching(flow_run)
        postgres.kill()
        died = time.monotonic()
        time.sleep(5)
        postgres.start()
        found = until(
            lambda: [run for run in _nightly_runs(up) if run["status"] == "completed"],
            600,
            "no run came to its end after PostgreSQL had died",
        )
        seconds = round(time.monotonic() - died)
        print(f"a run was completed {seconds} s after the death; {found}")
        became = up.ended(flow_run)["state"]["name"]
        save_if_asked(
            "kill-recovery-postgresql",
            {"rows": [{"killed": KILLED, "night": became, "seconds": seconds}]},
        )
    finally:
        up.stop()
        print(up.output())


def _running(up: Up) -> dict[str, Any] | None:
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    found = up.ask("flow_runs/filter", wanted)
    return found[0] if found else None


def _retrained(up: Up) -> dict[str, Any] | None:
    """`housing retrain`, through the server of `up`; None while another run runs."""
    try:
        found: dict[str, Any] = up.housing("retrain")
    except subprocess.CalledProcessError:
        return None
    return found
