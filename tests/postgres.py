"""A real PostgreSQL that both stores can use: ours and the orchestrator's."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from deployments.server import free_port


def installed() -> Path | None:
    """The folder of the newest one's programs; None where there is none with pg_trgm."""
    found = sorted(Path("/usr/share/postgresql").glob("*/extension/pg_trgm.control"))
    return Path("/usr/lib/postgresql") / found[-1].parts[-3] / "bin" if found else None


class Postgres:
    """The system's PostgreSQL with a cluster of its own, which may be killed.

    Not the one of the wheel: Prefect wants the extension pg_trgm, which wheels leave out.
    """

    def __init__(self, folder: Path) -> None:
        programs = installed()
        if programs is None:
            pytest.skip("there is no PostgreSQL on this machine, e.g. of the package postgresql")
        self.bin, self.data, self.port = programs, folder / "data", free_port()
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

    def new_database(self, name: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]

    def settings(self, ours: str, theirs: str) -> dict[str, str]:
        """Both stores here: our database and the orchestrator's."""
        return {
            "HOUSING_DATABASE_URL": self.url(ours),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.url(theirs, "postgresql+asyncpg"),
        }

    def url(self, database: str, driver: str = "postgresql") -> str:
        return f"{driver}://me@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgres_with(*databases: str) -> Iterator[Postgres]:
    """A running server with these databases, in a folder that goes with it."""
    with TemporaryDirectory(prefix="housing-postgres-") as folder:
        server = Postgres(Path(folder))
        for database in databases:
            server.new_database(database)
        try:
            yield server
        finally:
            server.stop()
