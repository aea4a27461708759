"""Parquet bytes into a table: only the wanted columns, within limits, in three plain types.

Numbers become float64, ids (`identifiers`) and categories text, times datetime64[us, UTC]. What
the values mean belongs in `quality`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from housing.errors import FileUnreadable
from housing.quality import RawTable, row_numbers, table
from housing.quality.table import Place
from housing.schema import ID_COLUMN, NUMBERS, TIME_COLUMN
from housing.sources.files import ReadLimits
from housing.sources.header import read_header
from housing.sources.identifiers import id_text

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: length of the footer, magic


@dataclass(frozen=True)
class ParquetRows:
    """A Parquet file of districts, of which a part at a time is unpacked."""

    data: bytearray
    name: str
    columns: Mapping[str, str]  # column of the catalogue -> as the file calls it
    notes: tuple[str, ...]
    place: Place = "row"

    def parts(self) -> Iterator[RawTable]:
        """At most `PART_ROWS` rows each; FileUnreadable where the file is damaged."""
        at = 1
        with _damage_named(self.name):
            for rows in _tables(_opened(self.data), list(self.columns.values())):
                frame = self._frame(rows)
                yield RawTable(frame, row_numbers(len(frame)) + (at - 1), place=self.place)
                at += len(frame)

    def _frame(self, rows: pa.Table) -> pd.DataFrame:
        found = {ours: plain(ours, rows[its], self.name) for ours, its in self.columns.items()}
        return pd.DataFrame(found)


def parse_parquet(data: bytearray, name: str, limits: ReadLimits) -> ParquetRows:
    """All rows of a Parquet file; FileUnreadable where it is no table of districts."""
    _check_frame(data, name, limits)
    with _damage_named(name):
        file = _opened(data)
        _check_size(file.metadata, name, limits)
        schema = file.schema_arrow
        header = read_header(schema.names, name, "the schema")
        for column, at in header.positions.items():
            _check_type(column, schema.field(at).type, name)
        columns = {column: schema.names[at] for column, at in header.positions.items()}
    return ParquetRows(data, name, columns, header.notes)


def _opened(data: bytearray) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)))


def _tables(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.Table]:
    """Its rows in parts; one without rows where there are none."""
    batches = file.iter_batches(table.PART_ROWS, columns=columns, use_threads=False)
    first = next(batches, None)
    if first is None:
        yield file.schema_arrow.empty_table()
        return
    for batch in chain((first,), batches):
        yield pa.Table.from_batches([batch])


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason"
        raise FileUnreadable(
            file=name, why=f"is a damaged Parquet file ({first}). Write it again"
        ) from error


def _check_frame(data: bytearray, name: str, limits: ReadLimits) -> None:
    if not data:
        raise FileUnreadable(file=name, why="is empty (0 bytes). Deliver it again")
    if not data.startswith(_MAGIC):
        raise FileUnreadable(
            file=name, why="is named .parquet and is not Parquet. Give it its true suffix"
        )
    if not data.endswith(_MAGIC) or len(data) < len(_MAGIC) + _TAIL:
        raise FileUnreadable(
            file=name, why="has no Parquet footer: it was cut short. Deliver it again"
        )
    footer = int.from_bytes(data[-_TAIL:-4], "little")
    if footer > min(limits.max_footer_bytes, len(data)):
        why = f"has a footer of {footer:,} bytes, at most {limits.max_footer_bytes:,} are read"
        raise FileUnreadable(file=name, why=f"{why}. Write it with fewer columns")


def _check_size(metadata: pq.FileMetaData, name: str, limits: ReadLimits) -> None:
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    facts = {
        "columns": (metadata.num_columns, limits.max_columns),
        "rows": (metadata.num_rows, limits.max_rows),
        "bytes of data": (sum(group.total_byte_size for group in groups), limits.max_bytes),
    }
    for what, (found, limit) in facts.items():
        if found > limit:
            raise FileUnreadable(
                file=name,
                why=f"holds {found:,} {what}, at most {limit:,} are read. Split it into smaller "
                "files",
            )


def _check_type(column: str, found: pa.DataType, name: str) -> None:
    inner = found.value_type if pa.types.is_dictionary(found) else found
    text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
    text = text or pa.types.is_string_view(inner) or pa.types.is_null(inner)
    number = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_decimal(inner)
    if column in NUMBERS:
        fits, wanted = text or number or pa.types.is_boolean(inner), "numbers"
    elif column == TIME_COLUMN:
        time = pa.types.is_timestamp(inner) or pa.types.is_date(inner)
        fits, wanted = text or time, "timestamps, dates or ISO 8601 text"
    elif column == ID_COLUMN:
        fits, wanted = text or number, "text or whole numbers"
    else:
        fits, wanted = text, "text"
    if not fits:
        raise FileUnreadable(
            file=name, why=f"column {column} has the type {found}, and {wanted} are wanted"
        )


def plain(column: str, values: pa.ChunkedArray, name: str) -> pd.Series:
    """A stored column in its plain type; FileUnreadable for ids that are not exact."""
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        values = pc.cast(values, pa.timestamp("us"), safe=False) if not _zoned(values) else values
        values = pc.cast(values, pa.timestamp("us", tz="UTC"), safe=False)
        return pd.Series(values.to_pandas())
    if column in NUMBERS and not _texty(values.type):
        numbers = pc.cast(values, pa.float64(), safe=False)
        return pd.Series(np.asarray(numbers.to_numpy(), dtype=np.float64))
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return pd.Series([id_text(value, name) for value in values.to_pylist()], dtype="str")
    return pd.Series(pc.cast(values, pa.large_string()).to_pandas(), dtype="str")


def _zoned(values: pa.ChunkedArray) -> bool:
    return pa.types.is_timestamp(values.type) and values.type.tz is not None


def _texty(kind: pa.DataType) -> bool:
    """Whether it goes on as text: booleans do, so that they are rejected as what they are."""
    return not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
