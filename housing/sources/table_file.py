"""One table file, whatever its format: which formats there are, and reading any of them.

The formats themselves belong in `delimited` and `parquet`, bytes and limits in `files`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from housing.errors import FileUnreadable
from housing.sources.delimited import CsvText, parse_csv
from housing.sources.files import ReadLimits, load, memory_named, shown
from housing.sources.parquet import ParquetRows, parse_parquet

FileTable = CsvText | ParquetRows
Parser = Callable[[bytearray, str, ReadLimits], FileTable]

FORMATS: Mapping[str, Parser] = {
    ".csv": parse_csv,
    ".csv.gz": parse_csv,
    ".parquet": parse_parquet,
}


def is_table(path: Path) -> bool:
    """Whether the name has a suffix that FORMATS knows."""
    return path.name.lower().endswith(tuple(FORMATS))


def parser_of(path: Path) -> Parser:
    """What reads the file's content; FileUnreadable where its suffix is unknown."""
    for suffix, parser in FORMATS.items():
        if path.name.lower().endswith(suffix):
            return parser
    known = ", ".join(FORMATS)
    why = f"is not a table; these are read: {known}. Give it its true suffix, or move it elsewhere"
    raise FileUnreadable(file=shown(path), why=why)


def read_table(path: Path, limits: ReadLimits, *, digest: str | None = None) -> FileTable:
    """Read a table file; with `digest`, only if its bytes are still those.

    Raises FileUnreadable for whatever is wrong with the file as a whole: its message names the
    file, the line and the column where there are such, and what to do.
    """
    parse = parser_of(path)
    with memory_named(shown(path)):
        content = load(path, limits, digest=digest, text=parse is parse_csv)
        return parse(content, shown(path), limits)
