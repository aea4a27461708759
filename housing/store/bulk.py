"""Many narrow rows in and out of SQL, as columns: what a driver can do and Core cannot.

Used for the split ledger, which holds one row a district. Everything else goes through Core.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from housing.keys import Keys

_CHUNK = 100_000


def insert_sides(
    connection: Connection, generation: int, keys: Keys, test: npt.NDArray[np.bool_]
) -> None:
    """Append districts to the split ledger; none of them may be in it.

    The driver's IntegrityError for one that is in this generation already.
    """
    order = np.argsort(keys)  # ascending keys build a B-tree several times faster
    generations = np.full(len(keys), generation)
    columns = (generations, keys[order], test[order])
    _insert(connection, "split_ledger (generation, key, test)", *columns)


def known_sides(connection: Connection, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Those of `keys` that the ledger has, ascending, and their sides (True is test)."""
    parts = [np.empty((0, 2), dtype=np.int64)]
    generations = _generations(connection)
    if generations:  # else it is the first table, which is large: nothing to look up
        load_wanted(connection, keys)
        parts += [part for g in generations for part in _found(connection, g)]
        _cursor(connection).execute("DROP TABLE wanted_keys")
    found = np.concatenate(parts)
    found = found[np.argsort(found[:, 0])]
    return found[:, 0], found[:, 1].astype(np.bool_)


LOOKUP = (
    "SELECT w.key, l.test FROM wanted_keys w "
    "CROSS JOIN split_ledger l "  # CROSS: SQLite then walks the wanted keys, never the ledger
    "WHERE l.generation = {generation:d} AND l.key = w.key"
)


def _found(connection: Connection, generation: int) -> Iterator[npt.NDArray[np.int64]]:
    cursor = _cursor(connection)
    cursor.execute(LOOKUP.format(generation=generation))
    while rows := cursor.fetchmany(_CHUNK):
        yield np.array(rows, dtype=np.int64)


def _generations(connection: Connection) -> list[int]:
    """The generations there are, found by stepping through the index and not through the rows."""
    cursor, found = _cursor(connection), []
    step = "SELECT MIN(generation) FROM split_ledger"
    cursor.execute(step)
    while (newest := cursor.fetchone()[0]) is not None:
        found.append(newest)
        cursor.execute(f"{step} WHERE generation > {newest:d}")
    return found


def load_wanted(connection: Connection, keys: Keys) -> None:
    """The keys that `LOOKUP` looks for, as a table that ends with the transaction."""
    _cursor(connection).execute("CREATE TEMPORARY TABLE wanted_keys (key BIGINT PRIMARY KEY)")
    _insert(connection, "wanted_keys (key)", np.unique(keys))


def _insert(connection: Connection, into: str, *columns: npt.NDArray[Any]) -> None:
    cursor = _cursor(connection)
    if connection.dialect.name == "postgresql":
        with cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in _rows(columns):
                copy.write_row(row)
        return
    marks = ", ".join("?" * len(columns))
    cursor.executemany(f"INSERT INTO {into} VALUES ({marks})", _rows(columns))


def _rows(columns: tuple[npt.NDArray[Any], ...]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(columns[0]), _CHUNK):
        yield from zip(*(c[start : start + _CHUNK].tolist() for c in columns), strict=True)


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.driver_connection
    return driver.cursor()
