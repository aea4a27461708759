"""The reference table, and simulated districts as large CSV files."""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
from pyarrow.csv import WriteOptions, write_csv

from housing.problems.california.census import DIGEST
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import load_settings

CHUNK = 250_000
"""Rows that are made at once, each chunk by a process of its own."""


def landing(folder: Path, rows: int, first: int = 0) -> Path:
    """Districts as a CSV file, made chunk by chunk; `first` differs for the files of one table."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"districts-{first:010d}.csv"
    starts = range(0, rows, CHUNK)
    sizes = [min(CHUNK, rows - start) for start in starts]
    days = [(first + start) // CHUNK for start in starts]  # each chunk has a seed of its own
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool, path.open("wb") as file:
        for number, chunk in enumerate(pool.map(_lines, sizes, days)):
            header, _, body = chunk.partition(b"\n")
            file.write(body if number else header.replace(b'"', b"") + b"\n" + body)
    return path


def _lines(rows: int, day: int) -> bytes:
    """Simulated districts as CSV with a header."""
    table = pa.Table.from_pandas(simulate(rows, 0, day=day), preserve_index=False)
    sink = pa.BufferOutputStream()
    write_csv(table, sink, WriteOptions(quoting_style="none"))
    lines: bytes = sink.getvalue().to_pybytes()
    return lines


def add_table(parser: argparse.ArgumentParser) -> None:
    """The argument that names it."""
    parser.add_argument("table", type=Path, nargs="?", help="the reference table, a CSV file")


def reference_table(options: argparse.Namespace) -> Path:
    """As named, or as the option of the source `census`, or the copy that a run has fetched."""
    named = options.table or os.environ.get("HOUSING_CENSUS")
    path = Path(named or load_settings().home / "cache" / f"census-{DIGEST[:12]}.csv")
    if not path.is_file():
        reason = f"there is no {path}" if named else "no night has fetched the reference table yet"
        raise SystemExit(f"{reason}: name it, set HOUSING_CENSUS, or run `make retrain` once")
    return path
