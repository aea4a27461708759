"""Monitoring windows in SQL (append-only): past signals and the cursors to resume from."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.database.tables import monitor_windows, utc_now

LABELS = "labels"
"""The source whose windows record which labels were matched: nothing is judged there."""

LabelledRows = Mapping[str, Mapping[str, list[int]]]
"""By batch of labels (b5, l3), in columns: `key`, and 0 or 1 for `outside` the interval and `above`
the prediction."""


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


def labelled_rows(connection: Connection, source: str, promotion: int) -> Sequence[LabelledRows]:
    """Labelled rows of each window of a promotion, oldest first."""
    query = sa.select(monitor_windows.c.labelled_rows).where(
        monitor_windows.c.source == source, monitor_windows.c.promotion == promotion
    )
    return connection.execute(query.order_by(monitor_windows.c.id)).scalars().all()


def newest(connection: Connection) -> Sequence[Row[Any]]:
    """The newest window of each source that is judged."""
    ids = sa.select(sa.func.max(monitor_windows.c.id)).group_by(monitor_windows.c.source)
    query = sa.select(monitor_windows).where(
        monitor_windows.c.id.in_(ids), monitor_windows.c.source != LABELS
    )
    return connection.execute(query.order_by(monitor_windows.c.source)).all()


def add(connection: Connection, windows: Sequence[Mapping[str, Any]]) -> None:
    """Record windows."""
    for facts in windows:
        connection.execute(monitor_windows.insert().values(**facts, recorded_at=utc_now()))
