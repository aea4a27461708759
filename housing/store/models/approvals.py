"""Promotions that wait for a person: asked once an evaluation, decided once, expired in time.

A decision is a compare-and-swap on the status, so of two people who decide at once one is told
that the other was first. What a decision brings about belongs to `steps.approval`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import NotPossible
from housing.store.database.tables import approvals, evaluations, utc_now


def ask(connection: Connection, *, run: int, evaluation: int, hours: float) -> Row[Any]:
    """Have a promotion wait for a person; asked again for the same evaluation, nothing changes."""
    known = of_evaluation(connection, evaluation)
    if known is None:
        now = utc_now()
        connection.execute(
            approvals.insert().values(
                run=run,
                evaluation=evaluation,
                status="pending",
                requested_at=now,
                expires_at=now + timedelta(hours=hours),
            )
        )
        known = of_evaluation(connection, evaluation)
    if known is None:
        raise NotPossible(what="Asking for approval", why="it was written and is not there.")
    return known


def of_evaluation(connection: Connection, evaluation: int) -> Row[Any] | None:
    """What was asked about an evaluation, or None where nobody was."""
    query = sa.select(approvals).where(approvals.c.evaluation == evaluation)
    return connection.execute(query).one_or_none()


def of_key(connection: Connection, key: str) -> Row[Any] | None:
    """What was asked last about any evaluation of these inputs, or None where nobody was."""
    query = (
        sa.select(approvals)
        .join(evaluations, evaluations.c.id == approvals.c.evaluation)
        .where(evaluations.c.key == key)
        .order_by(approvals.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def of_run(connection: Connection, run: int) -> Row[Any] | None:
    """What a run asked, or None; with the evaluation's challenger, champion and version."""
    query = (
        sa.select(
            approvals, evaluations.c.challenger, evaluations.c.champion, evaluations.c.version
        )
        .join(evaluations, evaluations.c.id == approvals.c.evaluation)
        .where(approvals.c.run == run)
    )
    return connection.execute(query).one_or_none()


def pending(connection: Connection, now: datetime) -> Sequence[Row[Any]]:
    """All that wait at an instant and have not expired by then, oldest first."""
    query = (
        sa.select(approvals, evaluations.c.challenger, evaluations.c.version)
        .join(evaluations, evaluations.c.id == approvals.c.evaluation)
        .where(approvals.c.status == "pending", approvals.c.expires_at > now)
        .order_by(approvals.c.id)
    )
    return connection.execute(query).all()


def decide(
    connection: Connection,
    id_: int,
    status: str,
    *,
    by: str,
    reason: str,
    reevaluation: int | None = None,
    expected: str = "pending",
) -> bool:
    """Change the status from `expected`; False where another was first."""
    done = connection.execute(
        approvals.update()
        .where(approvals.c.id == id_, approvals.c.status == expected)
        .values(
            status=status,
            decided_at=utc_now(),
            decided_by=by,
            reason=reason,
            reevaluation=reevaluation,
        )
    )
    return done.rowcount == 1


def answer_all(connection: Connection, challenger: int, by: str, reason: str) -> None:
    """Approve whatever waits for this challenger, which is champion now."""
    its = sa.select(evaluations.c.id).where(evaluations.c.challenger == challenger)
    connection.execute(
        approvals.update()
        .where(approvals.c.status == "pending", approvals.c.evaluation.in_(its))
        .values(status="approved", decided_at=utc_now(), decided_by=by, reason=reason)
    )


def expire(connection: Connection, now: datetime) -> Sequence[Row[Any]]:
    """Drop what waited too long; returns it. The champion stays."""
    where = sa.and_(approvals.c.status == "pending", approvals.c.expires_at <= now)
    late = connection.execute(sa.select(approvals).where(where)).all()
    connection.execute(
        approvals.update()
        .where(where)
        .values(status="expired", decided_at=now, reason="no decision in time")
    )
    return late
