"""Leases in SQL: one run at a time, with heartbeat, expiry and a fencing token.

Prefect's run states show what was started; only the lease shows who is alive. Each owner
gets a larger token than the last, and a write that carries an old one fails (`engine.Store`).

A clock that is set never takes the lease from a living owner. On the owner's host its process is
checked. Elsewhere its heartbeat is compared with the database's clock, and an overdue owner is
watched for longer than the pause between heartbeats before the lease passes on.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from housing.errors import HousingError, RunInProgress
from housing.store.database.engine import (
    EXPIRES_AFTER,
    HEARTBEAT,
    RUN,
    Store,
    database_now,
    renew_lease,
)
from housing.store.database.tables import leases

WATCHED = 2.5 * HEARTBEAT
"""How long an overdue owner on another host is watched, by the watcher's monotonic clock."""

_POLL_SECONDS = 1.0
_PROCESSES_ARE_SHOWN = Path("/proc/self/stat").exists()
_ENDED = ("Z", "X")  # zombie, dead: states of /proc/PID/stat

Beat = tuple[int, datetime]
"""An owner's token and last heartbeat: a living owner changes it."""


@dataclass(frozen=True)
class Holder:
    """The process that has the lease."""

    token: int
    owner: str
    host: str
    pid: int
    process_started: float
    run: int | None
    held: bool
    acquired_at: datetime
    heartbeat_at: datetime
    heartbeat_age: timedelta  # by the database's clock

    @property
    def alive(self) -> bool:
        """Whether it may still be alive; on the host of the process, whether it is."""
        if self.is_local:
            return self.held and process_start(self.pid) == self.process_started
        # A heartbeat in the future is one from before the clock was set back.
        return self.held and abs(self.heartbeat_age) < EXPIRES_AFTER

    @property
    def beat(self) -> Beat:
        """Its token and last heartbeat."""
        return self.token, self.heartbeat_at

    def is_free(self, dead_owner: Beat | None) -> bool:
        """Whether the lease is free: released, its process ended, or it is the `dead_owner`'s."""
        return not self.alive and (not self.held or self.is_local or self.beat == dead_owner)

    @property
    def is_local(self) -> bool:
        """Whether its process can be checked from here."""
        return self.host == host_identity() and _PROCESSES_ARE_SHOWN


def holder(connection: Connection, name: str = RUN) -> Holder | None:
    """Who holds the lease, or held it last; None before the first run."""
    row = connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()
    if row is None:
        return None
    facts = {k: v for k, v in row._mapping.items() if k != "name"}
    return Holder(**facts, heartbeat_age=database_now(connection) - row.heartbeat_at)


def dead_owner(store: Store, name: str = RUN) -> Beat | None:
    """Token and last heartbeat of an overdue owner on another host that sends none when watched.

    A clock may have been set, so an overdue owner is watched for `WATCHED`: a living one renews its
    lease meanwhile. None at once if no owner is overdue.
    """
    first = store.query(holder, name)
    if first is None or first.alive or first.is_free(None):
        return None
    deadline = time.monotonic() + WATCHED.total_seconds()
    while time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        now = store.query(holder, name)
        if now is None or now.beat != first.beat:
            return None
    return first.beat


def acquire(store: Store, *, owner: str, name: str = RUN) -> int:
    """Take the lease and return its token; RunInProgress while a living owner has it.

    Where the owner is on another host and overdue, this takes `WATCHED`.
    """
    dead = dead_owner(store, name)
    with store.write() as connection:
        return acquire_in(connection, dead, owner=owner, name=name)


def acquire_in(connection: Connection, dead: Beat | None, *, owner: str, name: str) -> int:
    """`acquire` in a write transaction; `dead` is the `dead_owner`."""
    now, current = database_now(connection), holder(connection, name)
    if current is not None and not current.is_free(dead):
        raise RunInProgress(
            owner=current.owner,
            since=f"{current.acquired_at:%Y-%m-%d %H:%M} UTC",
            heartbeat_age=max(current.heartbeat_age.total_seconds(), 0.0),
        )
    token = 1 if current is None else current.token + 1
    values = {
        "token": token,
        "owner": owner,
        "host": host_identity(),
        "pid": os.getpid(),
        "process_started": process_start(os.getpid()),
        "run": None,
        "held": True,
        "acquired_at": now,
        "heartbeat_at": now,
    }
    if current is None:
        connection.execute(leases.insert().values(name=name, **values))
    else:
        connection.execute(leases.update().where(leases.c.name == name).values(**values))
    return token


def of_run(run: int) -> str:
    """The lease of a run that needs none of the others: it shows that its process is at work."""
    return f"run-{run}"


def forget(connection: Connection, name: str) -> None:
    """Delete the lease of a run that has ended."""
    connection.execute(leases.delete().where(leases.c.name == name))


def renew(store: Store, token: int, name: str = RUN) -> None:
    """Renew the heartbeat; LeaseLost if another owner has the lease."""
    with store.fenced(token, name).write() as connection:
        renew_lease(connection, name)


def set_run(connection: Connection, run: int) -> None:
    """Record the owner's run in the lease, in the transaction that inserts the run."""
    connection.execute(leases.update().where(leases.c.name == RUN).values(run=run))


def release(store: Store, token: int, name: str = RUN) -> None:
    """Give the lease back; a no-op for one that has passed on already."""
    with store.unfenced().write() as connection:
        connection.execute(
            leases.update().where(leases.c.name == name, leases.c.token == token).values(held=False)
        )


@contextmanager
def held_lease(store: Store, *, owner: str, name: str) -> Iterator[Store]:
    """Hold a lease while the block runs; yields the store, fenced by it."""
    token = acquire(store, owner=owner, name=name)
    try:
        with heartbeat(store, token, name):
            yield store.fenced(token, name)
    finally:
        release(store, token, name)


@contextmanager
def heartbeat(store: Store, token: int, name: str = RUN) -> Iterator[None]:
    """Renew the lease from a thread while the block runs."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT.total_seconds()):
            try:
                renew(store, token, name)
            except (HousingError, SQLAlchemyError):
                # Busy or unreachable: the next beat tries again. Lost: the owner's next write
                # raises it; a heartbeat must not stop a run.
                continue

    thread = threading.Thread(target=beat, name="lease-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=HEARTBEAT.total_seconds())


def host_identity() -> str:
    """Where a pid means the same process: a host by name and boot, and in it a space of pids.

    Two hosts, or two containers, may have the same name, and each a process 1.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):  # without them the name must suffice
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def process_start(pid: int) -> float:
    """When a local process began (in the kernel's own ticks), or -1 where there is none.

    A process that has ended and only waits for its parent to notice is none. Where the kernel
    has no /proc it is 0 for all, and the lease ends by expiry only.
    """
    if not _PROCESSES_ARE_SHOWN:
        return 0.0
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return -1.0
    return -1.0 if state in _ENDED else float(rest[18])
