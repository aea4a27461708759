import datetime as dt
import decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from housing.errors import FileUnreadable
from housing.problems.california.simulated.scenarios import simulate
from housing.quality import table
from housing.quality.rows import validate
from housing.quality.table import whole
from housing.schema import CATALOGUE, NUMBERS, dtypes
from housing.sources import parquet
from housing.sources.files import ReadLimits
from housing.sources.parquet import ParquetTable


def packed(table: pa.Table | pd.DataFrame, **options) -> bytearray:
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytearray(sink.getvalue().to_pybytes())


def read(data: bytearray, **limits):
    return whole(ParquetTable(data, "a.parquet", ReadLimits(**limits)))


def complaint(data, **limits) -> str:
    with pytest.raises(FileUnreadable) as caught:
        read(bytearray(data), **limits)
    assert str(caught.value).startswith("a.parquet: ")
    return str(caught.value)


def replaced(frame: pd.DataFrame, name: str, values: pa.Array) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.set_column(table.column_names.index(name), name, values)


def test_rows_come_back_as_they_were(districts):
    raw = read(packed(districts))
    assert (raw.line_unit, raw.lines.tolist()) == ("row", list(range(1, 41)))
    accepted = validate(raw, "a.parquet").accepted
    pd.testing.assert_frame_equal(accepted[list(CATALOGUE)], districts.astype(dtypes()))


@pytest.mark.parametrize(
    "kind", [pa.int32(), pa.int64(), pa.float32(), pa.decimal128(22, 2), pa.string(), pa.uint16()]
)
def test_number_types_of_other_writers(districts, kind):
    values = pa.array([decimal.Decimal(100 + i) for i in range(40)]).cast(pa.int64()).cast(kind)
    result = validate(read(packed(replaced(districts, "population", values))), "a.parquet")
    assert result.accepted["population"].tolist() == [100.0 + i for i in range(40)]


def test_ids_and_times_of_other_writers(districts):
    table = pa.Table.from_pandas(districts, preserve_index=False)
    ids = pa.array([2**60 + i if i else None for i in range(40)])
    days = pa.array([dt.date(2024, 1, 1)] * 39 + [None])
    table = table.append_column("district_id", ids).append_column("surveyed_at", days)
    accepted = validate(read(packed(table)), "a.parquet").accepted
    assert accepted["district_id"].isna().tolist() == [True] + [False] * 39
    assert accepted["district_id"][39] == str(2**60 + 39)
    assert accepted["surveyed_at"].dtype == "datetime64[us, UTC]"
    assert accepted["surveyed_at"][0] == pd.Timestamp("2024-01-01", tz="UTC")
    assert accepted["surveyed_at"].isna().sum() == 1


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_without_zone_are_utc(districts, zone):
    stamps = pa.array([0] * 40, pa.timestamp("ns", tz=zone))
    table = pa.Table.from_pandas(districts, preserve_index=False)
    raw = read(packed(table.append_column("surveyed_at", stamps)))
    accepted = validate(raw, "a.parquet").accepted
    assert accepted["surveyed_at"][0] == pd.Timestamp(0, tz="UTC")


def test_yes_and_no_are_no_numbers(districts):
    table = replaced(districts, "population", pa.array([True, None] * 20))
    result = validate(read(packed(table)), "a.parquet")
    assert [(r.code, r.rows) for r in result.rejections] == [("missing", 20), ("not-a-number", 20)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("population", pa.array([[1.0]] * 40)),
        ("population", pa.array([{"n": 1}] * 40)),
        ("ocean_proximity", pa.array([3] * 40)),
        ("population", pa.array([b"1"] * 40)),
    ],
)
def test_a_type_that_cannot_be_meant(districts, column, values):
    message = complaint(packed(replaced(districts, column, values)))
    kind = str(values.type).partition("<")[0]
    assert f"column {column} has the type {kind}" in message


def test_nested_columns_that_nobody_asked_for_are_ignored(districts):
    table = pa.Table.from_pandas(districts, preserve_index=False)
    extra = table.append_column("remarks", pa.array([[{"a": 1}]] * 40))
    raw = read(packed(extra))
    assert raw.read == 40
    assert "'remarks'" in raw.notes[0]


def test_a_missing_column_is_named(districts):
    message = complaint(packed(districts.drop(columns="population")))
    assert "the schema: the column is missing: population" in message


def test_a_file_that_is_no_parquet_is_refused():
    assert "is empty" in complaint(b"")
    assert "is called Parquet and is not" in complaint(b"longitude,latitude\n")
    assert "cut short" in complaint(b"PAR1")
    assert "footer of 1,094,795,585 bytes" in complaint(b"PAR1" + b"A" * 20 + b"PAR1")


def test_limits_of_rows_bytes_and_columns_are_enforced(districts):
    data = packed(districts)
    assert "holds 40 rows, at most 39 are read" in complaint(data, max_rows=39)
    assert "bytes of data, at most 1,000" in complaint(data, max_bytes=1_000)
    wide = districts.assign(**{f"x{i}": 0 for i in range(10)})
    assert "holds 20 columns, at most 10" in complaint(packed(wide), max_columns=10)


WHOLE = bytes(packed(simulate(30, seed=2), compression="none"))


@given(st.integers(1, len(WHOLE) - 1))
def test_a_truncated_file_is_refused(keep):
    assert "cut short" in complaint(WHOLE[:keep]) or "and is not" in complaint(WHOLE[:keep])


@settings(max_examples=60)
@given(st.integers(4, len(WHOLE) - 9), st.integers(1, 255))
def test_a_flipped_byte_is_a_table_or_a_message(at, flip):
    data = bytearray(WHOLE)
    data[at] ^= flip
    try:
        raw = read(data)
    except FileUnreadable:
        return
    result = validate(raw, "a.parquet")
    assert len(result.accepted) + len(result.rejected) == result.read
    assert set(NUMBERS) <= set(raw.frame)


@pytest.mark.parametrize("row_group", [7, 1_000])
def test_in_parts_a_file_reads_as_in_one(districts, monkeypatch, row_group):
    data = packed(districts, row_group_size=row_group)
    at_once = read(data)
    monkeypatch.setattr(table, "CHUNK_ROWS", 15)
    file = ParquetTable(data, "a.parquet", ReadLimits())
    for _ in range(2):
        sizes = [len(part.frame) for part in file.chunks()]
        assert (sum(sizes), max(sizes) <= 15) == (40, True)
    in_parts = read(data)
    pd.testing.assert_frame_equal(in_parts.frame, at_once.frame)
    assert in_parts.lines.tolist() == at_once.lines.tolist() == list(range(1, 41))


def test_damage_in_a_later_part_is_named(districts, monkeypatch):
    monkeypatch.setattr(table, "CHUNK_ROWS", 15)
    data = packed(districts, row_group_size=20, use_dictionary=False, compression="ZSTD")
    second = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data))).metadata.row_group(1).column(0)
    end = second.data_page_offset + second.total_compressed_size
    data[end - 40 : end] = b"\xff" * 40
    parts = ParquetTable(data, "a.parquet", ReadLimits()).chunks()
    assert len(next(parts).frame) == 15
    with pytest.raises(FileUnreadable, match=r"a\.parquet: is a damaged Parquet file"):
        list(parts)


@pytest.mark.parametrize(
    "kind",
    [
        pa.int64(),
        pa.uint16(),
        pa.decimal128(22, 0),
        pa.decimal128(38, 2),
        pa.float64(),
        pa.string(),
    ],
)
def test_an_id_is_the_same_text_whatever_its_type(districts, kind):
    ids = pa.array([101 + i if i else None for i in range(40)]).cast(kind)
    table = pa.Table.from_pandas(districts, preserve_index=False)
    accepted = validate(read(packed(table.append_column("district_id", ids))), "a").accepted
    assert accepted["district_id"][1:].tolist() == [str(101 + i) for i in range(1, 40)]
    assert accepted["district_id"].isna().tolist() == [True] + [False] * 39


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (0.5, pa.float64()), (2.0**53, pa.float64()), (-(2.0**53), pa.float64()),
        (2.0**24, pa.float32()), (2.0**11, pa.float16()),
    ],
)  # fmt: skip
def test_floating_point_ids_that_are_not_exact_are_named(districts, number, kind):
    table = pa.Table.from_pandas(districts, preserve_index=False)
    below = pa.array([101.0] * 39 + [number / 2], kind)
    if number != 0.5:
        ParquetTable(packed(table.append_column("district_id", below)), "a.parquet", ReadLimits())
    data = packed(table.append_column("district_id", pa.array([101.0] * 39 + [number], kind)))
    assert f"district_id holds the floating-point number {number!r}" in complaint(data)


def test_many_row_groups_are_refused_at_once(districts, monkeypatch):
    monkeypatch.setattr(parquet, "MOST_GROUPS", 39)
    message = complaint(packed(districts, row_group_size=1))
    assert "holds 40 row groups, at most 39 are read. Write it again with larger ones" in message
    assert read(packed(districts.head(39), row_group_size=1)).read == 39
