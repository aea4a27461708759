"""A file of rows into a file of predictions, a chunk at a time: memory does not grow with it.

CSV and Parquet, whole or not at all: the predictions are complete before the first byte of them
is sent. An invalid row gets a message instead of a prediction. Files are read, and values checked,
as on intake.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from housing.errors import FileUnreadable
from housing.inference.columns import NUMBER_FEATURES, Columns, columns_of_frame
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.quality.values import fault_message, first_fault, read_columns
from housing.schema import (
    CATALOGUE,
    FEATURES,
    ID_COLUMN,
    REQUIRED,
    TARGET,
    TIME_COLUMN,
    WORDING,
    unused_name,
)
from housing.sources.delimited import CsvTable
from housing.sources.files import ReadLimits, memory_named, read_blocks
from housing.sources.header import Wanted
from housing.sources.parquet import ParquetTable, plain_frame

NUMBERS = ("predicted", "lower", "upper")
OUTPUT_COLUMNS = {name: unused_name(name) for name in (*NUMBERS, "extrapolates", "model", "error")}
"""Columns that are added to those of the file, and their names in it."""

LIMITS = ReadLimits(max_bytes=2**50, max_rows=2**40)
"""A file may be of any length, as some rows of it are in memory at a time; not of any shape."""

_NULLABLE = tuple(name for name in FEATURES if CATALOGUE[name].nullable)
WANTED = Wanted(REQUIRED, (*_NULLABLE, ID_COLUMN, TIME_COLUMN, TARGET))
"""Columns that are returned with the predictions; others are left out."""

Ids = Sequence[str | None]

OnChunk = Callable[[Columns, Predictions | None, Ids], None]
"""Called for each chunk with its valid rows, their predictions (None without any) and their own
ids; may raise."""


@dataclass(frozen=True)
class FileScore:
    """Counts of a file's rows."""

    rows: int
    predicted: int
    extrapolated: int

    @property
    def invalid(self) -> int:
        """Rows without a prediction."""
        return self.rows - self.predicted


def score(
    served: LoadedModel,
    source: Path,
    target: Path,
    *,
    name: str,
    kind: str,
    on_chunk: OnChunk = lambda *_: None,
) -> FileScore:
    """Predict every row of `source` (kind "csv" or "parquet") into `target`, of the same kind.

    FileUnreadable where it is no table with these columns; `target` is then not to be used.
    """
    rows = predicted = extrapolated = 0
    with memory_named(name), _writer(target, kind) as write:
        for table in _tables(source, name, kind):
            scored, good, far = _scored(served, table, name, on_chunk)
            write(scored)
            rows += table.num_rows
            predicted += good
            extrapolated += far
    if not rows:
        why = (
            f"has no {WORDING.rows}: a header and nothing below. Add a line for each {WORDING.row}"
        )
        raise FileUnreadable(file=name, why=why)
    return FileScore(rows, predicted, extrapolated)


def _scored(
    served: LoadedModel, table: pa.Table, name: str, on_chunk: OnChunk
) -> tuple[pa.Table, int, int]:
    """The table with OUTPUT_COLUMNS, and its numbers of predictions and of extrapolations."""
    known = [ID_COLUMN] if ID_COLUMN in table.column_names else []
    columns, ids, errors = _checked(plain_frame(table.select([*FEATURES, *known]), name))
    good = np.flatnonzero([error is None for error in errors])
    valid = {name: values[good] for name, values in columns.items()}
    found = {name: np.full(len(errors), np.nan) for name in NUMBERS}
    flags = np.zeros(len(errors), dtype=np.bool_)
    predictions = served.predictions(valid) if len(good) else None
    on_chunk(valid, predictions, [ids[row] for row in good.tolist()])
    if predictions is not None:
        for name, values in found.items():
            values[good] = getattr(predictions, name)
        flags[good] = predictions.extrapolates
    mask = np.ones(len(errors), dtype=np.bool_)
    mask[good] = False
    added = {
        **{name: pa.array(values, from_pandas=True) for name, values in found.items()},
        "extrapolates": pa.array(flags, mask=mask),
        "model": pa.array([served.name] * len(errors), pa.string()),
        "error": pa.array(errors, pa.string()),
    }
    for name, column in OUTPUT_COLUMNS.items():
        table = table.append_column(column, added[name])
    return table, len(good), int(flags.sum())


def _checked(frame: pd.DataFrame) -> tuple[Columns, Ids, list[str | None]]:
    """The features and the own id of each row, and the message about its first fault."""
    typed, faults = read_columns(frame, list(frame.columns))
    first = first_fault(faults, len(frame))
    ids: list[str | None] = [None] * len(frame)
    if ID_COLUMN in typed:
        own = typed.pop(ID_COLUMN)
        ids = own.astype(object).where(own.notna(), None).tolist()
    errors: list[str | None] = [None] * len(frame)
    for row in np.flatnonzero(first >= 0).tolist():
        code, column, _ = faults[first[row]]
        errors[row] = f"{column}: {fault_message(code, column, frame[column].iloc[row])}"
    return columns_of_frame(pd.DataFrame(typed)), ids, errors


# --- reading --------------------------------------------------------------------------------


def _tables(path: Path, name: str, kind: str) -> Iterator[pa.Table]:
    if kind == "parquet":
        yield from map(_complete, ParquetTable(path, name, LIMITS, WANTED).tables())
        return
    for chunk in CsvTable(partial(read_blocks, path, LIMITS), name, LIMITS, WANTED).chunks():
        for broken in chunk.broken:
            why = f"line {broken.line}: {broken.why}. Correct the line, or leave it out"
            raise FileUnreadable(file=name, why=why)
        yield _complete(pa.Table.from_pandas(chunk.frame, preserve_index=False))


def _complete(table: pa.Table) -> pa.Table:
    """With every feature: a column that may be empty may be left out."""
    for name in _NULLABLE:
        if name not in table.column_names:
            kind = pa.float64() if name in NUMBER_FEATURES else pa.string()
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    return table


# --- writing --------------------------------------------------------------------------------


@contextmanager
def _writer(path: Path, kind: str) -> Iterator[Callable[[pa.Table], None]]:
    writer: pq.ParquetWriter | arrow_csv.CSVWriter | None = None

    def write(table: pa.Table) -> None:
        nonlocal writer
        if writer is None:
            if kind == "csv":
                writer = arrow_csv.CSVWriter(path, table.schema)
            else:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


def kind_of(path: Path) -> str:
    """ "csv" or "parquet", by the file's suffix; FileUnreadable for neither."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in ("csv", "parquet"):
        why = "is neither .csv nor .parquet. Give it its true suffix, or convert it"
        raise FileUnreadable(file=path.name, why=why)
    return suffix
