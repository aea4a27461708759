"""The promotion log: one append-only entry per decision, numbered without gaps.

Reads it and writes its next entry in a write transaction. `registry` decides who becomes champion,
`blocks` what may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import NoRollbackTarget
from housing.store.database.tables import promotion_log, utc_now

CHAMPION_CHANGES = ("promote", "rollback")
"""Operations that may change the champion; all others leave it."""


@dataclass(frozen=True)
class Authorship:
    """Who decided, for what reason, and in which run."""

    actor: str
    reason: str
    run: int | None = None


def head(connection: Connection) -> Row[Any] | None:
    """The newest entry, or None if the log is empty."""
    query = sa.select(promotion_log).order_by(promotion_log.c.seq.desc()).limit(1)
    return connection.execute(query).one_or_none()


def champion(connection: Connection) -> int | None:
    """The champion's id, or None before the first promotion."""
    newest = head(connection)
    return None if newest is None else int(newest.to_model)


def current(connection: Connection, at: datetime | None = None) -> Row[Any] | None:
    """The entry that made the champion, that of an instant if given; None if there was none.

    The present one is read without a clock, which may be behind another host's.
    """
    query = sa.select(promotion_log).where(promotion_log.c.operation.in_(CHAMPION_CHANGES))
    if at is not None:
        query = query.where(promotion_log.c.at <= at)
    return connection.execute(query.order_by(promotion_log.c.seq.desc()).limit(1)).one_or_none()


def history(
    connection: Connection, limit: int | None = None, *, model: int | None = None
) -> Sequence[Row[Any]]:
    """All entries, newest first; those about a `model`, if it is given."""
    query = sa.select(promotion_log).order_by(promotion_log.c.seq.desc()).limit(limit)
    if model is not None:
        log = promotion_log.c  # a block names the champion, which stays, and is not about it
        changes = log.operation.not_in(("block", "unblock"))
        either = (log.from_model == model) | (log.to_model == model)
        query = query.where((changes & either) | (log.blocked_model == model))
    return connection.execute(query).all()


def append(
    connection: Connection,
    newest: Row[Any] | None,
    operation: str,
    to_model: int,
    why: Authorship,
    **facts: Any,
) -> int:
    """Write the entry after `newest`, the head the decision was based on; returns its number.

    The driver's IntegrityError if that number is taken, by a writer that did not queue.
    """
    seq = 1 if newest is None else newest.seq + 1
    models = {"from_model": None if newest is None else newest.to_model, "to_model": to_model}
    entry = {"seq": seq, "operation": operation, **models, **vars(why), "at": utc_now(), **facts}
    connection.execute(promotion_log.insert().values(**entry))
    return int(seq)


def former_champions(connection: Connection) -> tuple[int, ...]:
    """Models that are or were champion, the current one first, each once."""
    return tuple(dict.fromkeys(line.to_model for line in history(connection)))


def replaced_champions(connection: Connection) -> tuple[int, ...]:
    """Champions that the current one replaced, the last one first; NoRollbackTarget if none."""
    stack = _champion_stack(connection)
    replaced = tuple(model for model in reversed(stack[:-1]) if model != stack[-1])
    if not replaced:
        raise NoRollbackTarget(why="no champion came before the current one")
    return replaced


def superseded_by_rollback(connection: Connection, target: int) -> tuple[int, ...]:
    """Champions that a rollback to `target` undoes, the current one first, each once."""
    stack = _champion_stack(connection)
    if target not in stack:
        return tuple(stack[-1:])
    undone = stack[len(stack) - stack[::-1].index(target) :]
    return tuple(dict.fromkeys(reversed(undone)))


def _champion_stack(connection: Connection) -> list[int]:
    """Champions that were not rolled back, each above the one it replaced.

    Entries are replayed: a promotion pushes, a rollback pops down to its target, so two rollbacks
    in a row undo two promotions.
    """
    stack: list[int] = []
    for line in reversed(history(connection)):
        if line.operation not in CHAMPION_CHANGES:
            continue
        if line.operation == "rollback" and line.to_model in stack:
            while stack[-1] != line.to_model:
                stack.pop()
        else:
            stack.append(line.to_model)
    return stack
