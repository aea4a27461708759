"""A table as it was delivered, before any rule is applied, in chunks or whole.

`sources` makes it and `quality.rows` checks it; nothing here reads or checks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd

from housing.array_types import Integers

LineUnit = Literal["line", "row"]

CHUNK_ROWS = 1 << 16
"""Rows of a chunk: delivered text takes several times the memory of the numbers in it."""


class BrokenLine(NamedTuple):
    """A line that cannot be split into the header's columns."""

    line: int
    code: str  # "fields" or "quote", a code of quality.rows.ROW_RULES
    text: str  # its beginning, as delivered
    why: str  # for people


@dataclass(frozen=True)
class RawTable:
    """Rows as delivered: text where the format is text, else numbers, text and timestamps.

    `frame` holds the columns that were wanted and delivered, and no other.
    """

    frame: pd.DataFrame
    lines: Integers  # shape (len(frame),); number of each row in the delivery
    broken: tuple[BrokenLine, ...] = ()
    line_unit: LineUnit = "row"  # what `lines` counts; line 1 of a CSV file is its header
    notes: tuple[str, ...] = ()  # for people, e.g. which columns were ignored

    @property
    def read(self) -> int:
        """Rows delivered, broken lines included."""
        return len(self.frame) + len(self.broken)

    def chunks(self) -> Iterator["RawTable"]:
        """Its rows in chunks, the broken lines with the first; one chunk where there are none."""
        for at in range(0, max(len(self.frame), 1), CHUNK_ROWS):
            rows = slice(at, at + CHUNK_ROWS)
            broken = () if at else self.broken
            yield replace(self, frame=self.frame.iloc[rows], lines=self.lines[rows], broken=broken)


class Raw(Protocol):
    """A delivered table of any size, read a chunk at a time."""

    @property
    def line_unit(self) -> LineUnit:
        """As a RawTable's."""

    @property
    def notes(self) -> tuple[str, ...]:
        """As a RawTable's."""

    def chunks(self) -> Iterator[RawTable]:
        """All rows in order, at least one chunk; a second call yields the same again.

        May raise FileUnreadable.
        """


def whole(raw: Raw) -> RawTable:
    """All chunks as one table, for small ones."""
    chunks = list(raw.chunks())
    return RawTable(
        frame=pd.concat([chunk.frame for chunk in chunks], ignore_index=True),
        lines=np.concatenate([chunk.lines for chunk in chunks]),
        broken=tuple(line for chunk in chunks for line in chunk.broken),
        line_unit=raw.line_unit,
        notes=raw.notes,
    )


def table_of(frame: pd.DataFrame, notes: tuple[str, ...] = ()) -> RawTable:
    """A table without lines of text: its rows are counted from 1."""
    return RawTable(frame, np.arange(1, len(frame) + 1, dtype=np.int64), notes=notes)
