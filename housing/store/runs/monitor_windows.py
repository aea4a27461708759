"""Monitoring windows in SQL: past signals and the cursors to resume from.

A window never changes. A prune deletes old ones that no later run of the monitor reads.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.database.tables import monitor_windows, utc_now

LABELS = "labels"
"""The source whose windows record which labels were matched: nothing is judged there."""

RECENT = 100
"""Windows of a source that a run of the monitor reads back."""

LabelledRows = Mapping[str, Mapping[str, list[int]]]
"""By batch of labels (b5, l3), in columns: `key`, and 0 or 1 for `outside` the interval and `above`
the prediction."""


def last(connection: Connection, source: str) -> Row[Any] | None:
    """The newest window of a source, or None."""
    query = sa.select(monitor_windows).where(monitor_windows.c.source == source)
    return connection.execute(query.order_by(monitor_windows.c.id.desc()).limit(1)).one_or_none()


def recent(
    connection: Connection, source: str, *, promotion: int | None = None, limit: int = RECENT
) -> Sequence[Row[Any]]:
    """The last windows of a source, oldest first; of one promotion where it is named."""
    query = sa.select(monitor_windows).where(monitor_windows.c.source == source)
    if promotion is not None:
        query = query.where(monitor_windows.c.promotion == promotion)
    rows = connection.execute(query.order_by(monitor_windows.c.id.desc()).limit(limit)).all()
    return rows[::-1]


def every(connection: Connection) -> Sequence[Row[Any]]:
    """All windows that are kept, oldest first."""
    return connection.execute(sa.select(monitor_windows).order_by(monitor_windows.c.id)).all()


def labelled_rows(connection: Connection, source: str, promotion: int) -> Sequence[LabelledRows]:
    """Labelled rows of each window of a promotion, oldest first."""
    query = sa.select(monitor_windows.c.labelled_rows).where(
        monitor_windows.c.source == source, monitor_windows.c.promotion == promotion
    )
    return connection.scalars(query.order_by(monitor_windows.c.id)).all()


def newest(connection: Connection) -> Sequence[Row[Any]]:
    """The newest window of each source that is judged."""
    ids = sa.select(sa.func.max(monitor_windows.c.id)).group_by(monitor_windows.c.source)
    query = sa.select(monitor_windows).where(
        monitor_windows.c.id.in_(ids), monitor_windows.c.source != LABELS
    )
    return connection.execute(query.order_by(monitor_windows.c.source)).all()


def unread(connection: Connection, before: datetime, promotion: int) -> sa.ColumnElement[bool]:
    """Windows before an instant that no later run reads; `promotion` is the one in force.

    Its windows with labelled rows are all read, and the last RECENT of each source.
    """
    columns = monitor_windows.c
    read: list[int] = []
    for source in connection.scalars(sa.select(columns.source).distinct()).all():
        newest = sa.select(columns.id).where(columns.source == source).order_by(columns.id.desc())
        read += connection.scalars(newest.limit(RECENT))
    unlabelled = sa.cast(columns.labelled_rows, sa.Text) == "{}"
    past = sa.or_(columns.promotion != promotion, unlabelled)
    return sa.and_(columns.recorded_at < before, columns.id.not_in(read), past)


def add(connection: Connection, windows: Sequence[Mapping[str, Any]]) -> None:
    """Record windows."""
    for facts in windows:
        connection.execute(monitor_windows.insert().values(**facts, recorded_at=utc_now()))
