import contextlib
import csv
import gzip
import io
import subprocess

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing.errors import FileUnreadable
from housing.quality.rows import validate
from housing.quality.table import whole
from housing.schema import CATALOGUE
from housing.sources import delimited
from housing.sources.delimited import CsvTable
from housing.sources.files import ReadLimits
from housing.sources.table_file import read_table

HEADER = ",".join(CATALOGUE)
ROW = "-122.23,37.88,41,880,129,322,126,8.3252,452600,NEAR BAY"


def opened(text: str | bytes, block: int = 1 << 20, **limits) -> CsvTable:
    data = text.encode() if isinstance(text, str) else text
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    return CsvTable(lambda: iter(blocks), "a.csv", ReadLimits(**limits))


def read(text: str | bytes, **limits):
    return whole(opened(text, **limits))


def complaint(text: str | bytes, **limits) -> str:
    with pytest.raises(FileUnreadable) as caught:
        read(text, **limits)
    return str(caught.value)


def test_every_row_comes_back_as_text_with_its_line(table, districts):
    raw = read(table)
    expected = pd.read_csv(io.StringIO(table), dtype="str", keep_default_na=False)
    pd.testing.assert_frame_equal(raw.frame, expected, check_dtype=False)
    assert raw.lines.tolist() == list(range(2, 42))
    assert (raw.line_unit, raw.broken, raw.notes) == ("line", (), ())
    assert len(validate(raw, "a.csv").accepted) == len(districts)


def test_order_of_columns_and_unknown_columns_do_not_matter(table, districts):
    frame = districts[list(reversed(districts.columns))]
    frame.insert(3, "remark", "é, with a comma")
    raw = read(frame.to_csv(index=True))
    assert list(raw.frame.columns) == list(CATALOGUE)
    assert raw.notes == ("columns that are not in the catalogue were ignored: '', 'remark'",)
    pd.testing.assert_frame_equal(raw.frame, read(table).frame)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems(table, end):
    pd.testing.assert_frame_equal(read(table.replace("\n", end)).frame, read(table).frame)


def test_a_byte_order_mark_is_no_part_of_the_header(table):
    assert read(b"\xef\xbb\xbf" + table.encode()).read == 40


def test_quotation_marks_around_fields(table):
    quoted = "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in table.splitlines()
    )
    pd.testing.assert_frame_equal(read(quoted + "\n").frame, read(table).frame)


def test_lines_that_cannot_be_parsed_are_broken_and_the_others_keep_their_numbers():
    raw = read(f"{HEADER}\n{ROW}\n\n1,2,3\n   \n{ROW}\n{ROW},x\n")
    assert raw.lines.tolist() == [2, 6]
    assert [(b.line, b.code, b.why) for b in raw.broken] == [
        (4, "fields", "3 fields where the header has 10"),
        (7, "fields", "11 fields where the header has 10"),
    ]
    assert raw.read == 4


@pytest.mark.parametrize(
    "character", [*"\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029\xa0\u3000"], ids=repr
)
def test_a_line_of_another_white_space_is_not_blank(character):
    """Only blanks and tabs are ignored around a value, so only they make a blank line."""
    raw = read(f"{HEADER}\n{ROW}\n{character}\n \t\n{ROW}\n")
    assert (raw.lines.tolist(), raw.read) == ([2, 5], 3)
    assert [(b.line, b.code, b.text) for b in raw.broken] == [(3, "fields", character)]


def test_a_stray_quotation_mark_costs_its_own_line_only():
    raw = read(f'{HEADER}\n{ROW}\n"{ROW}\n\n{ROW}\n"x"y,{ROW}\n' + f"{ROW}\n" * 3)
    assert raw.lines.tolist() == [2, 5, 7, 8, 9]
    assert [(b.line, b.code) for b in raw.broken] == [(3, "quote"), (6, "quote")]


def test_a_truncated_last_line_is_noted():
    raw = read(f"{HEADER}\n{ROW}\n{ROW[:20]}")
    assert (raw.lines.tolist(), raw.broken[0].line) == ([2], 3)
    assert "cut short" in raw.notes[0]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_header_alone_is_a_table_of_no_rows(end):
    raw = read(HEADER + end)
    assert raw.read == 0
    assert validate(raw, "a.csv").accepted.empty


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"  \r\n"])
def test_an_empty_file_is_refused(content):
    assert "is empty" in complaint(content)


def test_a_wrong_header_is_refused():
    message = complaint("a,b,c\n1,2,3\n")
    assert message.startswith("a.csv: line 1 is not the header: it begins with 'a', 'b', 'c'")
    assert HEADER in message


def test_a_file_without_header():
    assert "line 1 is not the header: it begins with '-122.23'" in complaint(f"{ROW}\n{ROW}\n")


def test_a_missing_column_and_what_was_probably_meant():
    message = complaint(HEADER.replace("median_income", "Median Income") + f"\n{ROW}\n")
    assert message.startswith(
        "a.csv: line 1: the column is missing: median_income (is 'Median Income' meant?)"
    )


def test_two_missing_columns_are_both_named():
    message = complaint("longitude,latitude,population\n1,2,3\n")
    assert "columns are missing: housing_median_age, total_rooms" in message


def test_a_repeated_column_is_refused():
    message = complaint(f"{HEADER},population\n{ROW},3\n")
    assert "line 1: the column population is there 2 times (columns 6 and 11)" in message


@pytest.mark.parametrize(("delimiter", "words"), [(";", "';'"), ("\t", "a tab"), ("|", "'|'")])
def test_another_delimiter_is_named(table, delimiter, words):
    message = complaint(table.replace(",", delimiter))
    assert f"line 1: fields are separated by {words}, and a comma is expected" in message


@pytest.mark.parametrize(("text", "guess"), [("é", "ISO-8859-1"), ("\N{EN DASH}é", "WINDOWS-1252")])
def test_another_encoding_is_named(text, guess):
    content = f"{HEADER},remark\n{ROW},a\n{ROW},{text}\n".encode("cp1252")
    message = complaint(content)
    assert "line 3, column 11: byte 0x" in message
    assert f"looks like {guess}. Convert it from {guess} to UTF-8" in message


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16"])
@pytest.mark.parametrize("name", ["rows.csv", "it's\n a ta$ble.csv", "-rows.csv.gz"])
def test_the_command_of_the_message_converts_the_file(tmp_path, table, encoding, name):
    text = table.replace("\n", ",é\N{EN DASH}é\n" if encoding == "cp1252" else ",é\n")
    path = tmp_path / name
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with pytest.raises(FileUnreadable) as caught:
        whole(read_table(path, ReadLimits()))
    command = str(caught.value).rpartition("Convert it: `")[2].removesuffix("`")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    (converted,) = (file for file in tmp_path.iterdir() if file != path)
    assert converted.read_text("utf-8") == text
    assert len(whole(read_table(converted, ReadLimits())).frame) == 40


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_named(table, encoding):
    assert "UTF-16" in complaint(table.encode(encoding))


def test_a_zero_byte_is_refused(table):
    assert "line 2, column 1 holds a zero byte" in complaint(table.replace("\n", "\n\0", 1))


@pytest.mark.parametrize(
    ("start", "what"),
    [(b"PAR1", "Parquet"), (b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "Excel workbook")],
)
def test_another_format_under_a_csv_name(start, what):
    assert what in complaint(start + b"\0\1\2" * 50)


def test_a_million_columns_are_refused():
    assert "names 2,000 columns, at most 1,000" in complaint(",".join(["x"] * 2_000))


@given(
    st.lists(st.sampled_from([ROW, "", " ", "\f", "1,2", '"', f'"{ROW}', ROW + ',"', ",,,,,,,,,"]))
)
def test_every_line_is_a_row_or_broken_or_blank(lines):
    raw = read("\n".join([HEADER, *lines]) + "\n")
    assert raw.read == sum(bool(line.strip(" ")) for line in lines)
    places = sorted([*raw.lines.tolist(), *(line.line for line in raw.broken)])
    assert places == [at for at, line in enumerate(lines, start=2) if line.strip(" ")]


@given(st.binary(max_size=300))
def test_any_bytes_at_all_end_as_a_table_or_a_message(content):
    with contextlib.suppress(FileUnreadable):
        read(content)


@given(st.text(max_size=100))
def test_any_text_below_a_header_is_split_without_loss(text):
    result = validate(read(f"{HEADER}\n{text}".replace("\0", "")), "a.csv")
    assert len(result.accepted) + len(result.rejected) == result.read


QUOTED = ROW.replace("NEAR BAY", '"NEAR BAY"')
MISQUOTED = [ROW.replace("NEAR BAY", cell) for cell in ('"NEAR" BAY', 'NEAR "BAY"', '"NEAR ""BAY"')]
LINES = st.lists(st.sampled_from([ROW, QUOTED, "", "x", '"', '1,"2', '"",1', *MISQUOTED]))


@given(
    LINES,
    st.booleans(),
    st.sampled_from([1, 60, 100, 300]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 9),
)
def test_in_chunks_a_file_reads_as_in_one(lines, ends, size, end, block):
    text = end.join([HEADER, *lines]) + end * ends
    at_once = read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "CHUNK_BYTES", size)
        in_parts = read(text, block=block)
    pd.testing.assert_frame_equal(in_parts.frame, at_once.frame)
    assert in_parts.lines.tolist() == at_once.lines.tolist()
    assert (in_parts.broken, in_parts.notes) == (at_once.broken, at_once.notes)


@pytest.mark.parametrize("others", [[], [ROW], [QUOTED], ['"']])
def test_how_a_line_is_read_does_not_depend_on_the_others(others):
    raw = read("\n".join([HEADER, MISQUOTED[0], *others]) + "\n")
    assert [(b.line, b.code) for b in raw.broken][:1] == [(2, "quote")]


CELLS = st.text(st.sampled_from('ab ",;\u20ac'), max_size=4)


@given(st.lists(st.lists(CELLS, min_size=10, max_size=10), max_size=5))
def test_quoted_fields_are_those_of_the_csv_module(rows):
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(rows)
    raw = read(f"{HEADER}\n{sink.getvalue()}")
    assert raw.frame.to_numpy().tolist() == rows


def test_a_line_of_the_longest_length_costs_itself_only():
    raw = read("\n".join([HEADER, ROW, "x" * 65_536, ROW]) + "\n")
    assert ([b.line for b in raw.broken], raw.lines.tolist()) == ([3], [2, 4])


def test_no_chunk_is_larger_than_it_may_be(table, monkeypatch):
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 200)
    text = opened(table, block=100)
    sizes = [chunk.read for chunk in text.chunks()]
    assert (sum(sizes), max(sizes) <= 5) == (40, True)
    assert [chunk.read for chunk in text.chunks()] == sizes, "they can be read again"
