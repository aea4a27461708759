"""Tables of the metadata store as Parquet, and back: one form for both databases.

A dump holds plain values (integers, numbers, text, instants, JSON as text), so what was dumped from
PostgreSQL can be loaded into SQLite and the other way round. Which tables belong together, and
where dumps are kept, belongs in `snapshots`.
"""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.store.database import bulk
from housing.store.database.tables import UtcTime, metadata, near_duplicate_index, split_sides

CHUNK, WIDE_CHUNK = 50_000, 500
"""Rows in memory at a time; fewer of a table with text or JSON, whose rows may be long."""


def dump(connection: Connection, table: sa.Table) -> bytes:
    """All rows of a table, in the order of its primary key."""
    schema = pa.schema([pa.field(column.name, _kind(column)) for column in table.columns])
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for rows in _rows(connection, table):
            values = zip(schema, zip(*rows, strict=True), strict=True)
            columns = [pa.array(each, field.type) for field, each in values]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return buffer.getvalue()


def load(connection: Connection, table: sa.Table, data: bytes) -> int:
    """Insert the rows of a dump into an empty table; returns how many there were."""
    file = pq.ParquetFile(io.BytesIO(data))
    for batch in file.iter_batches(batch_size=_chunk(table)):
        if table in (split_sides, near_duplicate_index):  # rows for each key: as columns
            columns = (batch.column(column.name) for column in table.columns)
            bulk.insert(connection, table, *(c.to_numpy(zero_copy_only=False) for c in columns))
        elif batch.num_rows:
            connection.execute(table.insert(), _records(table, batch))
    _continue_ids(connection, table)
    return int(file.metadata.num_rows)


def _rows(connection: Connection, table: sa.Table) -> Iterator[Sequence[Any]]:
    columns, chunk = map(_as_stored, table.columns), _chunk(table)
    query = sa.select(*columns).order_by(*table.primary_key.columns)
    streamed = connection.execution_options(yield_per=chunk).execute(query)
    yield from (rows for rows in streamed.partitions(chunk) if rows)


def _chunk(table: sa.Table) -> int:
    wide = any(isinstance(column.type, sa.JSON | sa.Text) for column in table.columns)
    return WIDE_CHUNK if wide else CHUNK


_KINDS = {
    UtcTime: pa.timestamp("us", tz="UTC"),
    sa.Boolean: pa.bool_(),
    sa.Integer: pa.int64(),
    sa.Float: pa.float64(),
}


def _kind(column: sa.Column[Any]) -> pa.DataType:
    found = (stored for kind, stored in _KINDS.items() if isinstance(column.type, kind))
    return next(found, pa.string())  # text, and JSON as text


def _as_stored(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column, or the text of its JSON: to parse it only to write it again takes longest."""
    return sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else column


def _records(table: sa.Table, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    names = [name for name in batch.schema.names if name in table.columns]
    columns = []
    for name in names:
        values = batch.column(name).to_pylist()
        if isinstance(table.columns[name].type, sa.JSON):
            values = [sa.null() if v is None else json.loads(v) for v in values]
        columns.append(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _continue_ids(connection: Connection, table: sa.Table) -> None:
    """Set PostgreSQL's id sequence after the highest id; SQLite needs nothing."""
    if connection.dialect.name != "postgresql" or "id" not in table.columns:
        return
    name = sa.func.pg_get_serial_sequence(table.name, "id")
    if connection.scalar(sa.select(name)) is None:
        return
    highest = connection.scalar(sa.select(sa.func.max(table.c.id)))
    if highest is not None:
        connection.execute(sa.select(sa.func.setval(name, highest)))


def order(tables: Sequence[str] | None = None) -> list[sa.Table]:
    """Tables (all, or those named) so that each comes after those it refers to."""
    return [t for t in metadata.sorted_tables if tables is None or t.name in tables]


def rows_in(data: bytes) -> int:
    """How many rows a dump has."""
    return int(pq.ParquetFile(io.BytesIO(data)).metadata.num_rows)
