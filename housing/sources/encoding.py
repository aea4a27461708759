"""Messages for bytes that are not UTF-8 text: what they seem to be, and the next step.

Nothing is converted: a wrong guess would change data silently.
"""

from pathlib import Path

from housing.errors import FileUnreadable
from housing.schema import WORDING
from housing.sources.files import shell_word

_FORMATS = {
    b"PAR1": "a Parquet file under another name. Give it the suffix .parquet",
    b"\x1f\x8b": "gzip under another name. Give it the suffix .csv.gz",
    b"\x28\xb5\x2f\xfd": "packed with zstd. Deliver it as .csv or .csv.gz",
    b"PK\x03\x04": "a zip archive or an Excel workbook. Export the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook. Export the sheet as CSV UTF-8",
    b"SQLite format 3\0": "a SQLite database. Export the table as CSV UTF-8",
}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_C1 = range(0x80, 0xA0)  # control characters in Latin-1, letters and quotes in Windows-1252


def refuse_other_formats(start: bytes, name: str) -> None:
    """FileUnreadable where a file begins like another format, or has no text."""
    for mark, what in _FORMATS.items():
        if start.startswith(mark):
            raise FileUnreadable(file=name, why=f"is {what}")
    if not start or start.isspace():
        why = f"is empty. It needs a header, and a line for each {WORDING.row}"
        raise FileUnreadable(file=name, why=why)


def refuse_other_encoding(text: bytes, line: int, name: str, path: Path | None) -> None:
    """FileUnreadable where text, whose first line has the number `line`, is not UTF-8.

    The message has the command that converts the file at `path`.
    """
    if text.startswith(_UTF16_MARKS) or text.count(b"\0") > len(text) // 4 > 0:
        why = f"line {line}: the text is UTF-16, and UTF-8 is expected. "
        raise FileUnreadable(file=name, why=why + _conversion("UTF-16", path))
    if (zero := text.find(b"\0")) >= 0:
        why = f"{_position(text, zero, line)} holds a zero byte: it is damaged, or not text"
        raise FileUnreadable(file=name, why=f"{why}. Deliver it again")
    if text.isascii():
        return
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
        own = text[text.rfind(b"\n", 0, at) + 1 :].partition(b"\n")[0]
        guess = "WINDOWS-1252" if any(byte in _C1 for byte in own) else "ISO-8859-1"
        raise FileUnreadable(
            file=name,
            why=f"{_position(text, at, line)}: byte 0x{text[at]:02X} is not UTF-8. "
            f"It looks like {guess}. {_conversion(guess, path)}",
        ) from error


def _conversion(encoding: str, path: Path | None) -> str:
    if path is None:  # an upload
        return f"Convert it from {encoding} to UTF-8"
    stem = path.name.removesuffix(".gz").removesuffix(".csv")
    old, new = shell_word(path), shell_word(path.with_name(f"{stem}.utf-8.csv"))
    if path.suffix.lower() == ".gz":
        return f"Convert it: `zcat {old} | iconv -f {encoding} -t UTF-8 > {new}`"
    return f"Convert it: `iconv -f {encoding} -t UTF-8 {old} > {new}`"


def _position(text: bytes, at: int, line: int) -> str:
    """Line and column (counted in fields) of a byte."""
    field = text.count(b",", text.rfind(b"\n", 0, at) + 1, at) + 1
    own = line + text.count(b"\n", 0, at)
    return f"line {own}, column {field}"
