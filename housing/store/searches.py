"""Searches and their trials, as they are recorded while they run and read when they resume."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import UnknownId
from housing.records import Draw, Trial
from housing.store.engine import Store
from housing.store.tables import searches, trials, utc_now


def find(connection: Connection, key: str) -> Row[Any] | None:
    """The search with this key, or None."""
    return connection.execute(sa.select(searches).where(searches.c.key == key)).one_or_none()


def get(connection: Connection, search: int) -> Row[Any]:
    """One search; UnknownId where there is none."""
    row = connection.execute(sa.select(searches).where(searches.c.id == search)).one_or_none()
    if row is None:
        raise UnknownId(kind="search", id=f"s{search}", listing="housing runs")
    return row


def begin(store: Store, *, key: str, version: int, plan: dict[str, Any], run: int) -> int:
    """Note that a search began, or find the one with the same key that was begun before."""
    with store.write() as connection:
        known = find(connection, key)
        if known is not None:
            return int(known.id)
        new = searches.insert().values(
            key=key, version=version, plan=plan, run=run, started_at=utc_now()
        )
        return int(connection.execute(new.returning(searches.c.id)).scalar_one())


def record(store: Store, search: int, trial: Trial) -> None:
    """Keep one finished trial; from then on a restart does not compute it again."""
    with store.write() as connection:
        connection.execute(
            trials.insert().values(
                search=search,
                draw=trial.draw.index,
                family=trial.draw.family,
                parameters=json.loads(json.dumps(trial.draw.parameters)),
                fold_rmse=list(trial.fold_rmse),
                rmse=None if trial.error else trial.rmse,
                seconds=trial.seconds,
                error=trial.error,
                recorded_at=utc_now(),
            )
        )


def finish(store: Store, search: int) -> None:
    """Note that all trials of a search are in."""
    with store.write() as connection:
        connection.execute(
            searches.update()
            .where(searches.c.id == search, searches.c.finished_at.is_(None))
            .values(finished_at=utc_now())
        )


def trials_of(connection: Connection, search: int) -> Sequence[Trial]:
    """The recorded trials, in order of their draws."""
    query = sa.select(trials).where(trials.c.search == search).order_by(trials.c.draw)
    return [
        Trial(
            draw=Draw(index=row.draw, family=row.family, parameters=row.parameters),
            fold_rmse=tuple(row.fold_rmse),
            seconds=row.seconds,
            error=row.error,
        )
        for row in connection.execute(query)
    ]
