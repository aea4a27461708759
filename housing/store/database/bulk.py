"""Many narrow rows in and out of SQL, as columns: what a driver can do and Core cannot.

Used for the split ledger, which has one row per key, and for what rows agree in, three rows per
key; both in generations. Everything else goes through Core.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.keys import Keys, distinct
from housing.store.database.tables import split_sides
from housing.training.fingerprints import Sides

_CHUNK = 100_000
_WANTED = 10_000
"""Words of one query."""

Integers = npt.NDArray[np.int64]


def insert_sides(connection: Connection, generation: int, keys: Keys, side: Sides) -> None:
    """Append keys to the split ledger; none of them may be in it.

    The driver's IntegrityError for one that is in this generation already.
    """
    order = np.argsort(keys)  # ascending keys build a B-tree several times faster
    generations = np.full(len(keys), generation)
    insert(connection, split_sides, generations, keys[order], side[order])


def known_sides(connection: Connection, keys: Keys) -> tuple[Keys, Sides]:
    """Those of `keys` that the ledger has, ascending, and their sides."""
    found = matching(connection, split_sides.c.key, ["l.side"], keys)
    found = found[np.argsort(found[:, 0])]
    return found[:, 0], found[:, 1].astype(np.int8)


LOOKUP = (
    "SELECT w.value, {fields} FROM {words} "
    "CROSS JOIN {table} l "  # CROSS: SQLite then walks the words, never the table
    "WHERE l.generation IN ({generations}) AND l.{column} = w.value"
)
_WORDS = {"sqlite": "json_each(?) w", "postgresql": "unnest(%s::bigint[]) w (value)"}


def matching(
    connection: Connection, column: sa.Column[Any], fields: list[str], wanted: Integers
) -> Integers:
    """Rows with one of the wanted words in the column that follows the generation.

    Shape (m, 1 + fields): the word, and the fields, which are SQL on the table as `l`.
    """
    table, dialect = column.table.name, connection.dialect.name
    found = [np.empty((0, 1 + len(fields)), dtype=np.int64)]
    generations = ", ".join(map(str, _generations(connection, table)))
    words = distinct(wanted) if generations else wanted[:0]  # the first table may be large
    query = LOOKUP.format(
        fields=", ".join(fields), words=_WORDS[dialect],
        table=table, generations=generations, column=column.name,
    )  # fmt: skip
    cursor = _cursor(connection)
    for start in range(0, len(words), _WANTED):
        part = words[start : start + _WANTED].tolist()
        cursor.execute(query, (str(part) if dialect == "sqlite" else part,))
        while rows := cursor.fetchmany(_CHUNK):
            found.append(np.array(rows, dtype=np.int64))
    return np.concatenate(found)


def _generations(connection: Connection, table: str) -> list[int]:
    """The generations there are, found by stepping through the index and not through the rows."""
    cursor, found = _cursor(connection), []
    step = f"SELECT MIN(generation) FROM {table}"
    cursor.execute(step)
    while (newest := cursor.fetchone()[0]) is not None:
        found.append(newest)
        cursor.execute(f"{step} WHERE generation > {newest:d}")
    return found


def insert(connection: Connection, table: sa.Table, *columns: npt.NDArray[Any]) -> None:
    """Append rows to a table, given as its columns in order; shape (n,) each."""
    names = ", ".join(column.name for column in table.columns)
    _insert(connection, f"{table.name} ({names})", *columns)


def _insert(connection: Connection, into: str, *columns: npt.NDArray[Any]) -> None:
    cursor = _cursor(connection)
    if connection.dialect.name == "postgresql":
        with cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in _rows(columns):
                copy.write_row(row)
        return
    for flat, rows in _statements(columns):
        marks = f"({', '.join('?' * len(columns))})"
        cursor.execute(f"INSERT INTO {into} VALUES {', '.join([marks] * rows)}", flat)


_VALUES = 900
"""Values of one INSERT; older versions of SQLite take 999. One row a statement takes twice as
long."""


def _statements(columns: tuple[npt.NDArray[Any], ...]) -> Iterator[tuple[list[Any], int]]:
    """Values of one INSERT each, row by row, and the number of their rows."""
    width = len(columns)
    step = _VALUES // width * width
    for start in range(0, len(columns[0]), _CHUNK):
        part = [column[start : start + _CHUNK].tolist() for column in columns]
        flat = [None] * (len(part[0]) * width)
        for at, values in enumerate(part):
            flat[at::width] = values
        for at in range(0, len(flat), step):
            yield flat[at : at + step], len(flat[at : at + step]) // width


def _rows(columns: tuple[npt.NDArray[Any], ...]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(columns[0]), _CHUNK):
        yield from zip(*(c[start : start + _CHUNK].tolist() for c in columns), strict=True)


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.driver_connection
    return driver.cursor()
