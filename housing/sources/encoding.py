"""Whether bytes are plain UTF-8 text, and if not, what they seem to be and how to mend that.

Nothing here guesses a conversion: a wrong guess changes data silently.
"""

from typing import NamedTuple

from housing.errors import FileUnreadable


class _Mark(NamedTuple):
    start: bytes
    what: str
    advice: str


_MARKS = (
    _Mark(b"PAR1", "a Parquet file", "Give it the suffix .parquet"),
    _Mark(b"\x1f\x8b", "gzip", "Give it the suffix .csv.gz"),
    _Mark(b"\x28\xb5\x2f\xfd", "packed with zstd", "Deliver it as .csv or .csv.gz"),
    _Mark(b"PK\x03\x04", "a zip archive or an Excel workbook", "Export the sheet as CSV UTF-8"),
    _Mark(b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Export the sheet as CSV UTF-8"),
    _Mark(b"SQLite format 3\0", "a SQLite database", "Export the table as CSV UTF-8"),
)
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_C1 = range(0x80, 0xA0)  # control characters in Latin-1, letters and quotes in Windows-1252


def plain_text(data: bytearray, name: str) -> bytearray:
    """The text with LF line ends and without byte-order mark; FileUnreadable unless it is UTF-8."""
    for mark in _MARKS:
        if data.startswith(mark.start):
            raise FileUnreadable(
                file=name, why=f"is {mark.what}, whatever its name says. {mark.advice}"
            )
    if data.startswith(_WIDE_MARKS) or data.count(b"\0") > len(data) // 4 > 0:
        raise FileUnreadable(
            file=name,
            why="line 1: the text is UTF-16, and UTF-8 is wanted. Convert it: "
            "iconv -f UTF-16 -t UTF-8 OLD > NEW",
        )
    if data.startswith(_UTF8_MARK):
        data = data[len(_UTF8_MARK) :]
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data or data.isspace():
        raise FileUnreadable(
            file=name, why=f"is empty ({len(data)} bytes). It needs a header and a line a district"
        )
    if (zero := data.find(b"\0")) >= 0:
        why = (
            f"{_place(data, zero)} holds a zero byte: it is damaged, or not text. Deliver it again"
        )
        raise FileUnreadable(file=name, why=why)
    if not data.isascii():
        _refuse_other_encoding(data, name)
    return data


def _refuse_other_encoding(data: bytearray, name: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[data.rfind(b"\n", 0, error.start) + 1 :].partition(b"\n")[0]
        guess = "WINDOWS-1252" if any(byte in _C1 for byte in line) else "ISO-8859-1"
        raise FileUnreadable(
            file=name,
            why=f"{_place(data, error.start)}: byte 0x{data[error.start]:02X} is not UTF-8. "
            f"It looks like {guess}. Convert it: iconv -f {guess} -t UTF-8 OLD > NEW",
        ) from error


def _place(data: bytearray, at: int) -> str:
    """Line and column (counted in fields) of a byte."""
    line = data.count(b"\n", 0, at) + 1
    field = data.count(b",", data.rfind(b"\n", 0, at) + 1, at) + 1
    return f"line {line}, column {field}"
