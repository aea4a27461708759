"""Value rules: what a field of each column may hold, and the message for a value that breaks one.

Delivered files, files to predict, requests and labels are checked by these rules and get these
messages.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from housing.array_types import Integers, Mask
from housing.quality import parsing
from housing.schema import CATALOGUE, ID_COLUMN, TABLE, TIME_COLUMN, WORDING

VALUE_RULES: Mapping[str, str] = {
    "missing": "a required field is empty (or `NA`, `N/A`, `NaN`, `null`, `None`, in any case)",
    "not-a-number": "a field of a number column is not a number; the decimal mark is a point, and "
    "there is no thousands separator",
    "not-finite": "a number is infinite, or too large for a 64-bit floating-point number",
    "range": "a number is outside its column's range",
    "category": "a category is not one of the catalogue's",
    "not-a-date": "a time is not ISO 8601 (`2024-12-31`, `2024-12-31T06:00:00Z`)",
    "bad-id": f"the id of the {WORDING.row} has control characters, or more than 200 in all",
    "exceeds": "a number is larger than the one that includes it",
}
"""Codes of the value rules, and when a value breaks each."""

LONGEST_ID = 200  # characters
LONGEST_SHOWN = 60  # characters of a value that a message repeats


class Fault(NamedTuple):
    """A rule, a column, and a mask of the rows whose value breaks the rule; shape (n,)."""

    code: str
    column: str
    rows: Mask


def read_columns(
    frame: pd.DataFrame, names: Sequence[str]
) -> tuple[dict[str, pd.Series], list[Fault]]:
    """The columns `names` of a delivered table in their types, and their faults in that order.

    Numbers become float64 (those out of range stay as they are), categories the catalogue's
    category type, ids text, times datetime64[us, UTC]. A value that cannot be read is missing.
    """
    typed: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    for name in names:
        typed[name], found = _read_column(name, frame[name])
        faults += found
    faults += [
        Fault("exceeds", part, (typed[part] > typed[whole]).to_numpy())
        for part, whole in TABLE.not_above
        if part in typed and whole in typed
    ]
    return typed, [fault for fault in faults if fault.rows.any()]


def _read_column(name: str, delivered: pd.Series) -> tuple[pd.Series, list[Fault]]:
    if name == ID_COLUMN:
        values, bad = parsing.identifiers(delivered, LONGEST_ID)
        return values, [Fault("bad-id", name, bad)]
    if name == TIME_COLUMN:
        values, bad = parsing.times(delivered)
        return values, [Fault("not-a-date", name, bad)]
    column = CATALOGUE[name]
    if column.kind == "category":
        codes, missing, unknown = parsing.categories(delivered, column.categories)
        values = pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(column.categories)))
        faults = [Fault("category", name, unknown)]
    else:
        read = parsing.numbers(delivered)
        low = -np.inf if column.minimum is None else column.minimum
        high = np.inf if column.maximum is None else column.maximum
        values, missing = pd.Series(read.values), read.missing
        faults = [
            Fault("not-a-number", name, read.not_a_number),
            Fault("not-finite", name, read.not_finite),
            Fault("range", name, (read.values < low) | (read.values > high)),
        ]
    if not column.nullable:
        faults.append(Fault("missing", name, missing))
    return values, faults


def first_fault(faults: Sequence[Fault], rows: int) -> Integers:
    """Index of each row's first fault, shape (rows,); -1 for none."""
    first = np.full(rows, -1, dtype=np.int64)
    for index, fault in enumerate(faults):
        first[fault.rows & (first < 0)] = index
    return first


def fault_message(code: str, name: str, value: object = None) -> str:
    """The message for a value of the column `name` that breaks the rule `code`."""
    if code == "missing":
        return f"is missing; {_expected(name)} is required"
    if code == "exceeds":
        whole = next(whole for part, whole in TABLE.not_above if part == name)
        return f"{shown(value)} is more than the row's {whole}"
    what = {
        "not-a-number": "is not a number",
        "not-finite": "is not a finite number",
        "range": "is out of range",
        "category": "is not a known category",
        "not-a-date": "is not a time in ISO 8601",
        "bad-id": "cannot be an id",
    }[code]
    return f"{shown(value)} {what}; {_expected(name)} is expected"


def shown(value: object) -> str:
    """The value as Python writes it, shortened."""
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        value = value[:LONGEST_SHOWN] + "..."
    text = repr(value)
    return text if len(text) <= 2 * LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


def _expected(name: str) -> str:
    if name == ID_COLUMN:
        return f"text of at most {LONGEST_ID} characters, none of them a control character,"
    if name == TIME_COLUMN:
        return "2024-12-31 or 2024-12-31T06:00:00Z"
    column = CATALOGUE[name]
    if column.kind == "category":
        return "one of " + ", ".join(repr(category) for category in column.categories)
    within = "a number" if column.range == "any" else f"a number from {column.range}"
    return f"{within} ({column.unit})"
