"""Approval requests: one per evaluation, decided once or expired.

A decision is a compare-and-swap on the status, so of two people who decide at once only one
succeeds. Its consequences belong in `pipeline.approval`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.data import datasets
from housing.store.database.tables import approvals, evaluations, utc_now


def request(connection: Connection, *, run: int, evaluation: int, hours: float) -> Row[Any]:
    """Request approval of a promotion, once per evaluation; returns the request.

    A model has one open request: one for an earlier evaluation of it is superseded.
    """
    query = sa.select(approvals).where(approvals.c.evaluation == evaluation)
    if (known := connection.execute(query).one_or_none()) is not None:
        return known
    now = utc_now()
    its = sa.select(evaluations.c.challenger).where(evaluations.c.id == evaluation)
    earlier = sa.select(evaluations.c.id).where(evaluations.c.challenger == its.scalar_subquery())
    pending = approvals.c.status == "pending", approvals.c.evaluation.in_(earlier)
    why = {"decided_by": f"r{run}", "reason": "it asks for the same model"}
    closed = approvals.update().where(*pending).values(status="superseded", decided_at=now, **why)
    connection.execute(closed)
    facts = {"status": "pending", "requested_at": now, "expires_at": now + timedelta(hours=hours)}
    new = approvals.insert().values(run=run, evaluation=evaluation, **facts)
    return connection.execute(new.returning(approvals)).one()


def of_key(connection: Connection, key: str) -> Row[Any] | None:
    """The newest request for any evaluation of these inputs, or None."""
    query = _joined(approvals).where(evaluations.c.key == key)
    return connection.execute(query.order_by(approvals.c.id.desc()).limit(1)).one_or_none()


def _joined(*columns: Any) -> sa.Select[Any]:
    """Columns of requests and of the evaluations that they are about."""
    return sa.select(*columns).join(evaluations, evaluations.c.id == approvals.c.evaluation)


def of_run(connection: Connection, run: int) -> Row[Any] | None:
    """The request of a run with its challenger, champion and version, or None."""
    its = (evaluations.c.challenger, evaluations.c.champion, evaluations.c.version)
    query = _joined(approvals, *its).where(approvals.c.run == run)
    return connection.execute(query).one_or_none()


def pending(connection: Connection, now: datetime) -> Sequence[Row[Any]]:
    """Requests that are pending and not expired at an instant, oldest first."""
    query = _joined(approvals, evaluations.c.challenger, evaluations.c.version)
    open_ = query.where(approvals.c.status == "pending", approvals.c.expires_at > now)
    return connection.execute(open_.order_by(approvals.c.id)).all()


def removed_batches(connection: Connection, row: Row[Any]) -> tuple[int, ...]:
    """Batches of the challenger's rows that are not in the dataset any more."""
    then = datasets.get(connection, row.version).batches
    return tuple(sorted(set(then) - set(datasets.active_members(connection))))


def decide(
    connection: Connection,
    id_: int,
    status: str,
    *,
    by: str,
    reason: str,
    reevaluation: int | None = None,
) -> bool:
    """Decide a pending request; False if another decision was first."""
    its = approvals.update().where(approvals.c.id == id_, approvals.c.status == "pending")
    facts = {"decided_by": by, "reason": reason, "reevaluation": reevaluation}
    done = connection.execute(its.values(status=status, decided_at=utc_now(), **facts))
    return done.rowcount == 1


def approve_all(connection: Connection, challenger: int, by: str, reason: str) -> None:
    """Approve pending requests for this challenger, which is now champion."""
    its = sa.select(evaluations.c.id).where(evaluations.c.challenger == challenger)
    connection.execute(
        approvals.update()
        .where(approvals.c.status == "pending", approvals.c.evaluation.in_(its))
        .values(status="approved", decided_at=utc_now(), decided_by=by, reason=reason)
    )


def expire(connection: Connection, now: datetime) -> Sequence[Row[Any]]:
    """Expire overdue requests and return them. The champion stays."""
    late = approvals.c.status == "pending", approvals.c.expires_at <= now
    end = {"status": "expired", "decided_at": now, "reason": "no decision in time"}
    return connection.execute(
        approvals.update().where(*late).values(**end).returning(approvals)
    ).all()
