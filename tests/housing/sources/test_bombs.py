"""Small files that unpack to a lot: read in a process of their own, whose memory is measured."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from housing.errors import FileUnreadable
from housing.pipeline.ingest import ingest_files
from housing.problems.california.simulated.scenarios import simulate
from housing.quality.rows import validate
from housing.schema import CATALOGUE
from housing.settings import Settings
from housing.sources.files import ReadLimits
from housing.sources.parquet import TEXT_LENGTH
from housing.sources.table_file import read_table
from housing.store.database.engine import Store

MOST = 250_000_000
"""Bytes that a file of less than a megabyte may cost, beyond what the program itself needs."""

READER = """
import json, resource, sys
from pathlib import Path
from housing.errors import FileUnreadable
from housing.quality.rows import validate
from housing.sources.files import ReadLimits, memory_named
from housing.sources.table_file import read_table

def highest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

path, most = Path(sys.argv[1]), int(sys.argv[2])
before = highest()
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + most, size + most))
try:
    with memory_named(path.name):
        found = validate(read_table(path, ReadLimits()), path.name)
    message = f"{len(found.accepted)} accepted, {len(found.rejected)} rejected"
except FileUnreadable as error:
    message = str(error)
print(json.dumps({"message": message, "bytes": highest() - before}))
"""

LABELS = READER.replace(
    "found = validate(read_table(path, ReadLimits()), path.name)",
    "from housing.pipeline.label_file import labels_of; found, bad = labels_of(path, ReadLimits())",
).replace(
    "{len(found.accepted)} accepted, {len(found.rejected)} rejected",
    "{len(found)} labels, {sum(rejection.rows for rejection in bad)} rejected",
)


def read(path: Path, most: int = 2_000_000_000, reader: str = READER) -> dict[str, Any]:
    """What a reader message, and its highest resident memory beyond the start; `most` limits it."""
    done = subprocess.run(
        [sys.executable, "-c", reader, str(path), str(most)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _written(path: Path, table: pa.Table, **options: Any) -> None:
    pq.write_table(table, path, **options)
    assert path.stat().st_size < 2_000_000


def _with(rows: int, **columns: pa.Array) -> pa.Table:
    table = pa.Table.from_pandas(simulate(rows, seed=3), preserve_index=False)
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, name, values)
    return table


def _repeated(text: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), [text])


def one_text_in_every_row(path: Path) -> None:
    text = _repeated("x" * 900_000, 40_000)
    _written(path, _with(40_000, ocean_proximity=text), compression="zstd")


def one_text_in_every_column(path: Path) -> None:
    text = _repeated("7" * 60_000, 200_000)
    names = ("population", "households", "total_rooms", "total_bedrooms", "ocean_proximity")
    columns = dict.fromkeys(names, text)
    constant = {"longitude": -120.0, "latitude": 36.0, "housing_median_age": 20.0,
                "median_income": 3.0, "median_house_value": 100_000.0}  # fmt: skip
    columns |= {name: pa.array(np.full(200_000, v)) for name, v in constant.items()}
    _written(path, pa.table(columns), compression="zstd")


def one_page_of_nothing(path: Path) -> None:
    """A text of 300 MB, which zstd packs into a few kilobytes."""
    text = pa.array(["x" * 300_000_000])
    _written(path, _with(1, ocean_proximity=text), compression="zstd", use_dictionary=False)


def one_row_three_million_times(path: Path) -> None:
    rows = 3_000_000
    columns = {name: pa.array(np.full(rows, 1.0)) for name in simulate(1, 1).columns}
    columns["ocean_proximity"] = _repeated("INLAND", rows)
    _written(path, pa.table(columns), compression="zstd", row_group_size=rows)


def texts_that_repeat_the_one_before(path: Path) -> None:
    text = pa.array(["x" * 200_000] * 1_000)
    _written(
        path, _with(1_000, ocean_proximity=text), compression="zstd", use_dictionary=False,
        column_encoding={"ocean_proximity": "DELTA_BYTE_ARRAY"}, data_page_size=1 << 40,
    )  # fmt: skip


def a_page_that_is_larger_than_the_footer_says(path: Path) -> None:
    """The footer's sizes are cut to nothing; the page header has 300 MB."""
    one_page_of_nothing(path)
    data = path.read_bytes()
    size = pq.ParquetFile(path).metadata.row_group(0).column(9).total_uncompressed_size
    wanted = _zigzag(size)
    at = data.rfind(wanted)
    assert at > 0
    lie = _zigzag(63)  # of the same length: a number may have leading zeros
    padded = bytes([lie[0] | 128, *[128] * (len(wanted) - 2), 0])
    path.write_bytes(data[:at] + padded + data[at + len(wanted) :])
    stated = pq.ParquetFile(path).metadata.row_group(0).column(9).total_uncompressed_size
    assert stated < 1_000_000


def _zigzag(number: int) -> bytes:
    number, found = number << 1, bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def thousands_of_columns(path: Path) -> None:
    table = _with(3)
    for i in range(5_000):
        table = table.append_column(f"x{i}", pa.array([0, 0, 0]))
    pq.write_table(table, path)


def deeply_nested(path: Path) -> None:
    value: Any = 1
    for _ in range(20):
        value = [value]
    _written(path, _with(1, population=pa.array([value])))


PARQUET: dict[Callable[[Path], None], str] = {
    one_text_in_every_row: r"0 accepted, 40000 rejected|unpacks to",
    one_text_in_every_column: r"unpacks to|rejected",
    one_page_of_nothing: r"holds a page of|unpacks to",
    a_page_that_is_larger_than_the_footer_says: r"holds a page of|unpacks to",
    one_row_three_million_times: r"unpacks to",
    texts_that_repeat_the_one_before: r"DELTA_BYTE_ARRAY|unpacks to",
    thousands_of_columns: r"columns, at most 1,000",
    deeply_nested: r"has the type list|is nested",
}


@pytest.mark.system
@pytest.mark.parametrize("made", PARQUET, ids=lambda made: made.__name__)
def test_a_small_parquet_file_costs_little(tmp_path: Path, made: Callable[[Path], None]) -> None:
    path = tmp_path / "bomb.parquet"
    made(path)
    found = read(path)
    assert found["bytes"] < MOST, found
    assert re.search(PARQUET[made], found["message"]), found


# --- text -----------------------------------------------------------------------------------

HEADER = ",".join(CATALOGUE).encode() + b"\n"


def one_endless_line() -> bytes:
    return HEADER + b"1" * 300_000_000


def an_endless_header() -> bytes:
    return b"longitude," * 20_000_000


def a_million_names() -> bytes:
    return b",".join(b"x%d" % i for i in range(5_000)) + b"\n" + HEADER


def an_open_quotation_mark() -> bytes:
    return HEADER + b'"' + b"1,2\n" * 1_000_000


def nothing_but_quotation_marks() -> bytes:
    return HEADER + b'"' * 60_000 + b"\n" + b'""",' * 10_000 + b"\n"


def lines_of_one_field() -> bytes:
    return HEADER + b"1\n" * 2_000_000


def lines_of_nothing() -> bytes:
    return HEADER + b"\n" * 51_000_000


TEXT: dict[Callable[[], bytes], str] = {
    one_endless_line: r"line 2 is longer than 65,536 bytes",
    an_endless_header: r"line 1 is longer than 65,536 bytes",
    a_million_names: r"line 1 names 5,000 columns, at most 1,000",
    an_open_quotation_mark: r"more than 250,000 lines cannot be split",
    nothing_but_quotation_marks: r"0 accepted, 2 rejected",
    lines_of_one_field: r"more than 250,000 lines cannot be split",
    lines_of_nothing: r"holds more than 50,000,000 lines|unpacks to more than 200 times",
}


@pytest.mark.system
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("made", TEXT, ids=lambda made: made.__name__)
def test_a_text_column_takes_little_memory(
    tmp_path: Path, made: Callable[[], bytes], packed: bool
) -> None:
    path = tmp_path / ("bomb.csv.gz" if packed else "bomb.csv")
    content = made()
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    found = read(path)
    assert found["bytes"] < MOST + len(content), found
    assert re.search(TEXT[made] + ("|200 times its size" if packed else ""), found["message"]), (
        found
    )


def test_a_file_for_which_there_is_no_memory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    line = simulate(1, seed=1).to_csv(index=False).encode().splitlines()[1] + b"\n"
    path.write_bytes(HEADER + line * 5_000_000)
    message = read(path, most=200_000_000)["message"]
    assert message.startswith("large.csv: needs more memory to read than there is"), message


def test_a_long_text_rejects_its_row_and_no_other(tmp_path: Path) -> None:
    """Blanks around a number make no other number of it, however many there are."""
    path = tmp_path / "long.parquet"
    blanks = " " * (TEXT_LENGTH + 1)
    bedrooms = ["100"] * 36 + [f"{blanks}1", f"1{blanks}", blanks, "9" * 1_000]
    _written(path, _with(40, total_bedrooms=pa.array(bedrooms)))
    result = validate(read_table(path, ReadLimits()), path.name)
    assert (len(result.accepted), result.rejected["line"].tolist()) == (36, [37, 38, 39, 40])


def test_the_other_files_are_read(tmp_path: Path, store: Store, settings: Settings) -> None:
    bomb, good = tmp_path / "a.parquet", tmp_path / "b.csv"
    texts_that_repeat_the_one_before(bomb)
    simulate(300, seed=1).to_csv(good, index=False)
    first, second = ingest_files(store, settings, [bomb, good]).batches
    assert (first.name, first.status, second.status) == ("a.parquet", "unreadable", "accepted")
    assert first.message.startswith("a.parquet: column ocean_proximity is written as DELTA")


@pytest.mark.system
def test_a_file_of_labels_costs_no_more_than_another(tmp_path: Path) -> None:
    bomb = tmp_path / "labels.parquet"
    values = pa.array(["1" * 300_000] * 3_000).dictionary_encode()
    _written(bomb, _with(3_000, median_house_value=values))
    found = read(bomb, reader=LABELS)
    assert found["message"] == "0 labels, 3000 rejected"
    assert found["bytes"] < MOST


# --- damage ---------------------------------------------------------------------------------


def _bytes(suffix: str) -> bytes:
    table = simulate(60, seed=2)
    if suffix == ".parquet":
        ids = pa.array([f"d{i}" for i in range(60)])
        sink = pa.BufferOutputStream()
        whole = pa.Table.from_pandas(table, preserve_index=False).append_column("district_id", ids)
        pq.write_table(whole, sink, row_group_size=25)
        return bytes(sink.getvalue())
    text = table.to_csv(index=False).encode()
    return gzip.compress(text) if suffix == ".csv.gz" else text


WHOLE = {suffix: _bytes(suffix) for suffix in (".csv", ".csv.gz", ".parquet")}
Change = tuple[float, bytes, int]  # where (a share of the length), what is put there, how much goes


@pytest.mark.parametrize("suffix", WHOLE)
@hypothesis_settings(max_examples=100, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4
    )
)
def test_damage_is_a_message_or_rows(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, changes: list[Change]
) -> None:
    data = bytearray(WHOLE[suffix])
    for where, put, gone in changes:
        at = int(where * len(data))
        data[at : at + gone] = put
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(data)
    try:
        result = validate(read_table(path, ReadLimits()), path.name)
    except FileUnreadable:
        return
    assert len(result.accepted) + len(result.rejected) == result.read
