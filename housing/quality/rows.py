"""Row rules: which delivered rows are accepted, and why each other row is rejected.

A row that breaks several rules is rejected for the first, in catalogue order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from housing.array_types import Mask
from housing.keys import KEY_COLUMN, Keys, row_keys
from housing.quality.rejections import Quarantine, summary
from housing.quality.table import Raw, RawTable
from housing.quality.values import VALUE_RULES, Fault, first_fault, read_columns
from housing.records import Rejection
from housing.schema import CATALOGUE, ID_COLUMN, KEY, NUMBERS, OPTIONAL_COLUMNS, WORDING

ROW_RULES: Mapping[str, str] = {
    **VALUE_RULES,
    "duplicate-key": f"the {WORDING.row} is in the batch twice or more; all its rows are rejected",
    "fields": "a line has more or fewer fields than the header",
    "quote": "a quotation mark is not closed on its line, or is in the wrong place",
}
"""Codes of the row rules, and when a row breaks each."""


@dataclass(frozen=True)
class Validated:
    """A table, split: `len(accepted) + len(rejected) == read`, always.

    `accepted` has the catalogue's columns in its order and dtypes, the optional ones where they
    were delivered (text, datetime64[us, UTC]) and `key`. `rejected` is as `Quarantine.table`.
    """

    name: str  # of the file or table, for people
    read: int  # rows
    accepted: pd.DataFrame
    rejected: pd.DataFrame
    rejections: tuple[Rejection, ...]  # their `rows` add up to len(rejected)
    delivered: Mapping[str, tuple[float, float, float]]
    """Quartiles of each number column over every finite number delivered, accepted or not."""
    notes: tuple[str, ...] = ()


@dataclass
class _Chunk:
    typed: dict[str, pd.Series]  # every row, good or bad
    good: Mask
    keys: Keys  # of the good rows


def validate(raw: Raw, name: str, watch: Callable[[int], object] = lambda rows: None) -> Validated:
    """Split a delivered table into accepted and rejected rows; `name` is used in messages.

    One chunk of its text is in memory at a time. `watch` is called with the number of rows that
    have been checked so far.
    """
    chunks: list[_Chunk] = []
    quarantine, read = Quarantine(), 0
    for delivered in raw.chunks():
        chunks.append(_checked(delivered, quarantine))
        read += delivered.read
        watch(read)
    keys = np.concatenate([chunk.keys for chunk in chunks])
    twice = pd.Series(keys).duplicated(keep=False).to_numpy()
    if twice.any():
        reject_duplicates(raw, [chunk.good for chunk in chunks], twice, quarantine)
    rejected = quarantine.table()
    quartiles = _quartiles(chunks)  # before the chunks are used up
    return Validated(
        name=name,
        read=read,
        accepted=_accepted(chunks, keys[~twice]),
        rejected=rejected,
        rejections=summary(rejected, name, raw.line_unit),
        delivered=quartiles,
        notes=raw.notes,
    )


def _checked(delivered: RawTable, quarantine: Quarantine) -> _Chunk:
    frame = delivered.frame.reset_index(drop=True)
    names = [*CATALOGUE, *(name for name in OPTIONAL_COLUMNS if name in frame)]
    typed, faults = read_columns(frame, names)
    first = first_fault(faults, len(frame))
    quarantine.add(delivered, first, faults)
    good = first < 0
    identity = {name: typed[name][good] for name in (*KEY, ID_COLUMN) if name in typed}
    return _Chunk(typed, good, row_keys(pd.DataFrame(identity)))


def reject_duplicates(raw: Raw, good: list[Mask], twice: Mask, quarantine: Quarantine) -> None:
    """Take rows that occur twice out of the good rows, and read their text once more.

    `good` is a mask of each chunk, `twice` one of all good rows, true for those to reject.
    """
    at = 0
    for delivered, mask in zip(raw.chunks(), good, strict=True):
        duplicate = np.zeros(len(mask), dtype=np.bool_)
        rows = np.flatnonzero(mask)
        duplicate[rows[twice[at : at + len(rows)]]] = True
        at += len(rows)
        mask &= ~duplicate
        if duplicate.any():
            fault = Fault("duplicate-key", "", duplicate)
            quarantine.add(replace(delivered, broken=()), np.where(duplicate, 0, -1), [fault])


def _accepted(chunks: list[_Chunk], keys: Keys) -> pd.DataFrame:
    """The good rows of all chunks, which are used up: at most one column is in memory twice."""
    columns = {}
    for name in list(chunks[0].typed):
        pieces = [chunk.typed.pop(name)[chunk.good] for chunk in chunks]
        columns[name] = pd.concat(pieces, ignore_index=True)
    return pd.DataFrame({**columns, KEY_COLUMN: keys}, copy=False)


def _quartiles(chunks: list[_Chunk]) -> dict[str, tuple[float, float, float]]:
    found = {}
    for name in NUMBERS:
        values = np.concatenate([chunk.typed[name].to_numpy() for chunk in chunks])
        values = values[~np.isnan(values)]
        if len(values):
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), overwrite_input=True)
            found[name] = (float(low), float(middle), float(high))
    return found
