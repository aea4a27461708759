"""Who may run the night: a lease in SQL with heartbeat, expiry and a fencing token.

The orchestrator's run states say what was begun; only the lease says who is alive. Each owner
gets a larger token than the last, and a write that carries an old one fails (`engine.Store`).
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from housing.errors import AnotherNightRuns, HousingError
from housing.store.engine import EXPIRES_AFTER, HEARTBEAT, NIGHT, Store, renew_lease
from housing.store.tables import leases, utc_now

_ENDED = ("Z", "X")  # zombie, dead: states of /proc/PID/stat


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
    expires_at: datetime

    def alive(self, now: datetime) -> bool:
        """Whether it may still be at work: not expired, and where we can look, still running."""
        if not self.held or now >= self.expires_at:
            return False
        if self.host != here():
            return True
        return process_start(self.pid) == self.process_started


def holder(connection: Connection, name: str = NIGHT) -> Holder | None:
    """Who holds the lease, or held it last; None before the first night."""
    row = connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()
    if row is None:
        return None
    return Holder(**{k: v for k, v in row._mapping.items() if k != "name"})


def acquire(store: Store, *, owner: str, name: str = NIGHT) -> int:
    """Take the lease and return its token; AnotherNightRuns while a living owner has it."""
    with store.write() as connection:
        now, current = utc_now(), holder(connection, name)
        if current is not None and current.alive(now):
            raise AnotherNightRuns(
                owner=current.owner,
                since=f"{current.acquired_at:%Y-%m-%d %H:%M} UTC",
                heard=(now - current.heartbeat_at).total_seconds(),
            )
        token = 1 if current is None else current.token + 1
        values = {
            "token": token,
            "owner": owner,
            "host": here(),
            "pid": os.getpid(),
            "process_started": process_start(os.getpid()),
            "run": None,
            "held": True,
            "acquired_at": now,
            "heartbeat_at": now,
            "expires_at": now + EXPIRES_AFTER,
        }
        if current is None:
            connection.execute(leases.insert().values(name=name, **values))
        else:
            connection.execute(leases.update().where(leases.c.name == name).values(**values))
        return token


def renew(store: Store, token: int, name: str = NIGHT) -> None:
    """Say that the owner is alive; LeaseLost if it is no longer the owner."""
    with store.fenced(token, name).write() as connection:
        renew_lease(connection, name)


def name_run(connection: Connection, run: int) -> None:
    """Say in the lease which run its owner is at; in the transaction that inserts the run."""
    connection.execute(leases.update().where(leases.c.name == NIGHT).values(run=run))


def release(store: Store, token: int, name: str = NIGHT) -> None:
    """Give the lease back; a no-op for one that has passed on already."""
    with store.unfenced().write() as connection:
        connection.execute(
            leases.update().where(leases.c.name == name, leases.c.token == token).values(held=False)
        )


@contextmanager
def holding(store: Store, *, owner: str, name: str) -> Iterator[Store]:
    """Hold a lease while the block runs; yields the store, fenced by it."""
    token = acquire(store, owner=owner, name=name)
    try:
        with beating(store, token, name):
            yield store.fenced(token, name)
    finally:
        release(store, token, name)


@contextmanager
def beating(store: Store, token: int, name: str = NIGHT) -> Iterator[None]:
    """Renew the lease from a thread while the block runs."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT.total_seconds()):
            try:
                renew(store, token, name)
            except (HousingError, SQLAlchemyError):
                # Busy or unreachable: the next beat tries again. Lost: the owner's next write
                # says so; a heartbeat must not be what stops a night.
                continue

    thread = threading.Thread(target=beat, name="lease-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=HEARTBEAT.total_seconds())


def here() -> str:
    """Where a pid means the same process: a host by name and boot, and in it a space of pids.

    Two hosts, or two containers, may have the same name, and each a process 1.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):  # a kernel that does not tell: then the name has to do
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def process_start(pid: int) -> float:
    """When a local process began (in the kernel's own ticks), or -1 where there is none.

    A process that has ended and only waits for its parent to notice is none. Where the kernel
    does not tell (no /proc), a living pid counts as the owner: the lease then ends by expiry only.
    """
    if not Path("/proc/self/stat").exists():
        return 0.0
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return -1.0
    return -1.0 if state in _ENDED else float(rest[18])
