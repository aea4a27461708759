"""Parquet files: only the wanted columns, within limits, in three plain types.

Numbers become float64, ids (`identifiers`) and categories text, times datetime64[us, UTC]. What
the values mean belongs in `quality`. A file of 2 kB can repeat a text of a megabyte in each of a
million rows, so text is read as positions in a dictionary and cut to TEXT_LENGTH before
it is written out, and what pages unpack to is known before they are unpacked (`pages`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from housing.errors import FileUnreadable
from housing.quality import table
from housing.quality.table import LineUnit, RawTable
from housing.schema import ID_COLUMN, NUMBERS, TIME_COLUMN, WORDING
from housing.sources.files import ReadLimits
from housing.sources.header import DELIVERED, Wanted, read_header
from housing.sources.identifiers import EXACT, EXACT_32, id_text
from housing.sources.pages import DELTA_BYTE_ARRAY, Chunk, chunks_of, page_headers

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: length of the footer, magic
_THRIFT = {"thrift_string_size_limit": 1 << 24, "thrift_container_size_limit": 1 << 17}

TEXT_LENGTH = 300
"""Characters. Of a longer text the beginning is kept, which is no id and no category either."""

CHUNK_BYTES = 1 << 26
"""Unpacked bytes of the pages that are read at a time."""

PAGE_BYTES = 1 << 25
"""Of one page once unpacked; writers make pages of about a megabyte."""

MOST_GROUPS = 10_000
"""Row groups of one file: each costs as much to open as a thousand rows cost to read."""


class ParquetTable:
    """An open Parquet file whose wanted columns are read, some rows at a time."""

    line_unit: LineUnit = "row"

    def __init__(
        self, source: bytearray | Path, name: str, limits: ReadLimits, wanted: Wanted = DELIVERED
    ) -> None:
        """FileUnreadable where it is no Parquet file with these columns within the limits."""
        self._source, self._name, self._limits = source, name, limits
        with self._bytes() as file:
            self._size = file.size()
        with self._damage_named():
            self._check_frame()
            self._file = self._open()
            self._check_size()
            self._schema = self._file.schema_arrow
        positions, self.notes = read_header(self._schema.names, name, "the schema", wanted)
        self._columns = {ours: self._schema.names[at] for ours, at in positions.items()}
        for column, its in self._columns.items():
            _check_type(column, self._schema.field(self._schema.names.index(its)).type, name)

    def chunks(self) -> Iterator[RawTable]:
        """All rows, at most `table.CHUNK_ROWS` each; FileUnreadable where the file is damaged."""
        at = 1
        for rows in self.tables():
            frame = plain_frame(rows, self._name)
            numbers = np.arange(at, at + len(frame), dtype=np.int64)
            yield RawTable(frame, numbers, line_unit=self.line_unit, notes=self.notes)
            at += len(frame)

    def tables(self) -> Iterator[pa.Table]:
        """The wanted columns as they are typed in the file; one table where there are no rows.

        FileUnreadable where the file is damaged, or unpacks to more than the limits allow.
        """
        columns = list(self._columns.values())
        with self._damage_named():
            bytes_per_row = self._check_pages(columns)
            text = [c for c in columns if _is_text(self._schema.field(c).type)]
            rows = min(table.CHUNK_ROWS, max(CHUNK_BYTES // max(bytes_per_row, 1), 1))
            found, spent = False, 0
            for batch in self._open(read_dictionary=text).iter_batches(
                rows, columns=columns, use_threads=False
            ):
                read = pa.Table.from_batches([batch]).select(columns)
                out = pa.table([_shortened(c) for c in read.columns], names=list(self._columns))
                found, spent = True, spent + out.nbytes
                self._refuse_bomb(spent)
                yield out
            if not found:
                empty = self._schema.empty_table().select(columns)
                yield empty.rename_columns(list(self._columns))

    # --- checks before anything is unpacked ---------------------------------------------------

    def _open(self, **options: object) -> pq.ParquetFile:
        return pq.ParquetFile(self._bytes(), **_THRIFT, **options)

    def _bytes(self) -> pa.NativeFile:
        if isinstance(self._source, bytearray):
            return pa.BufferReader(self._source)
        return pa.OSFile(str(self._source))

    def _refuse(self, why: str) -> NoReturn:
        raise FileUnreadable(file=self._name, why=why)

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            why = f"is a damaged Parquet file ({first}). Write it again"
            raise FileUnreadable(file=self._name, why=why) from error

    def _check_frame(self) -> None:
        with self._bytes() as file:
            start = file.read(len(_MAGIC))
            file.seek(max(self._size - _TAIL, 0))
            tail = file.read(_TAIL)
        if not self._size:
            self._refuse("is empty (0 bytes). Deliver it again")
        if start != _MAGIC:
            self._refuse("is called Parquet and is not. Give it its true suffix or type")
        if not tail.endswith(_MAGIC) or self._size < len(_MAGIC) + _TAIL:
            self._refuse("has no Parquet footer: it was cut short. Deliver it again")
        footer, most = int.from_bytes(tail[:4], "little"), self._limits.max_footer_bytes
        if footer > min(most, self._size):
            why = f"has a footer of {footer:,} bytes, at most {most:,} are read"
            self._refuse(f"{why}. Write it with fewer columns, or larger row groups")

    def _check_size(self) -> None:
        metadata, limits = self._file.metadata, self._limits
        groups = metadata.num_row_groups
        if groups > MOST_GROUPS:
            why = f"holds {groups:,} row groups, at most {MOST_GROUPS:,} are read"
            self._refuse(f"{why}. Write it again with larger ones, of 100,000 rows or more")
        unpacked = sum(metadata.row_group(i).total_byte_size for i in range(groups))
        for what, found, most in (
            ("columns", metadata.num_columns, limits.max_columns),
            ("rows", metadata.num_rows, limits.max_rows),
            ("bytes of data", unpacked, limits.max_bytes),
        ):
            if found > most:
                why = f"holds {found:,} {what}, at most {most:,} are read"
                self._refuse(f"{why}. Split it into smaller files")

    def _check_pages(self, columns: list[str]) -> int:
        """Check what pages unpack to; returns the mean bytes of a row where that is highest."""
        schema = self._file.metadata.schema
        paths = [schema.column(index).path for index in range(len(schema))]
        for column in columns:  # Arrow reads all columns whose path begins with a name
            if [p for p in paths if p == column or p.startswith(f"{column}.")] != [column]:
                why = f"column {column} is nested, or is there twice. Write it as a plain column"
                self._refuse(why)
        self._refuse_bomb(self._file.metadata.num_rows * 8 * len(columns))
        total = widest = 0
        with self._bytes() as file:
            file.seek(self._size - _TAIL)
            length = int.from_bytes(file.read(4), "little")
            file.seek(self._size - _TAIL - length)
            for rows, chunks in chunks_of(file.read(length)):
                before = total
                for chunk in chunks:
                    if chunk.path in columns:
                        total += self._chunk_bytes(file, chunk)
                        self._refuse_bomb(total)
                widest = max(widest, (total - before) // max(rows, 1))
        return widest

    def _chunk_bytes(self, file: pa.NativeFile, chunk: Chunk) -> int:
        total = 0
        for page in page_headers(file, chunk):
            total += page.unpacked
            if page.unpacked > PAGE_BYTES:
                why = f"holds a page of {page.unpacked:,} bytes, at most {PAGE_BYTES:,} are read"
                self._refuse(f"{why}. Write it with smaller pages")
            if page.encoding == DELTA_BYTE_ARRAY:
                why = f"column {chunk.path} is written as DELTA_BYTE_ARRAY, which is not read"
                self._refuse(f"{why}. Write it as PLAIN or dictionary")
            self._refuse_bomb(total)
        return total

    def _refuse_bomb(self, unpacked: int) -> None:
        limits = self._limits
        most = max(limits.ratio_from_bytes, limits.max_ratio * self._size)
        if unpacked > min(most, limits.max_bytes):
            why = f"unpacks to {unpacked:,} bytes or more, and has {self._size:,}"
            next_step = f"No table of {WORDING.rows} does. Write it with plain columns, or as CSV"
            self._refuse(f"{why}. {next_step}")


# --- columns ------------------------------------------------------------------------------


def _shortened(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as plain text of at most TEXT_LENGTH characters; other columns as they are."""
    if not _is_text(values.type):
        return values
    values.validate(full=True)  # that text is UTF-8
    pieces = [
        pa.DictionaryArray.from_arrays(piece.indices, _cut(piece.dictionary))
        if pa.types.is_dictionary(piece.type)
        else _cut(piece)
        for piece in values.chunks
    ]
    return pa.chunked_array([pc.cast(piece, pa.string()) for piece in pieces], pa.string())


def _cut(texts: pa.Array) -> pa.Array:
    texts = pc.cast(texts, pa.string())
    # Not cut bare: what is left of a number with many blanks around it would be another number.
    beginning = pc.utf8_slice_codeunits(texts, 0, TEXT_LENGTH)
    marked = pc.binary_join_element_wise(beginning, "...", "")
    return pc.if_else(pc.greater(pc.utf8_length(texts), TEXT_LENGTH), marked, texts)


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    plain = pa.types.is_string(inner) or pa.types.is_large_string(inner)
    return bool(plain or pa.types.is_string_view(inner))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or _is_fraction(kind))


def _is_fraction(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _check_type(column: str, found: pa.DataType, name: str) -> None:
    """FileUnreadable where a column has a type that cannot be meant."""
    inner = found.value_type if pa.types.is_dictionary(found) else found
    text = _is_text(inner) or pa.types.is_null(inner)
    if column in NUMBERS:
        fits, wanted = _is_number(inner) or pa.types.is_boolean(inner), "numbers"
    elif column == TIME_COLUMN:
        fits, wanted = _is_time(inner), "timestamps, dates or ISO 8601 text"
    elif column == ID_COLUMN:
        fits, wanted = _is_number(inner), "text or whole numbers"
    else:
        fits, wanted = False, "text"
    if not fits and not text:
        why = f"column {column} has the type {found}, and {wanted} are expected"
        raise FileUnreadable(file=name, why=f"{why}. Convert the column")


def plain_frame(rows: pa.Table, name: str) -> pd.DataFrame:
    """Stored columns in their plain types; FileUnreadable for ids that are not exact."""
    return pd.DataFrame(
        {column: _plain(column, rows[column], name) for column in rows.schema.names}
    )


def _plain(column: str, values: pa.ChunkedArray, name: str) -> pd.Series:
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    kind = values.type
    if _is_time(kind):
        if not (pa.types.is_timestamp(kind) and kind.tz):
            values = pc.cast(values, pa.timestamp("us"), safe=False)
        return pd.Series(pc.cast(values, pa.timestamp("us", tz="UTC"), safe=False).to_pandas())
    if column in NUMBERS and _is_number(kind):
        numbers = pc.cast(values, pa.float64(), safe=False)
        return pd.Series(np.asarray(numbers.to_numpy(), dtype=np.float64))
    if _is_fraction(kind):
        exact = _EXACT_BELOW.get(kind.bit_width, EXACT)
        return pd.Series([id_text(value, name, exact) for value in values.to_pylist()], dtype="str")
    # Booleans, too, are text: as numbers they would pass for 0 and 1.
    return pd.Series(pc.cast(values, pa.large_string()).to_pandas(), dtype="str")


_EXACT_BELOW = {16: 2**11, 32: EXACT_32}
"""By bits of a floating-point column: whole numbers from here on share their value with others."""
