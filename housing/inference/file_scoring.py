"""A file of districts into a file of answers, a chunk at a time: memory does not grow with it.

CSV and Parquet, whole or not at all: the answers are complete before the first byte of them
goes anywhere. A row that is not a district is answered with what is wrong with it. The rules are
those of `inputs`; intake's own readers hold a whole file in memory, which a server cannot.
"""

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from housing.errors import FileUnreadable
from housing.inference.columns import NUMBER_FEATURES, Columns, error_message
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.quality import parsing
from housing.schema import (
    CATALOGUE,
    CATEGORIES,
    FEATURES,
    ID_COLUMN,
    NOT_ABOVE,
    TARGET,
    TIME_COLUMN,
)
from housing.sources.files import ReadLimits
from housing.sources.parquet import ParquetTable, check_type

ANSWERS = ("predicted", "lower", "upper", "extrapolates", "model", "error")
"""Columns that are added to those of the file."""

CHUNK_ROWS = 20_000
BLOCK_BYTES = 1 << 20
LIMITS = ReadLimits(max_bytes=2**50, max_rows=2**40)
"""A file may be of any length, as only some rows of it are there at a time; not of any shape."""

Seen = Callable[[Columns, Predictions], None]
"""Told of each chunk: its valid rows and their answers."""


@dataclass(frozen=True)
class FileScore:
    """How a file was answered."""

    rows: int
    predicted: int
    extrapolated: int

    @property
    def invalid(self) -> int:
        """Rows that are no districts."""
        return self.rows - self.predicted


def score(
    served: LoadedModel,
    source: Path,
    target: Path,
    *,
    name: str,
    kind: str,
    seen: Seen = lambda *_: None,
) -> FileScore:
    """Answer every row of `source` (kind "csv" or "parquet") into `target`, of the same kind.

    FileUnreadable where it is no table of districts; `target` is then not to be used.
    """
    chunks = _csv_chunks(source, name) if kind == "csv" else _parquet_chunks(source, name)
    rows = answered = extrapolated = 0
    with _writer(target, kind) as write:
        for chunk in chunks:
            table, good, far = _answered(served, chunk, seen)
            write(table)
            rows += table.num_rows
            answered += good
            extrapolated += far
    if not rows:
        raise FileUnreadable(file=name, why="holds no districts: a header and nothing below")
    return FileScore(rows, answered, extrapolated)


def _answered(served: LoadedModel, table: pa.Table, seen: Seen) -> tuple[pa.Table, int, int]:
    columns, errors = typed(table)
    good = np.flatnonzero([not error for error in errors])
    valid = {name: values[good] for name, values in columns.items()}
    found = {name: np.full(len(errors), np.nan) for name in ("predicted", "lower", "upper")}
    flags = np.zeros(len(errors), dtype=np.bool_)
    if len(good):
        answers = served.predictions(valid)
        for name, values in found.items():
            values[good] = getattr(answers, name)
        flags[good] = answers.extrapolates
        seen(valid, answers)
    for name, values in found.items():
        table = table.append_column(name, pa.array(values, from_pandas=True))
    mask = np.ones(len(errors), dtype=np.bool_)
    mask[good] = False
    table = table.append_column("extrapolates", pa.array(flags, mask=mask))
    table = table.append_column("model", pa.array([served.name] * len(errors), pa.string()))
    table = table.append_column("error", pa.array([error or None for error in errors], pa.string()))
    return table, len(good), int(flags.sum())


def typed(table: pa.Table) -> tuple[Columns, list[str]]:
    """Delivered columns by the catalogue, and what is wrong with each row ("" for nothing)."""
    rows = table.num_rows
    errors = np.full(rows, "", dtype=object)
    columns: Columns = {}
    for name in FEATURES:
        column = CATALOGUE[name]
        delivered = table[name].to_pandas()
        if name in CATEGORIES:
            codes, missing, unknown = parsing.categories(delivered, column.categories)
            columns[name] = codes
            faults = [("category", unknown), ("missing", missing)]
        else:
            read = parsing.numbers(delivered)
            columns[name] = read.values
            low = -np.inf if column.minimum is None else column.minimum
            high = np.inf if column.maximum is None else column.maximum
            faults = [
                ("not-a-number", read.not_a_number),
                ("not-finite", read.not_finite),
                ("range", (read.values < low) | (read.values > high)),
                ("missing", read.missing),
            ]
        if column.nullable:
            faults.pop()
        for code, mask in faults:
            for row in np.flatnonzero(mask & (errors == "")):
                value = delivered.iloc[row]
                errors[row] = f"{name}: {error_message(code, column, value)}"
    for part, whole in NOT_ABOVE:
        for row in np.flatnonzero((columns[part] > columns[whole]) & (errors == "")):
            errors[row] = f"{part}: is more than the row's {whole}"
    return columns, errors.tolist()


# --- reading --------------------------------------------------------------------------------

WANTED = (*FEATURES, ID_COLUMN, TIME_COLUMN, TARGET)
"""Columns that are handed back with the answers; others are left out."""


def _present(names: Sequence[str], name: str, where: str) -> list[int]:
    """Positions of the wanted columns among a file's; FileUnreadable names what is missing."""
    clean = [column.strip() for column in names]
    if len(clean) > LIMITS.max_columns:
        why = f"has {len(clean):,} columns, at most {LIMITS.max_columns:,} are read"
        raise FileUnreadable(file=name, why=why)
    required = [c for c in FEATURES if not CATALOGUE[c].nullable]
    missing = [column for column in required if column not in clean]
    if missing:
        raise FileUnreadable(
            file=name,
            why=f"{where} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}. "
            "It must name: " + ", ".join(FEATURES),
        )
    doubled = [column for column in WANTED if clean.count(column) > 1]
    if doubled:
        raise FileUnreadable(file=name, why=f"{where} names the column {doubled[0]} twice")
    return [clean.index(column) for column in WANTED if column in clean]


def _csv_chunks(path: Path, name: str) -> Iterator[pa.Table]:
    header = _header(path, name)
    positions = _present(header, name, "line 1")
    _refuse_other_encoding(path, name)
    wanted = [f"f{at}" for at in positions]
    bad: list[str] = []

    def refuse(row: arrow_csv.InvalidRow) -> str:
        bad.append(_miscounted(row))
        return "error"

    try:
        with arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK_BYTES,
                column_names=[f"f{i}" for i in range(len(header))],
                skip_rows=1,
            ),
            parse_options=arrow_csv.ParseOptions(invalid_row_handler=refuse),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        ) as reader:
            for batch in reader:
                table = pa.Table.from_batches([batch])
                yield _complete(table.rename_columns([header[at].strip() for at in positions]))
    except pa.ArrowInvalid as error:
        said = bad[0] if bad else _first_line(error)
        why = f"is not a CSV table: {said}. Export it again as UTF-8 with commas"
        raise FileUnreadable(file=name, why=why) from error


def _refuse_other_encoding(path: Path, name: str) -> None:
    """Arrow checks the columns that are read, and not the lines that it cannot cut."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        why = f"is not a CSV table: a byte is not UTF-8 ({error.reason}). Export it again as UTF-8"
        raise FileUnreadable(file=name, why=why) from error


def _header(path: Path, name: str) -> list[str]:
    with path.open("rb") as file:
        line = file.readline(BLOCK_BYTES)
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        cells = next(csv.reader([text], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileUnreadable(file=name, why=f"line 1 is not a CSV header ({error})") from error
    if not cells:
        raise FileUnreadable(file=name, why="is empty: line 1 must name the columns")
    return cells


def _miscounted(row: arrow_csv.InvalidRow) -> str:
    where = "a line" if row.number is None else f"line {row.number}"
    fields = f"{row.actual_columns} fields where the header has {row.expected_columns}"
    return f"{where} has {fields}: {row.text[:80]!r}"


def _parquet_chunks(path: Path, name: str) -> Iterator[pa.Table]:
    file = ParquetTable(path, name, LIMITS)
    columns = [file.names[at] for at in _present(file.names, name, "the schema")]
    clean = [column.strip() for column in columns]
    for ours, its in zip(clean, columns, strict=True):
        check_type(ours, file.type_of(its), name)
    for table in file.batches(columns, CHUNK_ROWS):
        yield _complete(table.rename_columns(clean))


def _complete(table: pa.Table) -> pa.Table:
    """With every feature: a column that may be empty may be left out."""
    for name in FEATURES:
        if name not in table.column_names:
            kind = pa.float64() if name in NUMBER_FEATURES else pa.string()
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    return table


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


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
    """What a file's name says it is; FileUnreadable for neither."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in ("csv", "parquet"):
        raise FileUnreadable(file=path.name, why="is neither .csv nor .parquet")
    return suffix
