"""Row rules: which delivered rows are districts, and why each other row is not.

Every rule derives from the column catalogue and has a stable code. A row that breaks several is
turned away for the first, in catalogue order. How a fault is
put in words belongs in `rejections`, what becomes of a whole batch in `batches`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.keys import KEY_COLUMN, Keys, district_keys
from housing.quality import parsing
from housing.quality.parsing import Mask
from housing.quality.rejections import LONGEST_ID, rejected_rows, summary
from housing.quality.table import Raw, RawTable
from housing.records import Rejection
from housing.schema import (
    COLUMNS,
    ID_COLUMN,
    KEY,
    NOT_ABOVE,
    NUMBERS,
    TIME_COLUMN,
    Column,
)

"""Column of an accepted table that holds the district's key (int64, `housing.keys`)."""


ROW_RULES: Mapping[str, str] = {
    "missing": "a required field is empty (or `NA`, `NaN`, `null`, `None`, in any case)",
    "not-a-number": "a field of a number column holds something else; a decimal point is a point, "
    "and thousands have no separator",
    "not-finite": "a number is infinite, or too large to be written as one",
    "range": "a number is outside its column's range",
    "category": "a category is not one of the catalogue's",
    "not-a-date": "a time is not ISO 8601 (`2024-12-31`, `2024-12-31T06:00:00Z`)",
    "bad-id": "a district's own id is longer than 200 characters or holds control characters",
    "exceeds": "a number is larger than the one which holds it, e.g. more bedrooms than rooms",
    "duplicate-key": "the district stands twice or more in the batch; all its rows are rejected",
    "fields": "a line has more or fewer fields than the header",
    "quote": "a quotation mark on the line is not closed on it, or stands in the wrong place",
}
"""Codes of the row rules and what breaks them; docs/data.md is made from this."""


@dataclass(frozen=True)
class Validated:
    """A table, split: `len(accepted) + len(rejected) == read`, always.

    `accepted` has the catalogue's columns in its order and dtypes, the optional ones where they
    were delivered (text, datetime64[us, UTC]) and `key`. `rejected` has a row each: line (int64),
    code, column, value (as delivered), raw (the row as JSON text).
    """

    name: str  # of the file or table, for people
    read: int  # rows
    accepted: pd.DataFrame
    rejected: pd.DataFrame
    rejections: tuple[Rejection, ...]  # their `rows` add up to len(rejected)
    delivered: Mapping[str, tuple[float, float, float]]
    """Quartiles of each number column over every finite number delivered, accepted or not."""
    notes: tuple[str, ...] = ()


class _Fault(NamedTuple):
    code: str
    column: str
    rows: Mask


def validate(raw: Raw, name: str, watch: Callable[[int], object] = lambda rows: None) -> Validated:
    """Split a delivered table into districts and rejected rows; `name` is used in messages.

    A part of it is read and checked at a time, and of its text nothing is kept but that of
    rejected rows. `watch` is told how many rows have been checked so far.
    """
    parts: list[_Part] = []
    for delivered in raw.parts():
        parts.append(_checked(delivered))
        watch(sum(part.read for part in parts))
    keys = np.concatenate([part.keys for part in parts])
    twice = pd.Series(keys).duplicated(keep=False).to_numpy()
    again = list(_turned_away(raw, parts, twice)) if twice.any() else []
    found = pd.concat([*(part.rejected for part in parts), *again])
    rejected = found.sort_values("line", kind="stable", ignore_index=True)
    quartiles = _quartiles(parts)  # before the parts are used up
    return Validated(
        name=name,
        read=sum(part.read for part in parts),
        accepted=_accepted(parts, keys[~twice]),
        rejected=rejected,
        rejections=summary(rejected, name, raw.place),
        delivered=quartiles,
        notes=raw.notes,
    )


# --- parts ----------------------------------------------------------------------------------


@dataclass
class _Part:
    """A part of a table, checked by itself."""

    read: int  # rows, broken lines among them
    typed: dict[str, pd.Series]  # every row, good or bad
    good: Mask
    keys: Keys  # of the good rows
    rejected: pd.DataFrame


def _checked(delivered: RawTable) -> _Part:
    frame = delivered.frame.reset_index(drop=True)
    typed, faults = _typed(frame)
    faults += _exceeding(typed)
    first = _first_fault(faults, len(frame))
    good = first < 0
    identity = pd.DataFrame(
        {name: typed[name][good] for name in (*KEY, ID_COLUMN) if name in typed}
    )
    rules = [(fault.code, fault.column) for fault in faults]
    rejected = rejected_rows(delivered, frame, first, rules)
    return _Part(delivered.read, typed, good, district_keys(identity), rejected)


def _turned_away(raw: Raw, parts: list[_Part], twice: Mask) -> Iterator[pd.DataFrame]:
    """Take districts that stand twice out of the good rows; yields their rejected rows.

    Their text is read once more: of which parts they are is known when all have been read.
    """
    at = 0
    for delivered, part in zip(raw.parts(), parts, strict=True):
        collided = np.zeros(len(part.good), dtype=np.bool_)
        collided[np.flatnonzero(part.good)[twice[at : at + len(part.keys)]]] = True
        at += len(part.keys)
        part.good &= ~collided
        if collided.any():
            frame = delivered.frame.reset_index(drop=True)
            first = np.where(collided, 0, -1)
            rule = ("duplicate-key", "")
            yield rejected_rows(replace(delivered, broken=()), frame, first, [rule])


def _accepted(parts: list[_Part], keys: Keys) -> pd.DataFrame:
    """The good rows of all parts, which are used up: never more than one column is there twice."""
    columns = {}
    for name in list(parts[0].typed):
        pieces = []
        for part in parts:
            values = part.typed.pop(name)
            pieces.append(values if part.good.all() else values[part.good])
        columns[name] = pieces[0] if len(pieces) == 1 else pd.concat(pieces)
        columns[name].index = pd.RangeIndex(len(columns[name]))
    return pd.DataFrame({**columns, KEY_COLUMN: keys}, copy=False)


def _quartiles(parts: list[_Part]) -> dict[str, tuple[float, float, float]]:
    found = {}
    for name in NUMBERS:
        values = np.concatenate([part.typed[name].to_numpy() for part in parts])
        values = values[~np.isnan(values)]
        if len(values):
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), overwrite_input=True)
            found[name] = (float(low), float(middle), float(high))
    return found


# --- the rules ------------------------------------------------------------------------------


def _typed(frame: pd.DataFrame) -> tuple[dict[str, pd.Series], list[_Fault]]:
    """All columns cast, and what is wrong with each; out-of-range numbers stay as they are."""
    typed: dict[str, pd.Series] = {}
    faults: list[_Fault] = []
    for column in COLUMNS:
        check = _number_column if column.kind == "number" else _category_column
        typed[column.name], found = check(column, frame[column.name])
        faults += [fault for fault in found if fault.rows.any()]
    if ID_COLUMN in frame:
        typed[ID_COLUMN], bad = parsing.identifiers(frame[ID_COLUMN], LONGEST_ID)
        faults.append(_Fault("bad-id", ID_COLUMN, bad))
    if TIME_COLUMN in frame:
        typed[TIME_COLUMN], bad = parsing.times(frame[TIME_COLUMN])
        faults.append(_Fault("not-a-date", TIME_COLUMN, bad))
    return typed, faults


def _number_column(column: Column, delivered: pd.Series) -> tuple[pd.Series, list[_Fault]]:
    read = parsing.numbers(delivered)
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    faults = [
        _Fault("not-a-number", column.name, read.not_a_number),
        _Fault("not-finite", column.name, read.not_finite),
        _Fault("range", column.name, (read.values < low) | (read.values > high)),
    ]
    if not column.nullable:
        faults.append(_Fault("missing", column.name, read.missing))
    return pd.Series(read.values), faults


def _category_column(column: Column, delivered: pd.Series) -> tuple[pd.Series, list[_Fault]]:
    codes, missing, unknown = parsing.categories(delivered, column.categories)
    faults = [_Fault("category", column.name, unknown)]
    if not column.nullable:
        faults.append(_Fault("missing", column.name, missing))
    values = pd.Categorical.from_codes(codes, categories=pd.Index(column.categories))
    return pd.Series(values), faults


def _exceeding(typed: Mapping[str, pd.Series]) -> list[_Fault]:
    return [
        _Fault("exceeds", part, (typed[part] > typed[whole]).to_numpy())
        for part, whole in NOT_ABOVE
    ]


def _first_fault(faults: list[_Fault], rows: int) -> npt.NDArray[np.int64]:
    """Index of each row's first fault, shape (rows,); -1 for none."""
    first = np.full(rows, -1, dtype=np.int64)
    for index, fault in enumerate(faults):
        first[fault.rows & (first < 0)] = index
    return first
