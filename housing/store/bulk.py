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


def insert_sides(connection: Connection, keys: Keys, test: npt.NDArray[np.bool_]) -> None:
    """Append districts to the split ledger; the driver's IntegrityError for one that is there."""
    order = np.argsort(keys)  # ascending keys build a B-tree several times faster
    _insert(connection, "split_ledger (key, test)", keys[order], test[order])


def known_sides(connection: Connection, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Those of `keys` that the ledger has, ascending, and their sides (True is test)."""
    cursor = _cursor(connection)
    cursor.execute("CREATE TEMPORARY TABLE wanted_keys (key BIGINT PRIMARY KEY)")
    _insert(connection, "wanted_keys (key)", np.unique(keys))
    cursor.execute(
        "SELECT w.key, l.test FROM wanted_keys w JOIN split_ledger l ON l.key = w.key "
        "ORDER BY w.key"
    )
    parts = [np.empty((0, 2), dtype=np.int64)]
    while rows := cursor.fetchmany(_CHUNK):
        parts.append(np.array(rows, dtype=np.int64))
    cursor.execute("DROP TABLE wanted_keys")
    found = np.concatenate(parts)
    return found[:, 0], found[:, 1].astype(np.bool_)


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
