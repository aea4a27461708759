"""Predictions whose label arrived later, in SQL: one row per prediction and batch of labels.

Which of them count is decided when they are read: those of a withdrawn batch of labels do not, and
of the labels of one row the first that counts.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.problem import MARK
from housing.store.database.tables import labelled_predictions as table

COLUMNS = tuple(f"{MARK}{c.name}" for c in table.columns if c.name not in ("id", "promotion"))
"""Names of the SQL table's columns in a frame that also has the columns of rows."""

ID, LABEL, LABELLED_AT, ORIGIN, BATCH = (
    f"{MARK}{name}" for name in ("id", "label", "labelled_at", "origin", "batch")
)


def add(connection: Connection, promotion: int, rows: pd.DataFrame) -> None:
    """Append rows with `COLUMNS`, matched while `promotion` is the active one."""
    plain = rows[list(COLUMNS)].rename(columns=lambda name: name.removeprefix(MARK))
    plain = plain.astype(object)
    values: Any = plain.where(plain.notna(), None).assign(promotion=promotion).to_dict("records")
    if values:
        connection.execute(table.insert(), values)


def of_promotion(connection: Connection, promotion: int, model: int) -> pd.DataFrame:
    """Predictions of a model, matched while it was promoted; COLUMNS and ID."""
    query = sa.select(table).where(
        table.c.promotion == promotion, table.c.model == model, table.c.shadow.is_(False)
    )
    rows = connection.execute(query.order_by(table.c.id)).all()
    return pd.DataFrame(rows, columns=[f"{MARK}{c.name}" for c in table.columns])


def matched_with(connection: Connection, origins: Collection[str]) -> set[tuple[int, int, str]]:
    """Model, key and batch of labels of the recorded predictions with some batches of labels."""
    columns = table.c.model, table.c.key, table.c.origin
    query = sa.select(*columns).where(table.c.origin.in_(origins), table.c.shadow.is_(False))
    return set(connection.execute(query).tuples())


def unread(before: datetime, promotion: int) -> sa.ColumnElement[bool]:
    """Rows of predictions before an instant, but for those of the promotion in force."""
    return sa.and_(table.c.predicted_at < before, table.c.promotion != promotion)


def origins(connection: Connection) -> Sequence[str]:
    """Batches of labels (b5, l3) that have rows."""
    return connection.scalars(sa.select(table.c.origin).distinct()).all()


def error_sums(connection: Connection, withdrawn: Collection[str]) -> Sequence[Row[Any]]:
    """By model, newest first and shadows last: rows, sums of errors, hits of the interval.

    Each row of data counts once, with its first label that is of no withdrawn batch.
    """
    by = (table.c.model, table.c.shadow)
    counts = table.c.origin.not_in(withdrawn)
    first = sa.select(sa.func.min(table.c.id)).where(counts).group_by(*by, table.c.key)
    square = (table.c.predicted - table.c.label) * (table.c.predicted - table.c.label)
    inside = (table.c.label >= table.c.lower) & (table.c.label <= table.c.upper)
    query = sa.select(
        *by,
        sa.func.count().label("rows"),
        sa.func.sum(square).label("squares"),
        sa.func.sum(square * square).label("fourth_powers"),
        sa.func.sum(sa.case((inside, 1), else_=0)).label("inside"),
        sa.func.count(table.c.lower + table.c.upper).label("with_interval"),
        sa.func.min(table.c.predicted_at).label("first"),
        sa.func.max(table.c.predicted_at).label("last"),
    ).where(table.c.id.in_(first))
    order = (table.c.shadow, table.c.model.desc())
    return connection.execute(query.group_by(*by).order_by(*order)).all()
