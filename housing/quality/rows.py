"""Row rules: which delivered rows are districts, and why each other row is not.

Every rule derives from the column catalogue and has a stable code. A row that breaks several is
turned away for the first, in catalogue order. How a fault is
put in words belongs in `rejections`, what becomes of a whole batch in `batches`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.keys import district_keys
from housing.quality import casts
from housing.quality.casts import Mask
from housing.quality.rejections import LONGEST_ID, rejected_rows, summary
from housing.quality.table import RawTable
from housing.records import Rejection
from housing.schema import (
    COLUMNS,
    ID_COLUMN,
    NOT_ABOVE,
    NUMBERS,
    TIME_COLUMN,
    Column,
)

KEY_COLUMN = "key"
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
    "duplicate-key": "the district stands twice or more in the batch; all its rows are turned away",
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


def validate(raw: RawTable, name: str) -> Validated:
    """Split a delivered table into districts and rejected rows; `name` is used in messages."""
    frame = raw.frame.reset_index(drop=True)
    typed, faults = _typed(frame)
    faults += _exceeding(typed)
    first = _first_fault(faults, len(frame))
    good = first < 0
    keys = district_keys(_only(typed, good))
    twice = pd.Series(keys).duplicated(keep=False).to_numpy()
    if twice.any():
        collided = np.zeros(len(frame), dtype=np.bool_)
        collided[np.flatnonzero(good)[twice]] = True
        first[collided] = len(faults)
        good &= ~collided
        keys = keys[~twice]
    faults.append(_Fault("duplicate-key", "", ~good))
    accepted = _only(typed, good).reset_index(drop=True).assign(**{KEY_COLUMN: keys})
    rejected = rejected_rows(raw, frame, first, [(f.code, f.column) for f in faults])
    return Validated(
        name=name,
        read=raw.read,
        accepted=accepted,
        rejected=rejected,
        rejections=summary(rejected, name, raw.place),
        delivered=_quartiles(typed, frame),
        notes=raw.notes,
    )


def _only(typed: pd.DataFrame, rows: Mask) -> pd.DataFrame:
    """These rows; the frame itself where they are all, as a copy of millions is felt."""
    return typed if rows.all() else typed.loc[rows]


# --- the rules ------------------------------------------------------------------------------


def _typed(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[_Fault]]:
    """All columns cast, and what is wrong with each; out-of-range numbers stay as they are."""
    typed: dict[str, object] = {}
    faults: list[_Fault] = []
    for column in COLUMNS:
        check = _number_column if column.kind == "number" else _category_column
        typed[column.name], found = check(column, frame[column.name])
        faults += [fault for fault in found if fault.rows.any()]
    if ID_COLUMN in frame:
        typed[ID_COLUMN], bad = casts.identifiers(frame[ID_COLUMN], LONGEST_ID)
        faults.append(_Fault("bad-id", ID_COLUMN, bad))
    if TIME_COLUMN in frame:
        typed[TIME_COLUMN], bad = casts.times(frame[TIME_COLUMN])
        faults.append(_Fault("not-a-date", TIME_COLUMN, bad))
    return pd.DataFrame(typed, index=frame.index), faults


def _number_column(
    column: Column, delivered: pd.Series
) -> tuple[npt.NDArray[np.float64], list[_Fault]]:
    read = casts.numbers(delivered)
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    faults = [
        _Fault("not-a-number", column.name, read.not_a_number),
        _Fault("not-finite", column.name, read.not_finite),
        _Fault("range", column.name, (read.values < low) | (read.values > high)),
    ]
    if not column.nullable:
        faults.append(_Fault("missing", column.name, read.missing))
    return read.values, faults


def _category_column(column: Column, delivered: pd.Series) -> tuple[pd.Series, list[_Fault]]:
    codes, missing, unknown = casts.categories(delivered, column.categories)
    faults = [_Fault("category", column.name, unknown)]
    if not column.nullable:
        faults.append(_Fault("missing", column.name, missing))
    values = pd.Categorical.from_codes(codes, categories=pd.Index(column.categories))
    return pd.Series(values, index=delivered.index), faults


def _exceeding(typed: pd.DataFrame) -> list[_Fault]:
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


def _quartiles(typed: pd.DataFrame, frame: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    found = {}
    for name in NUMBERS:
        values = typed[name].to_numpy()
        values = values[~np.isnan(values)]
        if len(values):
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
            found[name] = (float(low), float(middle), float(high))
    return found
