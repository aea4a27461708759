"""A row's own id as text, from every type of a database or a Parquet file.

101 as an integer, a decimal or a text is '101'. Rules for the text belong in `quality`.
"""

from datetime import date
from decimal import Decimal
from typing import Any

from housing.errors import FileUnreadable
from housing.schema import ID_COLUMN

EXACT = 2**53
"""Whole numbers from here on share their floating-point value of 64 bits with others."""

EXACT_32 = 2**24
"""The same for floating-point numbers of 32 bits."""


def id_text(value: Any, file: str, exact: int = EXACT) -> str | None:
    """The id as text, None for a missing one. Floating-point numbers count below `exact`.

    FileUnreadable for a floating-point number that may stand for several ids.
    """
    if value is None or value != value:  # NaN alone differs from itself
        return None
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= exact:
            why = f"{ID_COLUMN} holds the floating-point number {value!r}, and an id must be exact"
            raise FileUnreadable(file=file, why=f"{why}. Make the column text or whole numbers")
        return str(int(value))
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, date):
        return value.isoformat()
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
