"""CSV text into a table of text: UTF-8, commas, a header, one district a line.

A stray quotation mark must not swallow the lines below it, so a quoted field ends on its line or
the line is broken. Reading numbers and categories out of the text belongs in `quality`.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv as arrow_csv

from housing.errors import FileUnreadable
from housing.quality.table import BrokenLine, Place, RawTable
from housing.schema import CATALOGUE
from housing.sources.encoding import plain_text
from housing.sources.files import ReadLimits, memory_named
from housing.sources.header import Header, read_header

_BLOCK = 1 << 22  # bytes
_PART = 1 << 23  # bytes
_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'", ":": "':'"}
MOST_BROKEN = 250_000
"""Broken lines of one file that are kept and reported; a file with more of them is no table."""
_TEXT = 1_000  # characters of a broken line that are kept


@dataclass(frozen=True)
class CsvText:
    """The text of a table of districts, whose lines are cut into columns a part at a time."""

    data: bytearray  # UTF-8 with LF line ends, the header included
    start: int  # where line 2 begins
    width: int  # fields of a line
    header: Header
    notes: tuple[str, ...]
    name: str
    limits: ReadLimits
    place: Place = "line"

    def parts(self) -> Iterator[RawTable]:
        """Some 8 MiB of whole lines each: a field ends on its line, or the line is broken.

        FileUnreadable where there are too many lines, whole or broken.
        """
        line, refused = 2, 0
        for text in self._pieces():
            with memory_named(self.name):
                table, lines, broken = self._cut(text, line)
            line += text.count(b"\n")
            refused += len(broken)
            if refused > MOST_BROKEN:
                raise self._too_broken()
            if line - 2 > self.limits.max_rows:
                why = f"holds more than {self.limits.max_rows:,} lines. Split it into smaller files"
                raise FileUnreadable(file=self.name, why=why)
            yield RawTable(table.to_pandas(), lines, broken, self.place)

    def _cut(self, text: bytearray, line: int) -> "_Rows":
        try:
            return _rows(text, line, self.width, self.header)
        except _TooBroken:
            raise self._too_broken() from None

    def _too_broken(self) -> FileUnreadable:
        why = f"more than {MOST_BROKEN:,} lines cannot be cut into the header's columns"
        return FileUnreadable(file=self.name, why=f"{why}. Export it again")

    def _pieces(self) -> Iterator[bytearray]:
        at = self.start
        while True:
            end = self.data.find(b"\n", at + _PART) + 1 or len(self.data)
            yield self.data[at:end]
            at = end
            if at >= len(self.data):
                return


def parse_csv(data: bytearray, name: str, limits: ReadLimits) -> CsvText:
    """All lines of a CSV file as text; FileUnreadable where it is no table of districts."""
    data = plain_text(data, name)
    end = data.find(b"\n") + 1 or len(data)
    head = data[:end].decode().removesuffix("\n")
    names = _cells(head, name)
    if len(names) > limits.max_columns:
        why = f"line 1 names {len(names):,} columns, at most {limits.max_columns:,} are read"
        raise FileUnreadable(file=name, why=why)
    _refuse_other_delimiter(head, names, name)
    header = read_header(names, name)
    notes = header.notes
    if not data.endswith(b"\n"):
        notes = (*notes, "the last line has no line break: was the file cut short?")
    return CsvText(data, end, len(names), header, notes, name, limits)


def _cells(line: str, name: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        why = f"line 1 is not a header: {error}. Quote column names fully or not at all"
        raise FileUnreadable(file=name, why=why) from error


def _refuse_other_delimiter(line: str, names: Sequence[str], name: str) -> None:
    known = len(CATALOGUE.keys() & {cell.strip() for cell in names})
    for delimiter, words in _DELIMITERS.items():
        cells = {cell.strip(' "') for cell in line.split(delimiter)}
        if len(CATALOGUE.keys() & cells) > max(known, 1):
            raise FileUnreadable(
                file=name,
                why=f"line 1: fields are separated by {words}, and a comma is wanted. Export it "
                "again with commas as delimiters and points as decimal marks",
            )


class _TooBroken(Exception):
    """More broken lines than are kept of a file."""


_Rows = tuple[pa.Table, npt.NDArray[np.int64], tuple[BrokenLine, ...]]


def _rows(text: bytearray, first: int, width: int, header: Header) -> _Rows:
    """The wanted columns, the number of each row's line, and the lines that could not be cut.

    `first` is the number of the text's first line.
    """
    lines = text.count(b"\n") + (not text.endswith(b"\n")) if text else 0
    if not lines:
        empty = pa.table({name: pa.array([], pa.string()) for name in header.positions})
        return empty, np.empty(0, dtype=np.int64), ()
    found = None
    if _plainly_quoted(text):
        found = _cut(text, first, width, header, quoted=b'"' in text)
    if found is None:
        found = _cut_line_by_line(text.decode(), first, width, header)
    table, broken = found
    bad = np.array([line.line for line in broken], dtype=np.int64)
    numbers = np.setdiff1d(np.arange(first, first + lines), bad, assume_unique=True)
    if text.startswith(b"\n") or b"\n\n" in text:
        filled = ~np.isin(numbers, _blank_lines(text, first))
        table, numbers = table.filter(pa.array(filled)), numbers[filled]
    return table, numbers, tuple(line for line in broken if line.text.strip())


def _plainly_quoted(text: bytearray) -> bool:
    """Whether each quotation mark is one of two around a field of one line, with none inside.

    All other text is cut line by line: the fast way would take a mark in the wrong place for good,
    and what becomes of a line must not hang on which lines share its part.
    """
    if b'"' not in text:
        return True
    data = np.frombuffer(b"\n" + text + b"\n", dtype=np.uint8)
    marks = np.flatnonzero(data == ord('"'))
    if len(marks) % 2:
        return False
    opening, closing = marks[::2], marks[1::2]
    breaks = np.flatnonzero(data == ord("\n"))
    around = data[np.concatenate([opening - 1, closing + 1])]
    fields = bool(((around == ord(",")) | (around == ord("\n"))).all())
    return fields and np.array_equal(breaks.searchsorted(opening), breaks.searchsorted(closing))


def _cut(
    text: bytearray, first: int, width: int, header: Header, *, quoted: bool
) -> tuple[pa.Table, list[BrokenLine]] | None:
    """All lines at once; None where that is not possible, e.g. a line is longer than a block."""
    broken: list[BrokenLine] = []

    def keep(row: arrow_csv.InvalidRow) -> str:
        broken.append(_miscounted(first - 1 + row.number, row.text, row.actual_columns, width))
        return "skip" if len(broken) <= MOST_BROKEN else "error"

    columns = [f"f{index}" for index in range(width)]
    wanted = [columns[index] for index in header.positions.values()]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(text)),
            read_options=arrow_csv.ReadOptions(
                # Only one thread knows the number of a line that it cannot cut.
                use_threads=False, block_size=_BLOCK, column_names=columns,
            ),
            parse_options=arrow_csv.ParseOptions(
                quote_char='"' if quoted else False,
                ignore_empty_lines=False,
                invalid_row_handler=keep,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )  # fmt: skip
    except pa.ArrowInvalid:
        if len(broken) > MOST_BROKEN:
            raise _TooBroken from None
        return None
    return table.rename_columns(list(header.positions)), broken


def _miscounted(line: int, text: str, fields: int, width: int) -> BrokenLine:
    why = f"{fields} field{'s' * (fields != 1)} where the header has {width}"
    return BrokenLine(line, "fields", text[:_TEXT], why)


def _cut_line_by_line(
    text: str, first: int, width: int, header: Header
) -> tuple[pa.Table, list[BrokenLine]]:
    """The slow way, a line at a time: what quotation marks do ends on their line."""
    columns: list[list[str]] = [[] for _ in header.positions]
    broken: list[BrokenLine] = []
    for number, line in enumerate(_lines(text), start=first):
        if len(broken) > MOST_BROKEN:
            raise _TooBroken
        try:
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            broken.append(BrokenLine(number, "quote", line[:_TEXT], f"quotation marks: {error}"))
            continue
        if not line:  # a row of nothing, as the fast way reads it; it is taken out by its number
            cells = [""] * width
        if len(cells) != width:
            broken.append(_miscounted(number, line, len(cells), width))
            continue
        for column, position in zip(columns, header.positions.values(), strict=True):
            column.append(cells[position])
    names = list(header.positions)
    return pa.table([pa.array(c, pa.string()) for c in columns], names=names), broken


def _lines(text: str) -> Iterator[str]:
    yield from text.removesuffix("\n").split("\n")


def _blank_lines(text: bytearray, first: int) -> npt.NDArray[np.int64]:
    """Numbers of the lines that hold nothing at all."""
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
    return np.flatnonzero(np.diff(ends, prepend=-1) == 1).astype(np.int64) + first
