"""What was run: one row a run, one row a step of it. Runs that died are marked, never deleted."""

import getpass
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from housing.notify import Message
from housing.records import BatchSummary, Event, StepTime
from housing.store.database.engine import Store, database_now
from housing.store.database.tables import row_of, run_steps, runs
from housing.store.runs import lease, outbox


def actor() -> str:
    """The user of this process as runs and decisions record it: user@host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def start(
    connection: Connection, kind: str, parameters: dict[str, Any], flow_run: str | None = None
) -> int:
    """Record the start of a run; returns its id."""
    return _insert(connection, kind, parameters, status="running", flow_run=flow_run)


def record_not_begun(
    connection: Connection, kind: str, parameters: dict[str, Any], status: str, why: str
) -> int:
    """Record a run that was requested ("refused") or due ("missed"); returns its id."""
    return _insert(connection, kind, parameters, status=status, error=why)


def _insert(connection: Connection, kind: str, parameters: dict[str, Any], **facts: Any) -> int:
    now = database_now(connection)
    values = {"kind": kind, "parameters": parameters, "actor": actor(), "started_at": now}
    if facts["status"] != "running":
        facts["finished_at"] = now
    new = runs.insert().values(**values, **facts).returning(runs.c.id)
    return int(connection.execute(new).scalar_one())


def note(store: Store, run: int, **facts: Any) -> None:
    """Record facts about a run: version, challenger, evaluation, ..."""
    with store.write() as connection:
        note_in(connection, run, **facts)


def note_in(connection: Connection, run: int, **facts: Any) -> None:
    """As `note`, in a write transaction."""
    connection.execute(runs.update().where(runs.c.id == run).values(**facts))


def note_step(store: Store, run: int, step: StepTime) -> None:
    """Record how long one step took."""
    with store.write() as connection:
        position = connection.execute(
            sa.select(sa.func.count()).select_from(run_steps).where(run_steps.c.run == run)
        ).scalar_one()
        connection.execute(run_steps.insert().values(run=run, position=position, **vars(step)))


def finish(
    store: Store, run: int, status: str, *, alert: Message | None = None, **facts: Any
) -> None:
    """Record the end of a run with its alert; of a failed run that is its error."""
    with store.write() as connection:
        note_in(connection, run, status=status, finished_at=_end(connection), **facts)
        if status == "failed" and get(connection, run).kind in REPORTED:
            alert = Message(Event.FAILED, facts["error"], f"r{run}")
        if alert is not None:
            outbox.add(connection, store, alert, f"r{run}")


def _end(connection: Connection) -> sa.ColumnElement[datetime]:
    """The present instant, by the database's clock as that of the start: hosts' clocks differ.

    Never before the run's start: SQLite has only the clock of its host, which may be set back.
    """
    now = sa.literal(database_now(connection), runs.c.finished_at.type)
    return sa.case((runs.c.started_at > now, runs.c.started_at), else_=now)


def interruption(error: BaseException) -> str:
    """How a run was interrupted, for people."""
    ctrl_c = isinstance(error, KeyboardInterrupt)
    return "interrupted with Ctrl-C" if ctrl_c else "stopped by a signal"


@contextmanager
def recorded(store: Store, kind: str, parameters: dict[str, Any]) -> Iterator[int]:
    """Record a run that may overlap with others; it ends with the block, or by its exception.

    It holds a lease of its own, which shows that its process is at work.
    """
    with store.write() as connection:
        run = start(connection, kind, parameters)
        name = lease.of_run(run)
        token = lease.acquire_in(connection, None, owner=f"the {kind} run of {actor()}", name=name)
    try:
        with lease.heartbeat(store, token, name):
            yield run
    except Exception as error:
        finish(store, run, "failed", error=str(error) or type(error).__name__)
        raise
    except BaseException as error:
        finish(store, run, "cancelled", error=f"{interruption(error)}.")
        raise
    finally:
        with store.write() as connection:
            lease.forget(connection, name)


def mark_dead(store: Store) -> Sequence[Row[Any]]:
    """Mark runs whose process is gone as crashed, with their alerts; returns them.

    A run that needs the run lease and is not its living holder's cannot be at work. Where the
    holder is on another host and overdue, this takes `lease.WATCHED`.
    """
    # The watchdog asks every few seconds: no lock for that.
    if not store.query(dead_runs):
        return []
    dead_owner = lease.dead_owner(store)
    with store.write() as connection:
        current = lease.holder(connection)
        gone = _without_own_lease(connection)
        for run in gone:
            lease.forget(connection, lease.of_run(run))
        if current is None or current.alive or current.is_free(dead_owner):
            gone += _without_run_lease(connection)
        # else: it renewed its lease, or was not watched long enough
        where = runs.c.id.in_(gone)
        dead = connection.execute(sa.select(runs).where(where)).all()
        ended = {"finished_at": _end(connection), **DEAD}
        connection.execute(runs.update().where(where).values(**ended))
        for row in dead:
            name, text = f"r{row.id}", "The next run resumes from the last completed step."
            text = f"The {row.kind} run {name} was interrupted: its process is gone. {text}"
            if row.kind in REPORTED:
                outbox.add(connection, store, Message(Event.FAILED, text, name), name)
        return dead


DEAD = {"status": "crashed", "error": "the process is gone"}
"""Status and error of a run whose process is gone."""


def dead_runs(connection: Connection) -> Sequence[int]:
    """Runs of any kind that are marked running and whose process is gone."""
    return [*_without_run_lease(connection), *_without_own_lease(connection)]


def _without_run_lease(connection: Connection) -> list[int]:
    current = lease.holder(connection)
    found = _running(connection, needs_run_lease=True)
    if current is None or not current.alive:
        return found
    if current.run is None:
        return []  # it has just begun, and its run is not in the lease yet
    return [run for run in found if run != current.run]


def _without_own_lease(connection: Connection) -> list[int]:
    holders = {
        run: lease.holder(connection, lease.of_run(run))
        for run in _running(connection, needs_run_lease=False)
    }
    return [run for run, holder in holders.items() if holder is None or not holder.alive]


def _running(connection: Connection, *, needs_run_lease: bool) -> list[int]:
    leased = runs.c.kind.in_(REPORTED)
    where = runs.c.status == "running", leased if needs_run_lease else ~leased
    return list(connection.scalars(sa.select(runs.c.id).where(*where)))


RETRAINING = ("nightly", "backfill")
"""Kinds of run that ingest rows and retrain."""

MANUAL = ("judge", "promote")
"""Kinds of run in which a person chose the model."""

LEASED = (*RETRAINING, *MANUAL)
"""Kinds of run that hold the run lease."""

REPORTED = (*LEASED, "prune")
"""Kinds of run that need the run lease and whose failure is reported: of any other, a person waits
for the end."""


def newest_of(connection: Connection, flow_run: str) -> Row[Any] | None:
    """The last row that a run of the orchestrator's made, or None where it made none."""
    query = sa.select(runs).where(runs.c.flow_run == flow_run).order_by(runs.c.id.desc())
    return connection.execute(query.limit(1)).one_or_none()


def get(connection: Connection, run: int) -> Row[Any]:
    """One run; UnknownId where there is none."""
    return row_of(connection, "r", run)


def steps(connection: Connection, run: int) -> tuple[StepTime, ...]:
    """The steps of a run, in order."""
    query = sa.select(run_steps).where(run_steps.c.run == run).order_by(run_steps.c.position)
    return tuple(StepTime(r.name, r.seconds, r.detail) for r in connection.execute(query))


def skipped_files_since(connection: Connection, run: int) -> tuple[BatchSummary, ...]:
    """Files that runs after `run` could not read, or not yet; each once, as it was last."""
    query = sa.select(runs.c.skipped_files).where(
        runs.c.id > run, runs.c.skipped_files.is_not(None)
    )
    found: dict[tuple[str, str], BatchSummary] = {}
    for left in connection.scalars(query.order_by(runs.c.id)):
        batches = TypeAdapter(tuple[BatchSummary, ...]).validate_python(left)
        found |= {(batch.source, batch.name): batch for batch in batches}
    return tuple(found.values())


def last_completed_retraining(connection: Connection) -> Row[Any] | None:
    """The newest completed run that retrains, or None."""
    query = (
        sa.select(runs)
        .where(runs.c.kind.in_(RETRAINING), runs.c.status == "completed")
        .order_by(runs.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()
