"""A table as it was delivered, before any rule has looked at it, whole or in parts.

The meeting point of `sources` (which makes one) and `quality.rows` (which judges it). Nothing
here reads or checks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

Place = Literal["line", "row"]

PART_ROWS = 1 << 18
"""Rows of a part: delivered text takes several times the memory of the numbers in it."""


class BrokenLine(NamedTuple):
    """A line that could not be cut into the header's columns."""

    line: int
    code: str  # "fields" or "quote", a code of quality.rows.ROW_RULES
    text: str  # its beginning, as delivered
    why: str  # for people


@dataclass(frozen=True)
class RawTable:
    """Rows as delivered: text where the format is text, else numbers, text and timestamps.

    `frame` holds every column of the catalogue, the optional ones where delivered, and no other.
    """

    frame: pd.DataFrame
    lines: npt.NDArray[np.int64]  # shape (len(frame),); where each row stands in what was read
    broken: tuple[BrokenLine, ...] = ()
    place: Place = "row"  # what `lines` counts; line 1 of a CSV is its header
    notes: tuple[str, ...] = ()  # what a person should know, e.g. which columns were ignored

    @property
    def read(self) -> int:
        """Rows that were there, whether or not they could be cut into columns."""
        return len(self.frame) + len(self.broken)

    def parts(self) -> Iterator["RawTable"]:
        """Its rows in parts, the broken lines with the first; one part where there are none."""
        for at in range(0, max(len(self.frame), 1), PART_ROWS):
            rows = slice(at, at + PART_ROWS)
            broken = () if at else self.broken
            yield replace(self, frame=self.frame.iloc[rows], lines=self.lines[rows], broken=broken)


class Raw(Protocol):
    """A delivered table of any size, of which a part at a time is read."""

    @property
    def place(self) -> Place:
        """What the lines of its parts count."""

    @property
    def notes(self) -> tuple[str, ...]:
        """As a RawTable's."""

    def parts(self) -> Iterator[RawTable]:
        """All rows in order, one part at the least; the same once more when asked again.

        May raise FileUnreadable.
        """


def whole(raw: Raw) -> RawTable:
    """All parts as one table, for those that are small."""
    parts = list(raw.parts())
    return RawTable(
        frame=pd.concat([part.frame for part in parts], ignore_index=True),
        lines=np.concatenate([part.lines for part in parts]),
        broken=tuple(line for part in parts for line in part.broken),
        place=raw.place,
        notes=raw.notes,
    )


def row_numbers(rows: int) -> npt.NDArray[np.int64]:
    """1 to `rows`: the `lines` of a table that has no lines of text."""
    return np.arange(1, rows + 1, dtype=np.int64)
