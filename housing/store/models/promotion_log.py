"""The ledger: one append-only line a decision, numbered without gaps.

Reading it, and writing its next line inside the writer's transaction. What may be decided is for
`registry` (who is champion) and `blocks` (what may not become it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import NoRollbackTarget
from housing.store.database.tables import promotion_log, utc_now

SWITCHES = ("promote", "rollback")
"""Operations that may change the champion; after any other it is who it was."""


@dataclass(frozen=True)
class Authorship:
    """Who decided, for what reason, and in which run."""

    actor: str
    reason: str
    run: int | None = None


def head(connection: Connection) -> Row[Any] | None:
    """The newest line of the ledger, or None: read from SQL, never from a failed look-up."""
    query = sa.select(promotion_log).order_by(promotion_log.c.seq.desc()).limit(1)
    return connection.execute(query).one_or_none()


def champion(connection: Connection) -> int | None:
    """The champion's id, or None before the first promotion."""
    newest = head(connection)
    return None if newest is None else int(newest.to_model)


def current(connection: Connection) -> Row[Any] | None:
    """The line that made the champion what it is, or None before the first promotion."""
    return champion_at(connection, None)


def champion_at(connection: Connection, at: datetime | None) -> Row[Any] | None:
    """The line by which the champion of an instant was that, or None where there was none yet.

    The present one for None: without a clock, which may be behind that of another host.
    """
    query = sa.select(promotion_log).where(promotion_log.c.operation.in_(SWITCHES))
    if at is not None:
        query = query.where(promotion_log.c.at <= at)
    return connection.execute(query.order_by(promotion_log.c.seq.desc()).limit(1)).one_or_none()


def history(connection: Connection, limit: int | None = None) -> Sequence[Row[Any]]:
    """The ledger, newest line first."""
    return connection.execute(
        sa.select(promotion_log).order_by(promotion_log.c.seq.desc()).limit(limit)
    ).all()


def append(
    connection: Connection,
    newest: Row[Any] | None,
    operation: str,
    to_model: int,
    why: Authorship,
    **facts: Any,
) -> int:
    """Write the line after `newest`, the head that the decision was made on; returns its number.

    The driver's IntegrityError where that number is taken: another line came first.
    """
    seq = 1 if newest is None else newest.seq + 1
    connection.execute(
        promotion_log.insert().values(
            seq=seq,
            operation=operation,
            from_model=None if newest is None else newest.to_model,
            to_model=to_model,
            actor=why.actor,
            reason=why.reason,
            run=why.run,
            at=utc_now(),
            **facts,
        )
    )
    return int(seq)


def former_champions(connection: Connection) -> tuple[int, ...]:
    """Models that are or were champion, the current one first, each once."""
    lines = connection.execute(
        sa.select(promotion_log.c.to_model).order_by(promotion_log.c.seq.desc())
    )
    return tuple(dict.fromkeys(lines.scalars()))


def previous_champion(connection: Connection) -> int:
    """Where a rollback without a name goes: what the current champion replaced."""
    stack = _champion_stack(connection)
    if len(stack) < 2:
        raise NoRollbackTarget(why="no champion came before the current one")
    return stack[-2]


def superseded_by_rollback(connection: Connection, target: int) -> tuple[int, ...]:
    """Champions that going back to `target` takes back, the current one first."""
    stack = _champion_stack(connection)
    if target not in stack:
        return tuple(stack[-1:])
    return tuple(reversed(stack[len(stack) - stack[::-1].index(target) :]))


def _champion_stack(connection: Connection) -> list[int]:
    """The champions in force, each above the one that it replaced.

    Undoing is itself a line of the ledger, so the lines are replayed: a promotion pushes, a
    rollback pops down to its target. Twice in a row goes back two.
    """
    stack: list[int] = []
    for line in reversed(history(connection)):
        if line.operation not in SWITCHES:
            continue
        if line.operation == "rollback" and line.to_model in stack:
            while stack[-1] != line.to_model:
                stack.pop()
        else:
            stack.append(line.to_model)
    return stack
