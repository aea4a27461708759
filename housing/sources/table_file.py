"""One table file, whatever its format: which formats there are, and reading any of them.

The formats themselves belong in `delimited` and `parquet`, bytes and limits in `files`.
"""

from functools import partial
from pathlib import Path

from housing.errors import FileUnreadable
from housing.sources.delimited import CsvTable
from housing.sources.files import ReadLimits, load, read_blocks, shown
from housing.sources.header import DELIVERED, Wanted
from housing.sources.parquet import ParquetTable

FileTable = CsvTable | ParquetTable

FORMATS = (".csv", ".csv.gz", ".parquet")
"""Suffixes of the files that are read."""


def is_table(path: Path) -> bool:
    """Whether the name has a suffix of FORMATS."""
    return path.name.lower().endswith(FORMATS)


def require_table(path: Path) -> None:
    """FileUnreadable where the suffix is unknown."""
    if not is_table(path):
        why = f"is not a table; these are read: {', '.join(FORMATS)}"
        next_step = "Give it its true suffix, or move it elsewhere"
        raise FileUnreadable(file=shown(path), why=f"{why}. {next_step}")


def read_table(
    path: Path, limits: ReadLimits, *, digest: str | None = None, wanted: Wanted = DELIVERED
) -> FileTable:
    """Open a table file; with `digest`, only if its bytes are still those.

    FileUnreadable, here or while its chunks are read, for whatever is wrong with the file as a
    whole: its message names the file, the line and the column where there are such, and the next
    step.
    """
    require_table(path)
    if path.suffix.lower() == ".parquet":
        return ParquetTable(load(path, limits, digest=digest), shown(path), limits, wanted)
    blocks = partial(read_blocks, path, limits, digest=digest)
    return CsvTable(blocks, shown(path), limits, wanted, path)
