"""Looks of the monitor in SQL: written once each, read for what fired before and where to go on."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.engine import Store
from housing.store.tables import monitor_windows, utc_now


def last(connection: Connection, source: str) -> Row[Any] | None:
    """The newest window of a source, or None."""
    query = sa.select(monitor_windows).where(monitor_windows.c.source == source)
    return connection.execute(query.order_by(monitor_windows.c.id.desc()).limit(1)).one_or_none()


def recent(
    connection: Connection, source: str, *, model: int | None = None, limit: int = 100
) -> Sequence[Row[Any]]:
    """The last windows of a source, oldest first; of one champion where it is named."""
    query = sa.select(monitor_windows).where(monitor_windows.c.source == source)
    if model is not None:
        query = query.where(monitor_windows.c.model == model)
    rows = connection.execute(query.order_by(monitor_windows.c.id.desc()).limit(limit)).all()
    return rows[::-1]


def counts(connection: Connection, source: str, model: int) -> Sequence[dict[str, list[int]]]:
    """Labelled rows of each window of a champion by origin, oldest first: rows, outside, above."""
    query = sa.select(monitor_windows.c.counts).where(
        monitor_windows.c.source == source, monitor_windows.c.model == model
    )
    return connection.execute(query.order_by(monitor_windows.c.id)).scalars().all()


def newest(connection: Connection) -> Sequence[Row[Any]]:
    """The newest window of each source."""
    ids = sa.select(sa.func.max(monitor_windows.c.id)).group_by(monitor_windows.c.source)
    query = sa.select(monitor_windows).where(monitor_windows.c.id.in_(ids))
    return connection.execute(query.order_by(monitor_windows.c.source)).all()


def add(store: Store, run: Sequence[Mapping[str, Any]]) -> None:
    """Record the windows of one run, all or none of them."""
    with store.write() as connection:
        for facts in run:
            connection.execute(monitor_windows.insert().values(**facts, recorded_at=utc_now()))
