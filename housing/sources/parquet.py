"""Parquet into tables: only the wanted columns, within limits, in three plain types.

Numbers become float64, ids (`identifiers`) and categories text, times datetime64[us, UTC]. What
the values mean belongs in `quality`. A file of 2 kB can say that a text of a megabyte stands in
each of a million rows, so text is read as positions in a dictionary, cut to `TEXT_LENGTH`, and
written out some rows at a time. How large a page is once unpacked is known before it is unpacked.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from housing.errors import FileUnreadable
from housing.quality import table
from housing.quality.table import Place, RawTable, row_numbers
from housing.schema import ID_COLUMN, NUMBERS, TIME_COLUMN
from housing.sources.files import ReadLimits, memory_named
from housing.sources.header import read_header
from housing.sources.identifiers import EXACT, id_text
from housing.sources.pages import DELTA_BYTE_ARRAY, Chunk, chunks_of, page_headers

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: length of the footer, magic
_THRIFT = {"thrift_string_size_limit": 1 << 24, "thrift_container_size_limit": 1 << 17}

TEXT_LENGTH = 300
"""Characters. Of a longer text the beginning is kept, which is no id and no category either."""

CHUNK_BYTES = 1 << 26
"""What some rows may take once their text is written out; fewer rows are read at a time else."""

PAGE_BYTES = 1 << 25
"""Of one page once unpacked; writers make pages of about a megabyte."""


class ParquetTable:
    """An open Parquet file of which some columns are read, a few rows at a time."""

    def __init__(self, source: bytearray | Path, name: str, limits: ReadLimits) -> None:
        """FileUnreadable where it is no Parquet file within the limits."""
        self.name, self.limits = name, limits
        self._source = source
        self.size = len(source) if isinstance(source, bytearray) else source.stat().st_size
        with damage_named(name):
            with self._bytes() as file:
                _check_frame(file, self.size, name, limits)
            self._file = pq.ParquetFile(self._again(), **_THRIFT)
            _check_size(self._file.metadata, name, limits)
            self.names: list[str] = self._file.schema_arrow.names

    def _again(self) -> "pa.NativeFile | Path":
        whole = isinstance(self._source, bytearray)
        return pa.BufferReader(pa.py_buffer(self._source)) if whole else self._source

    def _bytes(self) -> BinaryIO:
        if isinstance(self._source, bytearray):
            return io.BytesIO(memoryview(self._source))
        return self._source.open("rb")

    def type_of(self, column: str) -> pa.DataType:
        """The Arrow type of a column."""
        return self._file.schema_arrow.field(self.names.index(column)).type

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """`columns` of at most `rows` rows each; one table without rows where there are none.

        Text comes as plain text. FileUnreadable where the file is damaged, or unpacks to more than
        its limits let it.
        """
        with damage_named(self.name):
            widest = self._check_pages(columns)
            text = [c for c in columns if _is_text(self.type_of(c))]
            file = pq.ParquetFile(self._again(), metadata=self._file.metadata, read_dictionary=text)
            spent = 0
            at_once = min(rows, max(CHUNK_BYTES // max(widest, 1), 1))
            found = False
            for batch in file.iter_batches(at_once, columns=list(columns), use_threads=False):
                for part in _written_out(pa.Table.from_batches([batch]).select(list(columns))):
                    spent += part.nbytes
                    self._refuse_bomb(spent)
                    found = True
                    yield part
            if not found:
                yield self._file.schema_arrow.empty_table().select(list(columns))

    def _check_pages(self, columns: Sequence[str]) -> int:
        """Check what pages unpack to; returns the mean bytes of a row where that is highest."""
        self._refuse_nested(columns)
        total = widest = 0
        with self._bytes() as file:
            file.seek(self.size - _TAIL)
            length = int.from_bytes(file.read(4), "little")
            file.seek(self.size - _TAIL - length)
            for rows, chunks in chunks_of(file.read(length)):
                wanted = [chunk for chunk in chunks if chunk.path in columns]
                found = sum(self._chunk_bytes(file, chunk) for chunk in wanted)
                total += found
                self._refuse_bomb(total)
                widest = max(widest, found // max(rows, 1))
        self._refuse_bomb(self._file.metadata.num_rows * 8 * len(columns))
        return widest

    def _refuse_nested(self, columns: Sequence[str]) -> None:
        """Arrow reads all columns whose path begins with a name, so that must be one."""
        schema = self._file.metadata.schema
        paths = [schema.column(index).path for index in range(len(schema))]
        for column in columns:
            chosen = [path for path in paths if path == column or path.startswith(f"{column}.")]
            if chosen != [column]:
                why = f"column {column} is nested or stands there twice. Write it as a plain column"
                raise FileUnreadable(file=self.name, why=why)

    def _chunk_bytes(self, file: BinaryIO, chunk: Chunk) -> int:
        total = 0
        for page in page_headers(file, chunk):
            total += page.unpacked
            if page.unpacked > PAGE_BYTES:
                why = f"holds a page of {page.unpacked:,} bytes, at most {PAGE_BYTES:,} are read"
                raise FileUnreadable(file=self.name, why=f"{why}. Write it with smaller pages")
            if page.encoding == DELTA_BYTE_ARRAY:
                why = f"column {chunk.path} is written as DELTA_BYTE_ARRAY"
                raise FileUnreadable(
                    file=self.name, why=f"{why}, which is not read. Write it as PLAIN or dictionary"
                )
            self._refuse_bomb(total)
        return total

    def _refuse_bomb(self, unpacked: int) -> None:
        limits = self.limits
        if unpacked > min(
            max(limits.ratio_from_bytes, limits.max_ratio * self.size), limits.max_bytes
        ):
            raise FileUnreadable(
                file=self.name,
                why=f"unpacks to {unpacked:,} bytes or more, which no table of districts of "
                f"{self.size:,} bytes does. Write it with plain columns, or as CSV",
            )


def _written_out(batch: pa.Table) -> Iterator[pa.Table]:
    """Text as plain text, in as many parts as CHUNK_BYTES wants."""
    batch = pa.table([_cut(column) for column in batch.columns], names=batch.column_names)
    row = sum(_longest(column) for column in batch.columns)
    step = max(CHUNK_BYTES // max(row, 1), 1)
    for at in range(0, batch.num_rows, step):
        part = batch.slice(at, step)
        yield pa.table([_plainly(column) for column in part.columns], names=part.column_names)


def _cut(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts cut to TEXT_LENGTH characters, those of a dictionary once each; others as they are."""
    if not _is_text(values.type):
        return values
    values.validate(full=True)  # that text is UTF-8
    if not pa.types.is_dictionary(values.type):
        return _shortened(values)
    pieces = [
        pa.DictionaryArray.from_arrays(piece.indices, _shortened(piece.dictionary))
        for piece in values.chunks
    ]
    return pa.chunked_array(pieces) if pieces else values


def _shortened(texts: pa.Array) -> pa.Array:
    texts = pc.cast(texts, pa.string()) if not pa.types.is_string(texts.type) else texts
    long = pc.greater(pc.utf8_length(texts), TEXT_LENGTH)
    if not pc.any(long).as_py():
        return texts
    # Not cut bare: what is left of a number with many blanks around it would be another number.
    beginning = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(texts, 0, TEXT_LENGTH), "...", ""
    )
    return pc.if_else(long, beginning, texts)


def _longest(values: pa.ChunkedArray) -> int:
    """Bytes of the longest value, as far as that is known without writing them out."""
    if not _is_text(values.type):
        return 8
    texts = values.chunks if not pa.types.is_dictionary(values.type) else [
        piece.dictionary for piece in values.chunks
    ]  # fmt: skip
    return 8 + max((pc.max(pc.binary_length(t)).as_py() or 0 for t in texts if len(t)), default=0)


def _plainly(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(values, pa.string()) if _is_text(values.type) else values


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    plain = pa.types.is_string(inner) or pa.types.is_large_string(inner)
    return bool(plain or pa.types.is_string_view(inner))


@dataclass(frozen=True)
class ParquetRows:
    """A Parquet file of districts, of which a part at a time is unpacked."""

    file: ParquetTable
    columns: Mapping[str, str]  # column of the catalogue -> as the file calls it
    notes: tuple[str, ...]
    place: Place = "row"

    def parts(self) -> Iterator[RawTable]:
        """At most `PART_ROWS` rows each; FileUnreadable where the file is damaged."""
        at = 1
        for rows in self.file.batches(list(self.columns.values()), table.PART_ROWS):
            with damage_named(self.file.name):
                frame = self._frame(rows)
            yield RawTable(frame, row_numbers(len(frame)) + (at - 1), place=self.place)
            at += len(frame)

    def _frame(self, rows: pa.Table) -> pd.DataFrame:
        columns = self.columns.items()
        found = {ours: plain(ours, rows[its], self.file.name) for ours, its in columns}
        return pd.DataFrame(found)


def parse_parquet(data: bytearray, name: str, limits: ReadLimits) -> ParquetRows:
    """All rows of a Parquet file; FileUnreadable where it is no table of districts."""
    file = ParquetTable(data, name, limits)
    header = read_header(file.names, name, "the schema")
    columns = {column: file.names[at] for column, at in header.positions.items()}
    for column, its in columns.items():
        check_type(column, file.type_of(its), name)
    return ParquetRows(file, columns, header.notes)


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Whatever goes wrong inside is FileUnreadable, memory that is not there among it."""
    try:
        with memory_named(name):
            yield
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason"
        raise FileUnreadable(
            file=name, why=f"is a damaged Parquet file ({first}). Write it again"
        ) from error


def _check_frame(file: BinaryIO, size: int, name: str, limits: ReadLimits) -> None:
    start = file.read(len(_MAGIC))
    file.seek(max(size - _TAIL, 0))
    tail = file.read(_TAIL)
    if not size:
        raise FileUnreadable(file=name, why="is empty (0 bytes). Deliver it again")
    if start != _MAGIC:
        raise FileUnreadable(
            file=name, why="is called Parquet and is not. Give it its true suffix or type"
        )
    if not tail.endswith(_MAGIC) or size < len(_MAGIC) + _TAIL:
        raise FileUnreadable(
            file=name, why="has no Parquet footer: it was cut short. Deliver it again"
        )
    footer = int.from_bytes(tail[:4], "little")
    if footer > min(limits.max_footer_bytes, size):
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


def check_type(column: str, found: pa.DataType, name: str) -> None:
    """FileUnreadable where a column of the catalogue has a type that cannot be meant."""
    inner = found.value_type if pa.types.is_dictionary(found) else found
    text = _is_text(inner) or pa.types.is_null(inner)
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
        exact = _EXACT_BELOW.get(values.type.bit_width, EXACT)
        return pd.Series([id_text(value, name, exact) for value in values.to_pylist()], dtype="str")
    return pd.Series(pc.cast(values, pa.large_string()).to_pandas(), dtype="str")


_EXACT_BELOW = {16: 2**11, 32: 2**24}
"""By bits of a floating-point column: whole numbers from here on share their value with others."""


def _zoned(values: pa.ChunkedArray) -> bool:
    return pa.types.is_timestamp(values.type) and values.type.tz is not None


def _texty(kind: pa.DataType) -> bool:
    """Whether it goes on as text: booleans do, so that they are rejected as what they are."""
    return not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
