"""The metadata store: one engine, read and write transactions on SQLite and PostgreSQL.

The only table used here is `leases`: every fenced write checks its token.

Writers queue: BEGIN IMMEDIATE on SQLite, an advisory lock on PostgreSQL. Write transactions are
short (bytes are stored before them), and a single order of writes matters more than overlap.
"""

import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from housing.errors import (
    DiskFull,
    HousingError,
    LeaseLost,
    SettingsInvalid,
    StoreBusy,
    StoreUnavailable,
)
from housing.notify import NotifySettings
from housing.store.database.tables import leases, utc_now
from housing.store.objects.blobs import BlobStore
from housing.store.objects.signing import Signer

P = ParamSpec("P")
T = TypeVar("T")

BUSY_SECONDS = 30.0
WAL_PAUSE_SECONDS = 0.01
WRITE_LOCK = 0x486F7573  # any constant: the advisory lock that stands for "the writer"
RUN, MAINTENANCE, MONITOR, MIRROR = LEASES = "run", "maintenance", "monitor", "mirror"
"""Leases: one for runs that train and promote, one for backups and pruning, one for the monitor,
one for the mirror."""

EXPIRES_AFTER = timedelta(seconds=60)
HEARTBEAT = timedelta(seconds=10)
_URL_FORMS = "use sqlite:///FILE or postgresql://USER@HOST/NAME."
_LOCK_TIMEOUT, _DISK_FULL = "55P03", "53100"  # SQLSTATEs: PostgreSQL's words are translated
LEAST_FREE = 1_000_000
"""Bytes; with fewer, SQLite may be unable to open a database."""


@dataclass(frozen=True)
class Store:
    """An open store: SQL, blobs, and where backups and alerts go; `token` fences its writes."""

    engine: Engine
    blobs: BlobStore
    backup: BlobStore
    signer: Signer
    notify: NotifySettings = field(default_factory=lambda: NotifySettings.model_validate({}))
    token: int | None = None
    lease: str = RUN  # the one that `token` is of

    @property
    def url(self) -> str:
        """The database's URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with _translate_errors(self.engine), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # whose default sees one state a statement
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def query(
        self, act: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What one query returns, in a read transaction of its own."""
        with self.read() as connection:
            return act(connection, *args, **kwargs)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """The writer's transaction: all of it or nothing; LeaseLost if the token is stale."""
        with _translate_errors(self.engine), self.engine.connect() as raw:
            connection = raw.execution_options(housing_write=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    lock = sa.select(sa.func.pg_advisory_xact_lock(WRITE_LOCK))
                    connection.execute(lock)
                if self.token is None:
                    yield connection
                    return
                began = time.monotonic()
                _check_fence(connection, self.lease, self.token)
                yield connection
                if time.monotonic() - began > HEARTBEAT.total_seconds():
                    # The heartbeat waited for this transaction, as others did.
                    renew_lease(connection, self.lease)

    def fenced(self, token: int, lease: str = RUN) -> "Store":
        """The same store, whose writes fail once the lease has passed to another owner."""
        return replace(self, token=token, lease=lease)

    def unfenced(self) -> "Store":
        """The same store for writes that need no lease."""
        return replace(self, token=None)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def renew_lease(connection: Connection, name: str) -> None:
    """Renew the heartbeat, in a transaction that has checked the owner."""
    beat = leases.update().where(leases.c.name == name)
    connection.execute(beat.values(heartbeat_at=database_now(connection)))


def database_now(connection: Connection) -> datetime:
    """The instant by the database's clock, which is one for all its hosts.

    SQLite has none of its own, and is for the processes of one host.
    """
    if connection.dialect.name != "postgresql":
        return utc_now()
    now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return now


def _check_fence(connection: Connection, name: str, token: int) -> None:
    row = connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()
    if row is None or row.token != token or not row.held:
        owner = "it was released" if row is None or not row.held else f"{row.owner} holds it now"
        raise LeaseLost(why=owner)


def create_engine(url: str) -> Engine:
    """An engine for `url`; SettingsInvalid for one that no driver understands."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not the parser's own words, nor the cause: they may hold a part of the password.
        raise SettingsInvalid(
            faults=f"HOUSING_DATABASE_URL is not a database URL; {_URL_FORMS}"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise SettingsInvalid(
                faults="HOUSING_DATABASE_URL: a database in memory would forget everything."
            )
        return _configured(sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}))
    if backend == "postgresql":
        options: dict[str, Any] = {
            "connect_timeout": 10,
            "client_encoding": "utf8",  # or a database without an encoding answers in bytes
            "options": f"-c lock_timeout={int(BUSY_SECONDS * 1000)} -c timezone=UTC",
        }
        parsed = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(parsed, connect_args=options, pool_pre_ping=True)
    raise SettingsInvalid(faults=f"HOUSING_DATABASE_URL: {backend} is not supported; {_URL_FORMS}")


_PRAGMAS = (
    "synchronous=FULL",
    "foreign_keys=ON",
    "recursive_triggers=ON",  # or REPLACE would delete past the triggers of append-only tables
    "cache_size=-65536",  # KiB; the default writes pages of a large split ledger many times over
)


def empty_engine(shown: Engine) -> Engine:
    """A new SQLite database in memory, until it is disposed of; messages show the URL of `shown`.

    Its connections share one state.
    """
    name = f"file:{uuid.uuid4().hex}?mode=memory&cache=shared"
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(name, uri=True, check_same_thread=False),
        poolclass=sa.QueuePool,
    )
    engine.url = shown.url
    return _configured(engine)


def _configured(engine: Engine) -> Engine:
    """With our pragmas and transactions on each connection to SQLite."""

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # `_begin` sends BEGIN
        _write_ahead(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("housing_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which stays on once a file has it.

    SQLite ignores its timeout here: of two processes that open a new file at the same instant,
    one gets "database is locked" at once.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(WAL_PAUSE_SECONDS)
        else:
            return


@contextmanager
def _translate_errors(engine: Engine) -> Iterator[None]:
    """Translate a driver's errors into errors with a next step."""
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        # `bulk` talks to the driver itself, whose errors then come unwrapped.
        known = translate_error(engine, error.orig if isinstance(error, DBAPIError) else error)
        if known is None:
            raise
        raise known from error


def translate_error(engine: Engine, error: BaseException | None) -> HousingError | None:
    """The expected error behind a driver's, or None for a defect of this program."""
    location = engine.url.render_as_string(hide_password=True)
    text = (str(error).strip() or repr(error)).splitlines()[0]
    state = getattr(error, "sqlstate", None)
    if "database is locked" in text or state == _LOCK_TIMEOUT:
        return StoreBusy(
            what=location, seconds=BUSY_SECONDS, next_step="`housing status` shows who is running."
        )
    if "disk is full" in text or state == _DISK_FULL or _has_no_space(engine, text):
        return DiskFull(location=location)
    if "disk image is malformed" in text or "file is not a database" in text:
        next_step = "Restore it with `housing backup restore`."
    elif isinstance(error, engine.dialect.loaded_dbapi.OperationalError):
        next_step = "Check that the server runs and that HOUSING_DATABASE_URL names it."
        if engine.dialect.name == "sqlite":
            folder = Path(engine.url.database or ".").parent
            next_step = (
                f"Check that {folder} exists and is writable, or set HOUSING_HOME elsewhere."
            )
    else:
        return None
    return StoreUnavailable(what=f"The database {location}", why=text, next_step=next_step)


def _has_no_space(engine: Engine, text: str) -> bool:
    """Whether a full disk is behind an error: SQLite cannot make its log and index there."""
    if "disk I/O error" not in text and "unable to open database file" not in text:
        return False
    try:
        return shutil.disk_usage(Path(engine.url.database or ".").parent).free < LEAST_FREE
    except OSError:
        return False
