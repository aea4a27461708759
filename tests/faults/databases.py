"""Databases that can be copied in a moment: a file of SQLite, or one of a PostgreSQL server."""

import time
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy import make_url

RECOVERY_SECONDS = 60.0


class Databases(Protocol):
    """The database that belongs to each home."""

    def url(self, home: Path) -> str:
        """Its address; made if it is not there."""
        ...

    def clone(self, home: Path, copy: Path) -> None:
        """Give the home `copy` a database of the same content."""
        ...

    def close(self, home: Path) -> None:
        """End what is connected to it."""
        ...

    def drop(self, home: Path) -> None:
        """Throw it away."""
        ...

    def wait(self) -> None:
        """Return when it can be used again after a fault."""
        ...


class SqliteFiles:
    """The database is a file in the home, and copied with it."""

    def url(self, home: Path) -> str:
        """Its address."""
        return f"sqlite:///{home / 'housing.db'}"

    def clone(self, home: Path, copy: Path) -> None:
        """Nothing to do."""

    def close(self, home: Path) -> None:
        """Nothing to do."""

    def drop(self, home: Path) -> None:
        """Nothing to do."""

    def wait(self) -> None:
        """Nothing to do."""


class PostgresDatabases:
    """The database is named for the home's folder; copies are made from it as a template."""

    def __init__(self, server: str) -> None:
        self.server = server

    def url(self, home: Path) -> str:
        """Its address; made if it is not there."""
        name = _name(home)
        with psycopg.connect(self.server, autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, (name,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return str(make_url(self.server).set(database=name).render_as_string(hide_password=False))

    def clone(self, home: Path, copy: Path) -> None:
        """A copy of the home's database for the home `copy`."""
        self.close(home)
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {_name(copy)} WITH (FORCE)")  # type: ignore[arg-type]
            connection.execute(
                f"CREATE DATABASE {_name(copy)} TEMPLATE {_name(home)} STRATEGY file_copy"  # type: ignore[arg-type]
            )

    def close(self, home: Path) -> None:
        """A template must have nobody connected to it."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (_name(home),),
            )

    def drop(self, home: Path) -> None:
        """Throw it away."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {_name(home)} WITH (FORCE)")  # type: ignore[arg-type]

    def wait(self) -> None:
        """A server that crashed mends itself within seconds."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                psycopg.connect(self.server).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return


def _name(home: Path) -> str:
    return f"faults_{home.name}"
