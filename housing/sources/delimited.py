"""CSV files: UTF-8, commas, a header, and a line for each row; read a chunk at a time.

A stray quotation mark must not swallow the lines below it, so a quoted field ends on its line or
the line is broken: lines are split first, fields afterwards. Reading numbers and categories from
the text belongs in `quality`.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from housing.errors import FileUnreadable
from housing.quality.parsing import BLANKS
from housing.quality.rejections import TEXT_LENGTH
from housing.quality.table import BrokenLine, LineUnit, RawTable
from housing.schema import WORDING
from housing.sources.encoding import refuse_other_encoding, refuse_other_formats
from housing.sources.files import ReadLimits
from housing.sources.header import DELIVERED, Wanted, read_header

CHUNK_BYTES = 1 << 21
MOST_BROKEN = 250_000
"""Broken lines of one file that are kept and reported; a file with more of them is no table."""
_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'", ":": "':'"}
_COMMA = "\0"
"""Stands for a comma inside a quoted field while lines are split; files cannot hold it."""
_UTF8_MARK = b"\xef\xbb\xbf"
_MISQUOTED = "a quotation mark is not closed on the line, or text follows a quoted field"
_CUT_SHORT = "the last line has no line break: the file may have been cut short"
_PLAIN_QUOTES = r'^(?:"[^",]*"|[^",]*)(?:,(?:"[^",]*"|[^",]*))*$'
"""Lines whose quotation marks are around whole fields, with neither commas nor marks inside."""


class CsvTable:
    """A CSV file whose wanted columns are read as text, about CHUNK_BYTES at a time."""

    line_unit: LineUnit = "line"

    def __init__(
        self,
        blocks: Callable[[], Iterator[bytes]],
        name: str,
        limits: ReadLimits,
        wanted: Wanted = DELIVERED,
        path: Path | None = None,
    ) -> None:
        """`blocks` yields the bytes, again at each call; `path` is for messages.

        FileUnreadable for a bad header.
        """
        self._blocks, self._name, self._limits, self._path = blocks, name, limits, path
        head = next(self._pieces())[1].partition(b"\n")[0].decode()
        cells = _fields(head)
        if cells is None:
            self._refuse(f"line 1 is not a header: {_MISQUOTED}. Quote column names fully, or not")
        if len(cells) > limits.max_columns:
            most = f"at most {limits.max_columns:,} are read"
            self._refuse(f"line 1 names {len(cells):,} columns, {most}. Leave out the others")
        self._refuse_other_delimiter(head, cells, wanted)
        self._width = len(cells)
        self._positions, self.notes = read_header(cells, name, wanted=wanted)

    def _refuse(self, why: str) -> NoReturn:
        raise FileUnreadable(file=self._name, why=why)

    def _refuse_other_delimiter(self, head: str, names: Sequence[str], wanted: Wanted) -> None:
        columns = {*wanted.required, *wanted.optional}
        known = len(columns & {name.strip() for name in names})
        for delimiter, words in _DELIMITERS.items():
            cells = {cell.strip(' "') for cell in head.split(delimiter)}
            if len(columns & cells) > max(known, 1):
                self._refuse(
                    f"line 1: fields are separated by {words}, and a comma is expected. Export it "
                    "again with commas as delimiters and points as decimal marks"
                )

    def chunks(self) -> Iterator[RawTable]:
        """All rows and broken lines; FileUnreadable where the rest of the file is no table."""
        broken = 0
        for line, text in self._pieces():
            if text and not text.endswith(b"\n"):
                self.notes = tuple(dict.fromkeys((*self.notes, _CUT_SHORT)))
            if line == 1:
                line, text = 2, text.partition(b"\n")[2]
            chunk = self._split(text.removesuffix(b"\n"), line, MOST_BROKEN - broken)
            broken += len(chunk.broken)
            yield chunk

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines with LF ends, and the number of the first; the header's is 1."""
        rest, line = bytearray(), 1
        for block in self._blocks():
            rest += block
            # A CR that ends the block may be half of a line end.
            end = max(rest.rfind(b"\n"), rest.rfind(b"\r", 0, len(rest) - 1)) + 1
            if len(rest) - end > self._limits.max_line_bytes + 1:
                self._checked(bytes(rest), line)  # refuses the last line
            if end >= CHUNK_BYTES:
                text, lines = self._checked(bytes(rest[:end]), line)
                del rest[:end]
                yield line, text
                line += lines
        if rest or line == 1:
            yield line, self._checked(bytes(rest), line)[0]

    def _checked(self, text: bytes, line: int) -> tuple[bytes, int]:
        """The lines with LF ends and their number.

        FileUnreadable for too many lines, for a long one, and for all but UTF-8.
        """
        if line == 1:
            text = text.removeprefix(_UTF8_MARK)
            refuse_other_formats(text, self._name)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
        lines = len(ends) + (not text.endswith(b"\n"))
        if line + lines - 2 > self._limits.max_rows:
            most = f"more than {self._limits.max_rows:,} lines"
            self._refuse(f"holds {most}. Split it into smaller files")
        lengths = np.diff(ends, prepend=-1, append=len(text)) - 1
        long = np.flatnonzero(lengths > self._limits.max_line_bytes)
        if len(long):
            most = f"longer than {self._limits.max_line_bytes:,} bytes"
            why = f"line {line + long[0]} is {most}, and one {WORDING.row} takes about 100"
            self._refuse(f"{why}. Write one {WORDING.row} a line, with a line break after each")
        refuse_other_encoding(text, line, self._name, self._path)
        return text, lines

    def _split(self, text: bytes, first: int, most_broken: int) -> RawTable:
        """The rows of some lines; `first` is the number of the first line."""
        lines = pc.split_pattern(pa.array([text], pa.string()), "\n").flatten()
        numbers = np.arange(first, first + len(lines))
        cells = pc.split_pattern(_unquoted(lines) if b'"' in text else lines, ",")
        counts = pc.fill_null(pc.list_value_length(cells), -1).to_numpy()
        fits = counts == self._width
        bad = np.flatnonzero(~fits)
        filled = pc.not_equal(pc.utf8_trim(lines.take(bad), BLANKS), "")
        bad = bad[filled.to_numpy(zero_copy_only=False)]  # a blank line is no row
        if len(bad) > most_broken:
            why = f"more than {MOST_BROKEN:,} lines cannot be split into the header's columns"
            self._refuse(f"{why}. Export it again")
        broken = (
            self._broken(int(numbers[i]), int(counts[i]), lines[i].as_py()) for i in bad.tolist()
        )
        values = cells.filter(pa.array(fits)).flatten()
        if b'"' in text:
            values = pc.replace_substring(values, _COMMA, ",")
        rows = np.arange(0, len(values), self._width)
        columns = {name: values.take(rows + at) for name, at in self._positions.items()}
        frame = pa.table(columns).to_pandas()
        return RawTable(frame, numbers[fits], tuple(broken), self.line_unit, self.notes)

    def _broken(self, line: int, fields: int, text: str) -> BrokenLine:
        if fields < 0:
            return BrokenLine(line, "quote", text[:TEXT_LENGTH], _MISQUOTED)
        why = f"{fields} field{'s' * (fields != 1)} where the header has {self._width}"
        return BrokenLine(line, "fields", text[:TEXT_LENGTH], why)


def _unquoted(lines: pa.StringArray) -> pa.StringArray:
    """Lines without quotation marks, _COMMA for each comma in a field; null where misquoted."""
    plain = pc.match_substring_regex(lines, _PLAIN_QUOTES)
    odd = pc.invert(plain)
    fields = [_fields(line) for line in lines.filter(odd).to_pylist()]
    texts = [f and ",".join(cell.replace(",", _COMMA) for cell in f) for f in fields]
    unquoted = pc.replace_substring(lines, '"', "")
    return pc.replace_with_mask(unquoted, odd, pa.array(texts, pa.string()))


def _fields(line: str) -> list[str] | None:
    """The fields of one line; None where its quotation marks are misplaced."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None
