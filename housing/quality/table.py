"""A table as it was delivered, before any rule has looked at it.

The meeting point of `sources` (which makes one) and `quality.rows` (which judges it). Nothing
here reads or checks.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd


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
    place: Literal["line", "row"] = "row"  # what `lines` counts; line 1 of a CSV is its header
    notes: tuple[str, ...] = ()  # what a person should know, e.g. which columns were ignored

    @property
    def read(self) -> int:
        """Rows that were there, whether or not they could be cut into columns."""
        return len(self.frame) + len(self.broken)


def row_numbers(rows: int) -> npt.NDArray[np.int64]:
    """1 to `rows`: the `lines` of a table that has no lines of text."""
    return np.arange(1, rows + 1, dtype=np.int64)
