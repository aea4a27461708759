"""Models, what was measured of them, and the ledger that says which one is champion.

The ledger is append-only and numbered without gaps: whoever inserts the next number first has
won, on either database. A blob is durable before any row that names it is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from housing.errors import ChampionChanged, NoRollbackTarget, NotPossible, UnknownId
from housing.store.blobs import Blob
from housing.store.engine import Store
from housing.store.segments import record_blob
from housing.store.tables import evaluations, ledger, models, utc_now

_SEQ_TAKEN = ("ledger.seq", "pk_ledger")
"""How SQLite and PostgreSQL name the rule that a line's number is used once."""


@dataclass(frozen=True)
class Change:
    """One line for the ledger: what is to happen to the champion, and why."""

    operation: str  # promote or rollback
    to_model: int
    expected: int | None  # the champion that the decision was made against; None for none
    actor: str
    reason: str
    evaluation: int | None = None
    run: int | None = None


def model(connection: Connection, id_: int) -> Row[Any]:
    """One model; UnknownId where there is none."""
    row = connection.execute(sa.select(models).where(models.c.id == id_)).one_or_none()
    if row is None:
        raise UnknownId(kind="model", id=f"m{id_}", listing="housing models")
    return row


def register(store: Store, facts: Mapping[str, Any], artifact: Blob, golden: Blob) -> int:
    """Make a fitted model known; its blobs must be durable. Returns its id."""
    with store.write() as connection:
        new = models.insert().values(
            **facts,
            artifact=record_blob(connection, artifact, "model"),
            golden=record_blob(connection, golden, "golden"),
            created_at=utc_now(),
        )
        return int(connection.execute(new.returning(models.c.id)).scalar_one())


def model_of_search(connection: Connection, search: int, bag: int) -> Row[Any] | None:
    """The challenger of `bag` seeds that came of a search, or None while it is not fitted."""
    query = sa.select(models).where(models.c.search == search, models.c.bag == bag)
    return connection.execute(query).one_or_none()


def head(connection: Connection) -> Row[Any] | None:
    """The newest line of the ledger, or None: read from SQL, never from a failed look-up."""
    query = sa.select(ledger).order_by(ledger.c.seq.desc()).limit(1)
    return connection.execute(query).one_or_none()


def champion(connection: Connection) -> int | None:
    """The champion's id, or None before the first promotion."""
    newest = head(connection)
    return None if newest is None else int(newest.to_model)


def champion_at(connection: Connection, at: datetime) -> Row[Any] | None:
    """The ledger line in force at an instant, or None where there was no champion yet."""
    query = sa.select(ledger).where(ledger.c.at <= at).order_by(ledger.c.seq.desc()).limit(1)
    return connection.execute(query).one_or_none()


def change_champion(store: Store, change: Change) -> int:
    """Write the next line of the ledger; ChampionChanged if another writer was first.

    Returns the line's number. UnknownId where the new champion is no registered model, NotPossible
    where it is the champion already: two writers could else both say that they won.
    """
    try:
        with store.write() as connection:
            newest = head(connection)
            found = None if newest is None else newest.to_model
            if found != change.expected:
                raise ChampionChanged(expected=_named(change.expected), found=_named(found))
            if change.to_model == found:
                what = f"Making {_named(found)} champion"
                raise NotPossible(what=what, why="it is the champion.")
            model(connection, change.to_model)
            seq = 1 if newest is None else newest.seq + 1
            connection.execute(
                ledger.insert().values(
                    seq=seq,
                    operation=change.operation,
                    from_model=found,
                    to_model=change.to_model,
                    actor=change.actor,
                    reason=change.reason,
                    evaluation=change.evaluation,
                    run=change.run,
                    at=utc_now(),
                )
            )
            return int(seq)
    except IntegrityError as error:
        if not any(name in str(error.orig) for name in _SEQ_TAKEN):
            raise
        raise ChampionChanged(expected=_named(change.expected), found="a newer one") from error


def _named(model_id: int | None) -> str:
    return "no champion" if model_id is None else f"m{model_id}"


def history(connection: Connection, limit: int | None = None) -> Sequence[Row[Any]]:
    """The ledger, newest line first."""
    return connection.execute(sa.select(ledger).order_by(ledger.c.seq.desc()).limit(limit)).all()


def former_champions(connection: Connection) -> tuple[int, ...]:
    """Models that are or were champion, the current one first, each once."""
    lines = connection.execute(sa.select(ledger.c.to_model).order_by(ledger.c.seq.desc()))
    return tuple(dict.fromkeys(lines.scalars()))


def previous_champion(connection: Connection) -> int:
    """Where a rollback without a name goes: what the current champion replaced.

    Undoing is itself a line of the ledger, so the champions are replayed as a stack: a
    promotion pushes, a rollback pops down to its target. Twice in a row goes back two.
    """
    stack: list[int] = []
    for line in reversed(history(connection)):
        if line.operation == "rollback" and line.to_model in stack:
            while stack[-1] != line.to_model:
                stack.pop()
        else:
            stack.append(line.to_model)
    if len(stack) < 2:
        raise NoRollbackTarget(why="no champion came before the current one")
    return stack[-2]


def evaluation(connection: Connection, id_: int) -> Row[Any]:
    """One evaluation; UnknownId where there is none."""
    query = sa.select(evaluations).where(evaluations.c.id == id_)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownId(kind="evaluation", id=f"e{id_}", listing="housing runs")
    return row


def evaluation_with_key(connection: Connection, key: str) -> Row[Any] | None:
    """The evaluation of exactly these inputs, or None."""
    query = sa.select(evaluations).where(evaluations.c.key == key)
    return connection.execute(query).one_or_none()


def promoting_evaluation(connection: Connection, champion: int) -> Row[Any] | None:
    """The evaluation for which a model was made champion, or None where there is none."""
    query = (
        sa.select(evaluations)
        .join(ledger, ledger.c.evaluation == evaluations.c.id)
        .where(ledger.c.to_model == champion, ledger.c.operation == "promote")
        .order_by(ledger.c.seq.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def newest_evaluation(connection: Connection, challenger: int) -> Row[Any] | None:
    """The last evaluation of a challenger, or None where it was never judged."""
    query = (
        sa.select(evaluations)
        .where(evaluations.c.challenger == challenger)
        .order_by(evaluations.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def newest_evaluations(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """The last evaluations, newest first."""
    return connection.execute(
        sa.select(evaluations).order_by(evaluations.c.id.desc()).limit(limit)
    ).all()
