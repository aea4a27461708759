"""What another system was sent: the table `mirrored`, and the queries for what is still to be sent.

`operations.mirror` sends it; each row is written once its object is complete there.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.database.engine import database_now
from housing.store.database.tables import approvals, mirrored, models, promotion_log, runs
from housing.store.runs.runs import RETRAINING

OBJECTS = ("experiment", "run", "model", "version", "entry", "alias")
"""Kinds of rows that stand for an object there."""


def get(connection: Connection, kind: str, ours: str = "") -> Row[Any] | None:
    """One row, or None."""
    query = sa.select(mirrored).where(mirrored.c.kind == kind, mirrored.c.ours == ours)
    return connection.execute(query).one_or_none()


def put(connection: Connection, kind: str, ours: str, theirs: str, digest: str = "") -> None:
    """Insert or replace one row."""
    this = mirrored.c.kind == kind, mirrored.c.ours == ours
    connection.execute(mirrored.delete().where(*this))
    facts = {"theirs": theirs, "digest": digest, "at": database_now(connection)}
    connection.execute(mirrored.insert().values(kind=kind, ours=ours, **facts))


def forget(connection: Connection, *kinds: str) -> None:
    """Delete all rows of some kinds."""
    connection.execute(mirrored.delete().where(mirrored.c.kind.in_(kinds)))


def sent(connection: Connection, kind: str) -> Sequence[Row[Any]]:
    """All rows of a kind."""
    return connection.execute(sa.select(mirrored).where(mirrored.c.kind == kind)).all()


def failures(connection: Connection) -> tuple[int, timedelta]:
    """Failed attempts since the last that succeeded, and the time since the last of them."""
    row = get(connection, "failures")
    if row is None:
        return 0, timedelta()
    return int(row.theirs), abs(database_now(connection) - row.at)


def start(connection: Connection) -> datetime | None:
    """The instant before which runs ended that are not sent; None: all are."""
    row = get(connection, "start")
    return None if row is None else datetime.fromisoformat(row.theirs)


# --- what is to be sent ---------------------------------------------------------------------


def _unsent(kind: str, ours: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(mirrored.c.kind == kind, mirrored.c.ours == ours)


def _trained() -> tuple[sa.ColumnElement[bool], ...]:
    """SQL conditions: a run that retrained, or failed to, and has ended."""
    ended = runs.c.status.in_(("completed", "failed", "cancelled", "crashed"))
    new = runs.c.outcome.is_(None) | (runs.c.outcome != "nothing new")
    return runs.c.kind.in_(RETRAINING), ended, new, runs.c.finished_at.is_not(None)


def runs_to_send(connection: Connection) -> Sequence[Row[Any]]:
    """Ended runs that trained, oldest first, that were not sent, or may have been decided on since.

    A decision on an approval changes the outcome of a run that has ended.
    """
    approval_requested = sa.exists().where(approvals.c.run == runs.c.id)
    to_send = _unsent("run", sa.literal("r").concat(sa.cast(runs.c.id, sa.String)))
    query = sa.select(runs).where(*_trained(), to_send | approval_requested)
    if (first := start(connection)) is not None:
        query = query.where(runs.c.finished_at >= first)
    return connection.execute(query.order_by(runs.c.id)).all()


def entries_to_send(connection: Connection) -> Sequence[Row[Any]]:
    """Entries of the promotion log about models, oldest first, that were not sent."""
    to_send = _unsent("entry", sa.cast(promotion_log.c.seq, sa.String))
    query = sa.select(promotion_log).where(to_send, promotion_log.c.blocked_batch.is_(None))
    if (first := start(connection)) is not None:
        query = query.where(promotion_log.c.at >= first)
    return connection.execute(query.order_by(promotion_log.c.seq)).all()


def run_of_model(connection: Connection, model: Row[Any]) -> Row[Any] | None:
    """The run that a model is shown with: the first completed one whose challenger it is.

    Else the one that fitted it, once it has ended; None before.
    """
    its = runs.c.challenger == model.id
    first = sa.select(runs).where(*_trained(), its, runs.c.status == "completed")
    found = connection.execute(first.order_by(runs.c.id).limit(1)).one_or_none()
    if found is None:
        fitted = sa.select(runs).where(runs.c.id == model.run, runs.c.finished_at.is_not(None))
        found = connection.execute(fitted).one_or_none()
    return found


def run_of_search(connection: Connection, search: int) -> int | None:
    """The run that trials are shown with: the first completed one with a model of their search."""
    query = (
        sa.select(sa.func.min(runs.c.id))
        .join(models, models.c.id == runs.c.challenger)
        .where(*_trained(), runs.c.status == "completed", models.c.search == search)
    )
    found: int | None = connection.scalar(query)
    return found
