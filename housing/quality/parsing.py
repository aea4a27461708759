"""From delivered values to typed ones, a whole column at a time, with a mask for each fault.

A clean column takes one vectorised cast; only others are parsed value by value.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from housing.array_types import Floats, Mask

MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none", "<na>")
"""Read as an empty field, in any case and with blanks around it."""

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INFINITY = r"^[+-]?inf(inity)?$"
_DATE = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
BLANKS = " \t"
"""Allowed around a value. Any other white space, and every control character, is part of it: such a
file is damaged, or was not written for this system."""

_ODD = r"[\x00-\x1f\x7f-\x{9f}]|^[\p{Z}\x{feff}\x{200b}]|[\p{Z}\x{feff}\x{200b}]$"
"""In an id: control characters anywhere, and invisible white space at its ends."""


class Numbers(NamedTuple):
    """A column of numbers; all of shape (n,), and a row is in at most one mask."""

    values: Floats  # NaN where there is no finite number
    missing: Mask
    not_a_number: Mask
    not_finite: Mask


def text_of(column: pd.Series) -> pa.ChunkedArray:
    """The column as text; null where nothing was delivered."""
    if isinstance(column.dtype, pd.StringDtype):
        array = pa.array(column, from_pandas=True)
    else:
        array = pa.array(
            [None if pd.isna(value) else str(value) for value in column], type=pa.string()
        )
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def mask_of(array: pa.ChunkedArray) -> Mask:
    """A boolean column as a mask; null counts as false."""
    return np.asarray(pc.fill_null(array, False).to_numpy(), dtype=np.bool_)


def _words(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Values without surrounding blanks, and which of them are missing."""
    trimmed = pc.utf8_trim(text, characters=BLANKS)
    absent = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(MISSING_WORDS, text.type))
    return trimmed, mask_of(pc.or_(absent, pc.is_null(text)))


def numbers(column: pd.Series) -> Numbers:
    """Read a column as numbers: a decimal point, an optional exponent, no thousands separator."""
    nothing = np.zeros(len(column), dtype=np.bool_)
    if pd.api.types.is_bool_dtype(column.dtype):
        return Numbers(np.full(len(column), np.nan), nothing, ~nothing, nothing)
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return _finite(values, np.isnan(values), nothing)
    text = text_of(column)
    plain = _plain_numbers(text)
    if plain is not None:
        return Numbers(plain, np.isnan(plain), nothing, nothing)
    trimmed, missing = _words(text)
    looks = mask_of(pc.match_substring_regex(trimmed, _NUMBER))
    infinite = mask_of(pc.match_substring_regex(trimmed, _INFINITY, ignore_case=True))
    digits = pc.if_else(pa.array(looks), trimmed, pa.scalar(None, text.type))
    values = np.array(pc.cast(digits, pa.float64()).to_numpy(), dtype=np.float64)
    values[infinite] = np.inf
    return _finite(values, missing, ~looks & ~infinite & ~missing)


def _plain_numbers(text: pa.ChunkedArray) -> Floats | None:
    """The fast path: every field is a finite number or empty. None where anything else occurs."""
    filled = pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text)
    try:
        cast = pc.cast(filled, pa.float64())
    except pa.ArrowInvalid:
        return None
    values = np.asarray(cast.to_numpy(), dtype=np.float64)
    finite = np.isfinite(values).sum() == len(values) - cast.null_count
    return values if finite else None


def _finite(values: Floats, missing: Mask, junk: Mask) -> Numbers:
    infinite = np.isinf(values)
    if infinite.any():
        values = np.where(infinite, np.nan, values)
    return Numbers(values, missing, junk, infinite)


def categories(
    column: pd.Series, known: tuple[str, ...]
) -> tuple[npt.NDArray[np.int32], Mask, Mask]:
    """Position of each value in `known` (-1 for none), which are missing, which are unknown."""
    text = text_of(column)
    codes = _positions(text, known)
    if (codes >= 0).all():
        nothing = np.zeros(len(codes), dtype=np.bool_)
        return codes, nothing, nothing
    trimmed, missing = _words(text)
    codes = _positions(trimmed, known)
    return codes, missing & (codes < 0), ~missing & (codes < 0)


def _positions(text: pa.ChunkedArray, known: tuple[str, ...]) -> npt.NDArray[np.int32]:
    found = pc.index_in(text, value_set=pa.array(known, text.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int32)


def times(column: pd.Series) -> tuple[pd.Series, Mask]:
    """Read a column as points in time (UTC without an offset), and which are not ISO 8601."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        stamps = column.dt.tz_localize("UTC") if column.dt.tz is None else column
        return stamps.dt.tz_convert("UTC").dt.as_unit("us"), np.zeros(len(column), dtype=np.bool_)
    trimmed, missing = _words(text_of(column))
    looks = pc.if_else(
        pc.match_substring_regex(trimmed, _DATE), trimmed, pa.scalar(None, trimmed.type)
    )
    stamps = pd.to_datetime(
        pd.Series(looks.to_pandas(), index=column.index, dtype="str"),
        format="ISO8601", utc=True, errors="coerce",
    ).dt.as_unit("us")  # fmt: skip
    return stamps, stamps.isna().to_numpy() & ~missing


def identifiers(column: pd.Series, longest: int) -> tuple[pd.Series, Mask]:
    """Read a column as rows' own ids, NaN where none, and which are too long or not text."""
    trimmed, missing = _words(text_of(column))
    bad = pc.or_(
        pc.greater(pc.utf8_length(trimmed), longest), pc.match_substring_regex(trimmed, _ODD)
    )
    ids = pc.if_else(pa.array(missing), pa.scalar(None, trimmed.type), trimmed)
    return pd.Series(ids.to_pandas(), index=column.index, dtype="str"), mask_of(bad) & ~missing
