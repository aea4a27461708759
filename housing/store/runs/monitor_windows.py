"""Looks of the monitor in SQL: written once each, read for what fired before and where to go on."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.database.engine import Store
from housing.store.database.tables import monitor_windows, utc_now

Prices = Mapping[str, Mapping[str, list[int]]]
"""By batch of labels (b5, l3), in columns: `key`, `outside`, `above` (0 or 1), and for answers
`answers_of`, the file that has what was asked."""


def last(connection: Connection, source: str) -> Row[Any] | None:
    """The newest window of a source, or None."""
    query = sa.select(monitor_windows).where(monitor_windows.c.source == source)
    return connection.execute(query.order_by(monitor_windows.c.id.desc()).limit(1)).one_or_none()


def recent(
    connection: Connection, source: str, *, promotion: int | None = None, limit: int = 100
) -> Sequence[Row[Any]]:
    """The last windows of a source, oldest first; of one promotion where it is named."""
    query = sa.select(monitor_windows).where(monitor_windows.c.source == source)
    if promotion is not None:
        query = query.where(monitor_windows.c.promotion == promotion)
    rows = connection.execute(query.order_by(monitor_windows.c.id.desc()).limit(limit)).all()
    return rows[::-1]


def prices(connection: Connection, source: str, promotion: int) -> Sequence[Prices]:
    """Labelled rows of each window of a promotion, oldest first."""
    query = sa.select(monitor_windows.c.labelled_rows).where(
        monitor_windows.c.source == source, monitor_windows.c.promotion == promotion
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
