"""Simulated districts as large CSV files, for what the reference table is too small for."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
from pyarrow.csv import WriteOptions, write_csv

from housing.sources.simulated.scenarios import simulate

CHUNK = 250_000
"""Rows that are made at once, each chunk by a process of its own."""


def landing(folder: Path, rows: int, first: int = 0) -> Path:
    """Districts as a CSV file, made chunk by chunk; `first` tells files of one table apart."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"districts-{first:010d}.csv"
    starts = range(0, rows, CHUNK)
    sizes = [min(CHUNK, rows - start) for start in starts]
    nights = [(first + start) // CHUNK for start in starts]  # each chunk has a seed of its own
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool, path.open("wb") as file:
        for number, chunk in enumerate(pool.map(_lines, sizes, nights)):
            header, _, body = chunk.partition(b"\n")
            file.write(body if number else header.replace(b'"', b"") + b"\n" + body)
    return path


def _lines(rows: int, night: int) -> bytes:
    """Simulated districts as CSV with a header."""
    table = pa.Table.from_pandas(simulate(rows, 0, night=night), preserve_index=False)
    sink = pa.BufferOutputStream()
    write_csv(table, sink, WriteOptions(quoting_style="none"))
    lines: bytes = sink.getvalue().to_pybytes()
    return lines
