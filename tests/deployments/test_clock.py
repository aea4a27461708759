"""A schedule that fires by itself, on SQLite; nights with both stores on a real PostgreSQL.

The second also loses its database in the middle of a night.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from deployments.server import free_port
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


class Postgres:
    """The system's PostgreSQL with a cluster of this test's own, which may be killed.

    Not the one of the wheel: Prefect wants the extension pg_trgm, which the wheel leaves out.
    """

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        if not found:
            pytest.skip("there is no PostgreSQL on this machine, e.g. of the package postgresql")
        self.bin, self.data, self.port = found[-1].parent, folder / "data", free_port()
        self.rights = ()
        if os.geteuid() == 0:  # it does not run as root
            folder.chmod(0o755)
            self.data.mkdir()
            shutil.chown(self.data, "postgres", "postgres")
            self.rights = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        self._run("initdb", "--username=me", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.rights, str(self.bin / program), "-D", str(self.data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        options = f"-c port={self.port} -c unix_socket_directories={self.data}"
        self._run("pg_ctl", "-w", "-l", str(self.data / "log"), "-o", options, "start")

    def kill(self) -> None:
        """kill -9 of the postmaster; its children end by themselves."""
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def url(self, database: str, driver: str = "postgresql") -> str:
        return f"{driver}://me@127.0.0.1:{self.port}/{database}"


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with TemporaryDirectory(prefix="housing-postgres-") as folder:
        server = Postgres(Path(folder))
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            for database in ("ours", "theirs"):
                connection.execute(f"CREATE DATABASE {database}")  # type: ignore[arg-type]
        yield server
        server.stop()


@pytest.mark.slow
def test_both_stores_on_postgresql_which_dies_in_the_middle_of_a_night(
    tmp_path: Path, postgres: Postgres
) -> None:
    settings = {
        **EVERY_MINUTE,
        "HOUSING_SEARCH__FAMILIES": "forest",
        "HOUSING_SEARCH__N_ITER": "40",
        "HOUSING_DATABASE_URL": postgres.url("ours"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url("theirs", "postgresql+asyncpg"),
    }
    up = Up(tmp_path / "home", settings)
    landing_rows(0, 600).to_csv(up.home / "landing" / "a.csv", index=False)
    try:
        night = until(lambda: _running(up), 150, "the clock started no night")
        up.searching(night)
        postgres.kill()
        died = time.monotonic()
        time.sleep(5)
        postgres.start()
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
