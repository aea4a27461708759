"""A table of another database, read from a watermark onwards.

The table is never written, its columns are found by reflection, and SQLAlchemy quotes every
identifier. The system's own database belongs in `housing.store`.

Rows with the highest watermark are read again the next time, since others with the same watermark
may have been added: if they are exactly those of the last delivery they are left out, else all of
them are delivered (a known row with known values changes nothing). A row that appears *below* the
last watermark is never read: choose a column with the time at which a row was written.

A delivery is identified by its rows, their watermarks and its number, so a row that returns to an
earlier value is a delivery of its own, and two processes that read at once store one.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from housing.errors import FileUnreadable, SourceUnavailable
from housing.quality.table import table_of
from housing.records import BatchSummary
from housing.schema import ID_COLUMN
from housing.sources.base import Delivery, IngestHistory, SourceOptions, skipped
from housing.sources.header import read_header
from housing.sources.identifiers import EXACT, EXACT_32, id_text

_CHUNK = 10_000  # rows fetched at a time
_UNIT = "\x1f"  # ASCII's own separator of fields


class _Mark(NamedTuple):
    """The end of what was read of the table."""

    value: str  # the highest watermark and its type, as text
    ties: str  # digest of the rows that have it
    delivery: int = 1  # deliveries of this source up to here


class _Rows(NamedTuple):
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]  # watermark, then the columns; in order of watermark
    exact_ids: int  # floating-point ids are exact below this

    def with_mark(self, mark: Any) -> list[tuple[Any, ...]]:
        """The columns of the rows with a watermark."""
        return [row[1:] for row in self.rows if row[0] == mark]


@dataclass(frozen=True)
class SqlTable:
    """One delivery of all new rows; its watermark records the last of them."""

    options: SourceOptions
    name: str = "sql"

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """Rows above the last watermark; SourceUnavailable, which never shows a password."""
        url, table_name, column = self._address()
        known = seen.watermark(self.name)
        last = _Mark(**json.loads(known)) if known else None
        try:
            engine = sa.create_engine(url, connect_args=self._timeout(url))
            try:
                with engine.connect() as connection:
                    found, notes = _fetch(connection, table_name, column, last)
            finally:
                engine.dispose()
            found = _without_known(found, last)
            if found.rows:
                number = 1 if last is None else last.delivery + 1
                yield _delivery(self.name, table_name, found, notes, number)
                return
        except FileUnreadable as error:
            yield skipped(self.name, table_name, "unreadable", f"{error}.")
            return
        except NoSuchTableError:
            raise _unavailable(url, f"there is no table {table_name}") from None
        except (SQLAlchemyError, ImportError, ValueError, TypeError) as error:
            # `from None`: a driver's message may contain the password.
            raise _unavailable(url, _reason(error, url)) from None
        nothing = f"{table_name} has no row that was not read before."
        yield skipped(self.name, table_name, "unchanged", nothing)

    def _timeout(self, url: URL) -> dict[str, int]:
        """The driver's time limit; SourceUnavailable for a SQLite file that does not exist."""
        if url.get_backend_name() == "postgresql":
            return {"connect_timeout": max(2, round(self.options.connect_seconds))}
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise _unavailable(url, "there is no such file")
        return {}

    def _address(self) -> tuple[URL, str, str]:
        options = self.options
        facts = {
            "HOUSING_SOURCES__SQL_URL": options.sql_url and options.sql_url.get_secret_value(),
            "HOUSING_SOURCES__SQL_TABLE": options.sql_table,
            "HOUSING_SOURCES__SQL_WATERMARK": options.sql_watermark,
        }
        unset = [name for name, value in facts.items() if not value]
        if unset:
            raise SourceUnavailable(
                source=self.name, why=f"{' and '.join(unset)} not set",
                next_step="Set what is missing, or take sql out of HOUSING_SOURCES__NAMES.",
            )  # fmt: skip
        url_text, table_name, column = (str(value) for value in facts.values())
        try:
            return make_url(url_text), table_name, column
        except (SQLAlchemyError, ValueError):
            raise SourceUnavailable(
                source=self.name, why="HOUSING_SOURCES__SQL_URL is not a database address",
                next_step="It looks like postgresql+psycopg://user:password@host/database.",
            ) from None  # fmt: skip


# --- reading --------------------------------------------------------------------------------


def _fetch(
    connection: Connection, table_name: str, column: str, last: _Mark | None
) -> tuple[_Rows, tuple[str, ...]]:
    schema, _, bare = table_name.rpartition(".")
    table = sa.Table(bare, sa.MetaData(), schema=schema or None, autoload_with=connection)
    if column not in table.c:
        raise FileUnreadable(
            file=table_name,
            why=f"has no column {column}, which HOUSING_SOURCES__SQL_WATERMARK names",
        )
    columns, mark = list(table.columns), table.c[column]
    positions, notes = read_header([str(c.name) for c in columns], table_name, "the table")
    wanted = {name: columns[at] for name, at in positions.items()}
    # As the driver gives them: a type that converts would raise at the first odd value.
    plain = [sa.type_coerce(c, sa.types.NullType()).label(name) for name, c in wanted.items()]
    new = mark.is_not(None) if last is None else mark >= _value(last.value)
    query = sa.select(mark.label("_watermark"), *plain).where(new).order_by(mark)
    result = connection.execution_options(stream_results=True, yield_per=_CHUNK).execute(query)
    rows = [tuple(row) for row in result]
    absent = sa.select(sa.func.count()).select_from(table).where(mark.is_(None))
    count = connection.execute(absent).scalar_one()
    unread = (f"{count:,} rows without {column} were not read",) if count else ()
    kind: Any = wanted[ID_COLUMN].type if ID_COLUMN in wanted else None
    single = isinstance(kind, sa.Float) and not isinstance(kind, sa.Double)
    # Floating-point numbers of 32 bits; SQLite's have 64.
    single = single and (kind.precision or 0) <= 24 and connection.dialect.name != "sqlite"
    found = _Rows(tuple(wanted), rows, EXACT_32 if single else EXACT)
    return found, (*notes, *unread)


def _without_known(found: _Rows, last: _Mark | None) -> _Rows:
    """Leave out the rows at the last watermark if they are exactly those delivered then."""
    if last is None or not found.rows:
        return found
    ties = found.with_mark(_value(last.value))
    return found._replace(rows=found.rows[len(ties) :]) if _digest(ties) == last.ties else found


def _delivery(
    source: str, name: str, found: _Rows, notes: tuple[str, ...], number: int
) -> Delivery:
    top = found.rows[-1][0]
    frame = pd.DataFrame(
        {
            column: _series(column, [row[at] for row in found.rows], name, found.exact_ids)
            for at, column in enumerate(found.columns, start=1)
        }
    )
    return Delivery(
        source=source,
        name=f"{name} up to {top}",
        digest=_digest([(number,), *found.rows]),
        size=int(frame.memory_usage(deep=True).sum()),
        simulated=False,
        watermark=json.dumps(_Mark(_text(top), _digest(found.with_mark(top)), number)._asdict()),
        read=partial(table_of, frame, notes),
    )


_NUMBERS = (int, float, Decimal, type(None))


def _series(column: str, values: list[Any], table: str, exact_ids: int) -> pd.Series:
    """Ids as text; other columns as float64 if they hold numbers alone, else as text."""
    if column == ID_COLUMN:
        return pd.Series([id_text(value, table, exact_ids) for value in values], dtype="str")
    if all(issubclass(kind, _NUMBERS) and kind is not bool for kind in set(map(type, values))):
        return pd.Series([np.nan if value is None else float(value) for value in values])
    return pd.Series([None if value is None else _plain(value) for value in values], dtype="str")


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _digest(rows: list[tuple[Any, ...]]) -> str:
    """sha256 of a set of rows, hex; their order does not matter."""
    texts = (_UNIT.join("" if v is None else _plain(v) for v in row) for row in rows)
    hashes = sorted(hashlib.sha256(text.encode()).digest() for text in texts)
    return hashlib.sha256(b"".join(hashes)).hexdigest()


# --- watermarks as text ---------------------------------------------------------------------

_TYPES: dict[str, Any] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "int": int,
    "float": float,
    "Decimal": Decimal,
    "str": str,
}


def _text(value: Any) -> str:
    kind = type(value).__name__
    if kind not in _TYPES:
        raise FileUnreadable(
            file="the watermark", why=f"is a {kind}. Name a column of numbers, times or text"
        )
    return f"{kind}:{_plain(value) if kind != 'float' else repr(value)}"


def _value(text: str) -> Any:
    kind, _, rest = text.partition(":")
    return _TYPES[kind](rest)


# --- messages ------------------------------------------------------


def _unavailable(url: URL, why: str) -> SourceUnavailable:
    return SourceUnavailable(
        source=f"sql ({url.host or url.database or url.drivername})",
        why=why,
        next_step="Check HOUSING_SOURCES__SQL_URL, HOUSING_SOURCES__SQL_TABLE and the database.",
    )


def _reason(error: Exception, url: URL) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    reason = lines[0][:200] if lines else type(error).__name__
    secrets = [url.password, *(v for v in url.query.values() if isinstance(v, str))]
    for secret in secrets:
        if secret:
            reason = reason.replace(str(secret), "***")
    return reason.rstrip(".")
