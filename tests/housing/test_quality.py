import dataclasses
import io
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from housing.problem import MINUS
from housing.problems.california.simulated.scenarios import simulate
from housing.quality import batches, rejections
from housing.quality import table as tables
from housing.quality.batches import BatchHistory, batch_message, judge_batch
from housing.quality.policy import QualityPolicy
from housing.quality.profile import profile_columns
from housing.quality.rows import ROW_RULES, validate
from housing.quality.table import BrokenLine, RawTable, table_of
from housing.schema import CATALOGUE, NUMBERS, TARGET, dtypes

POLICY = QualityPolicy()


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as a CSV file would deliver it."""
    csv = io.StringIO(frame.to_csv(index=False))
    return pd.read_csv(csv, dtype="str", keep_default_na=False)


def raw(frame: pd.DataFrame, broken: tuple[BrokenLine, ...] = ()) -> RawTable:
    return RawTable(frame, np.arange(2, len(frame) + 2), broken, "line")


def checked(frame: pd.DataFrame, **kwargs):
    return validate(raw(frame, **kwargs), "a.csv")


@pytest.fixture(scope="module")
def dataset() -> pd.DataFrame:
    return simulate(3_000, seed=7)


@pytest.fixture(scope="module")
def history(dataset) -> BatchHistory:
    return BatchHistory(recent_rows=(300,) * 6, columns=profile_columns(dataset))


@pytest.fixture
def rows() -> pd.DataFrame:
    return as_text(simulate(60, seed=8))


def with_value(rows: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    rows = rows.copy()
    rows.loc[3, column] = value
    return rows


# --- rows -----------------------------------------------------------------------------------


def test_clean_rows_are_typed_and_keyed():
    frame = simulate(60, seed=8)
    for delivered in (frame, as_text(frame)):
        result = checked(delivered)
        assert result.rejected.empty
        assert result.accepted["#key"].dtype == np.int64
        assert result.accepted["#key"].is_unique
        pd.testing.assert_frame_equal(result.accepted[list(CATALOGUE)], frame.astype(dtypes()))


def test_the_census_is_accepted_to_the_last_row(census_path):
    frame = pd.read_csv(census_path, dtype="str", keep_default_na=False)
    result = checked(frame)
    assert (len(result.accepted), result.rejections) == (20_640, ())
    assert result.accepted["total_bedrooms"].isna().sum() == 207


@pytest.mark.parametrize(
    ("column", "value", "code", "expected"),
    [
        (
            "total_rooms",
            "",
            "missing",
            "is missing; a number from 1 to 1,000,000 (rooms) is required",
        ),
        ("total_rooms", " NaN ", "missing", "is missing"),
        ("ocean_proximity", "", "missing", "one of '<1H OCEAN', 'INLAND'"),
        ("total_rooms", "many", "not-a-number", "'many' is not a number"),
        ("total_rooms", "1,200", "not-a-number", "'1,200' is not a number"),
        ("total_rooms", "1_200", "not-a-number", "'1_200'"),
        ("total_rooms", "0x10", "not-a-number", "'0x10'"),
        ("total_rooms", "\u0663", "not-a-number", "is not a number"),
        ("median_income", "3,5", "not-a-number", "'3,5'"),
        ("total_rooms", "inf", "not-finite", "'inf' is not a finite number"),
        ("total_rooms", "-Infinity", "not-finite", "'-Infinity'"),
        ("total_rooms", "1e999", "not-finite", "'1e999'"),
        ("total_rooms", "0", "range", "'0' is out of range; a number from 1 to"),
        ("median_income", "83252", "range", "from 0 to 50 (10,000 US dollars a year)"),
        ("longitude", "122.23", "range", f"from {MINUS}124.6 to {MINUS}114.0 (degrees east)"),
        ("ocean_proximity", "inland", "category", "'inland' is not a known category; one of"),
        ("total_bedrooms", "999999", "exceeds", "'999999' is more than the row's total_rooms"),
        ("total_rooms", "x" * 500, "not-a-number", "'" + "x" * 60 + "...'"),
    ],
)
def test_a_value_that_breaks_a_rule(rows, column, value, code, expected):
    result = checked(with_value(rows, column, value))
    assert len(result.accepted) == 59
    (rejection,) = result.rejections
    assert (rejection.code, rejection.column, rejection.rows) == (code, column, 1)
    assert rejection.example.startswith(f"a.csv, line 5, {column}: ")
    assert expected in rejection.example
    row = result.rejected.iloc[0]
    assert (row["line"], row["code"], row["column"], row["value"]) == (5, code, column, value)
    assert json.loads(row["raw"]) == with_value(rows, column, value).iloc[3].to_dict()
    assert code in ROW_RULES


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("limit", ["minimum", "maximum"])
def test_a_value_exactly_at_its_limit_is_in_and_the_next_one_is_not(rows, name, limit):
    value = getattr(CATALOGUE[name], limit)
    beyond = float(np.nextafter(value, np.inf if limit == "maximum" else -np.inf))
    roomy = rows.assign(total_rooms="1000000", total_bedrooms="1")
    for typed in (roomy, roomy.assign(**{name: roomy[name].astype(float)})):
        number = float if typed is not roomy else repr
        at = typed.copy()
        at.loc[3, name] = number(float(value))
        assert checked(at).rejected.empty
        at.loc[3, name] = number(beyond)
        assert [(r.code, r.column) for r in checked(at).rejections] == [("range", name)]


@pytest.mark.parametrize("value", ["", "NA", "null", " nan ", "None", "N/A"])
def test_bedrooms_may_be_missing(rows, value):
    result = checked(with_value(rows, "total_bedrooms", value))
    assert result.rejected.empty
    assert np.isnan(result.accepted["total_bedrooms"][3])


@pytest.mark.parametrize("value", ["880", " 880.0 ", "+880", "8.8e2", "880.", "0880"])
def test_ways_to_write_a_number(rows, value):
    assert checked(with_value(rows, "population", value)).accepted["population"][3] == 880.0


def test_a_clean_column_reads_the_same_beside_a_faulty_value(rows):
    fast = checked(rows).accepted
    slow = checked(with_value(rows, "median_income", "x")).accepted
    pd.testing.assert_frame_equal(fast.drop(index=3).reset_index(drop=True), slow)


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2024-12-31", "2024-12-31T00:00:00Z"),
        ("2024-12-31T06:00:00Z", "2024-12-31T06:00:00Z"),
        ("2024-12-31 06:00", "2024-12-31T06:00:00Z"),
        ("2024-12-31T06:00:00.123456+02:00", "2024-12-31T04:00:00.123456Z"),
    ],
)
def test_times_in_iso_8601(rows, value, instant):
    accepted = checked(with_value(rows.assign(surveyed_at=""), "surveyed_at", value)).accepted
    assert accepted["surveyed_at"].dtype == "datetime64[us, UTC]"
    assert accepted["surveyed_at"][3] == pd.Timestamp(instant)
    assert accepted["surveyed_at"].isna().sum() == 59


@pytest.mark.parametrize(
    "value", ["31/12/2024", "12/31/2024", "31.12.2024", "2024-02-30", "20241231", "1735603200", "x"]
)
def test_times_in_another_form(rows, value):
    result = checked(with_value(rows.assign(surveyed_at=""), "surveyed_at", value))
    (rejection,) = result.rejections
    assert rejection.code == "not-a-date"
    assert "is not a time in ISO 8601; 2024-12-31 or" in rejection.example


def test_ids_make_the_key_and_bad_ones_are_rejected(rows):
    ids = [f"id-{i}" for i in range(60)]
    ids[0], ids[1], ids[2] = "", "x" * 201, "a\tb"
    result = checked(rows.assign(district_id=ids))
    assert [(r.code, r.rows) for r in result.rejections] == [("bad-id", 2)]
    assert result.accepted["district_id"].isna().sum() == 1
    moved = rows.assign(district_id=ids, population="77")
    same = result.accepted["#key"].to_numpy() == checked(moved).accepted["#key"].to_numpy()
    assert same.tolist() == [False] + [True] * 57


def test_a_key_twice_in_one_batch_costs_both_rows(rows):
    twice = pd.concat([rows, rows.iloc[[3]].assign(median_income="1.5")], ignore_index=True)
    result = checked(twice)
    assert result.rejected["line"].tolist() == [5, 62]
    (rejection,) = result.rejections
    assert (rejection.code, rejection.rows) == ("duplicate-key", 2)
    assert rejection.example.startswith("a.csv, lines 5 and 62: the same district twice (")


def test_equal_rows_and_equal_ids_are_duplicates_too(rows):
    assert len(checked(pd.concat([rows, rows])).rejected) == 120
    assert len(checked(rows.assign(district_id="same")).rejected) == 60


def test_a_rejected_row_does_not_count_as_a_second_one(rows):
    again = rows.iloc[[3]].assign(median_income="-1")
    result = checked(pd.concat([rows, again], ignore_index=True))
    assert [r.code for r in result.rejections] == ["range"]


def test_broken_lines_are_counted_and_kept_in_line_order(rows):
    broken = (BrokenLine(3, "fields", "1,2\u2028,3", "3 fields where the header has 10"),)
    result = checked(with_value(rows, "population", "x"), broken=broken)
    assert result.read == 61
    assert result.rejected["line"].tolist() == [3, 5]
    assert json.loads(result.rejected["raw"][0]) == {"text": "1,2\u2028,3"}
    assert result.rejections[0].example == "a.csv, line 3: 3 fields where the header has 10"


def test_the_text_of_rejected_rows_is_kept_up_to_a_limit(rows, monkeypatch):
    monkeypatch.setattr(rejections, "TEXT_ROWS", 4)
    rows.loc[:9, "population"] = "x" * 5_000
    rows.loc[10:19, "median_income"] = "-1"
    rows = pd.concat([rows, rows.iloc[30:36]], ignore_index=True)
    broken = tuple(BrokenLine(100 + i, "quote", "y" * 5_000, "why") for i in range(6))
    for found in (checked(rows, broken=broken), in_chunks(rows, broken, rows=3)):
        rejected = found.rejected
        assert len(found.accepted) + len(rejected) == found.read == 72
        for _, group in rejected.groupby(["code", "column"]):
            assert (group["raw"] != "{}").tolist() == [True] * 4 + [False] * (len(group) - 4)
            assert (group["value"] != "").tolist() == [True] * 4 + [False] * (len(group) - 4)
        assert rejected["value"].str.len().max() == rejections.TEXT_LENGTH
        assert rejected["raw"].str.len().max() < 2 * rejections.TEXT_LENGTH
        assert all(isinstance(json.loads(text), dict) for text in rejected["raw"])
        assert {(r.code, r.rows) for r in found.rejections} == {
            ("not-a-number", 10), ("range", 10), ("duplicate-key", 12), ("quote", 6),
        }  # fmt: skip


def test_a_row_is_listed_under_its_first_fault(rows):
    result = checked(rows.assign(longitude="x", population="-3", ocean_proximity="?"))
    assert [(r.code, r.column, r.rows) for r in result.rejections] == [
        ("not-a-number", "longitude", 60)
    ]


def test_a_table_without_rows(rows):
    result = checked(rows.iloc[:0])
    assert (result.read, len(result.accepted), len(result.rejected)) == (0, 0, 0)
    assert result.accepted[list(CATALOGUE)].dtypes.to_dict() == simulate(5, 1).dtypes.to_dict()


@pytest.mark.parametrize("around", [" ", "\t", " \t  "])
def test_blanks_around_a_value_are_ignored(rows, around):
    for name, value in (("population", "7"), ("ocean_proximity", "INLAND"), ("district_id", "a")):
        table = with_value(rows.assign(district_id=rows.index.astype(str)), name, value)
        padded = with_value(table, name, f"{around}{value}{around}")
        pd.testing.assert_frame_equal(checked(padded).accepted, checked(table).accepted)


@pytest.mark.parametrize(
    "odd", ["\x0b", "\x0c", "\x00", "\x1f", "\x85", "\xa0", "\u2003", "\ufeff"]
)
@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("population", "7", "not-a-number"),
        ("total_bedrooms", "", "not-a-number"),
        ("ocean_proximity", "INLAND", "category"),
        ("district_id", "a", "bad-id"),
        ("surveyed_at", "2024-01-01", "not-a-date"),
    ],
)
def test_no_other_character_around_a_value_is_dropped(rows, name, value, code, odd):
    table = rows.assign(district_id=rows.index.astype(str), surveyed_at="2024-12-31")
    for delivered in (f"{odd}{value}", f"{value}{odd}"):
        result = checked(with_value(table, name, delivered))
        assert [(r.code, r.column, r.rows) for r in result.rejections] == [(code, name, 1)]


def test_numbers_that_were_never_text():
    frame = simulate(60, seed=8)
    frame["population"] = frame["population"].astype("int64")
    frame.loc[0, "total_rooms"] = np.inf
    frame.loc[1, "total_rooms"] = np.nan
    frame["ocean_proximity"] = frame["ocean_proximity"].astype(object)
    frame.loc[2, "ocean_proximity"] = None
    result = checked(frame)
    assert result.rejected[["line", "code", "value"]].to_numpy().tolist() == [
        [2, "not-finite", "inf"],
        [3, "missing", ""],
        [4, "missing", ""],
    ]


cells = st.one_of(
    st.sampled_from(["", "NA", "inf", "-1", "1", "2.5", "INLAND", "1e400", '"', "\u2028", "é,;"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.floats().map(repr),
)


@settings(max_examples=60)
@given(st.data(), st.integers(0, 12))
def test_no_row_is_lost_whatever_is_delivered(data, count):
    base = as_text(simulate(12, seed=9)).iloc[:count].reset_index(drop=True)
    frame = base.assign(district_id="", surveyed_at="")
    for _ in range(data.draw(st.integers(0, 12)) if count else 0):
        at = data.draw(st.integers(0, count - 1))
        frame.loc[at, data.draw(st.sampled_from(list(frame)))] = data.draw(cells)
    broken = tuple(
        BrokenLine(100 + i, "fields", text, "x")
        for i, text in enumerate(data.draw(st.lists(cells, max_size=3)))
    )
    result = checked(frame, broken=broken)
    assert len(result.accepted) + len(result.rejected) == result.read == count + len(broken)
    assert sum(r.rows for r in result.rejections) == len(result.rejected)
    assert set(result.rejected["code"]) <= set(ROW_RULES)
    assert all(isinstance(json.loads(text), dict) for text in result.rejected["raw"])
    for name in NUMBERS:
        values = result.accepted[name]
        assert values.dropna().between(CATALOGUE[name].minimum, CATALOGUE[name].maximum).all()


def test_validation_keeps_up_with_300_thousand_rows_a_second():
    frame = as_text(simulate(20_000, seed=3))
    many = pd.concat([frame] * 5, ignore_index=True)
    many["population"] = [str(i) for i in range(1, len(many) + 1)]
    started = time.perf_counter()
    result = checked(many)
    seconds = time.perf_counter() - started
    assert len(result.accepted) > 99_000
    # A tenth of the goal: a busy machine must not fail it, a row-by-row loop must.
    assert len(many) / seconds > 30_000


# --- parts ----------------------------------------------------------------------------------


def in_chunks(frame: pd.DataFrame, broken: tuple[BrokenLine, ...] = (), rows: int = 7):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "CHUNK_ROWS", rows)
        return checked(frame, broken=broken)


def assert_same(one, other) -> None:
    pd.testing.assert_frame_equal(one.accepted, other.accepted)
    pd.testing.assert_frame_equal(one.rejected, other.rejected)
    assert (one.read, one.rejections, one.delivered) == (
        other.read,
        other.rejections,
        other.delivered,
    )


def test_a_table_read_in_chunks_is_judged_like_a_whole_one(rows):
    rows.loc[3, "population"] = "x"
    rows.loc[50, "median_income"] = "-1"
    rows = pd.concat([rows, rows.iloc[[1, 30]]], ignore_index=True)  # twins far apart
    rows.insert(0, "district_id", [f"d{i % 60}" if i % 2 else "" for i in range(62)])
    rows["surveyed_at"] = ["2024-12-31", "yesterday"] * 31
    broken = (BrokenLine(99, "fields", "1,2", "2 fields where the header has 10"),)
    at_once, parts = checked(rows, broken=broken), in_chunks(rows, broken)
    assert_same(at_once, parts)
    counts = {r.code: r.rows for r in parts.rejections}
    assert counts["not-a-date"] > 20
    assert counts["fields"] == 1


def test_duplicates_in_two_chunks_are_both_rejected_with_their_text(rows):
    rows = pd.concat([rows, rows.iloc[[2, 2, 40]]], ignore_index=True)
    found = in_chunks(rows)
    assert found.rejected["line"].tolist() == [4, 42, 62, 63, 64]
    assert set(found.rejected["code"]) == {"duplicate-key"}
    raws = [json.loads(text) for text in found.rejected["raw"]]
    assert raws[0] == raws[2] == raws[3] == rows.iloc[2].to_dict()
    assert raws[1] == raws[4] == rows.iloc[40].to_dict()
    assert_same(found, checked(rows))


def test_validation_reports_its_progress(rows):
    heard: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "CHUNK_ROWS", 25)
        validate(raw(rows), "a.csv", heard.append)
    assert heard == [25, 50, 60]


PEAK = """
import sys
import pyarrow as pa
from housing.quality.rows import validate
from housing.sources import delimited
from housing.sources.files import ReadLimits
text = sys.stdin.buffer.read()
delimited.CHUNK_BYTES = len(text) // int(sys.argv[1])
blocks = [text[at : at + 10_000] for at in range(0, len(text), 10_000)]
found = validate(delimited.CsvTable(lambda: iter(blocks), "a.csv", ReadLimits()), "a.csv")
print(len(found.accepted), pa.default_memory_pool().max_memory())
"""
"""Prints a table's rows, and the most bytes that Arrow had, which holds delivered text."""


def test_only_one_chunk_of_a_large_file_is_in_memory_as_text():
    text = simulate(20_000, seed=5).to_csv(index=False).encode()

    def peak(parts: int) -> int:
        command = [sys.executable, "-c", PEAK, str(parts)]
        message = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout
        rows, peak = map(int, message.split())
        assert rows == 20_000
        return peak

    assert peak(20) < 0.2 * peak(1)


# --- batches --------------------------------------------------------------------------------


def reasons(frame, history, policy=POLICY) -> tuple[str, ...]:
    return judge_batch(checked(frame), history, policy)


def test_a_usual_batch_is_accepted(dataset, history):
    assert reasons(simulate(300, seed=7, day=1), history) == ()
    assert reasons(simulate(300, seed=7, day=1), BatchHistory()) == ()


def test_no_slice_of_the_census_is_quarantined(census_path):
    frame = pd.read_csv(census_path, dtype="str", keep_default_na=False)
    result = checked(frame)
    history = BatchHistory((300,) * 9, profile_columns(result.accepted))
    orders = [result.accepted.sort_values(c, ignore_index=True) for c in ("longitude", "latitude")]
    for table in (result.accepted, *orders):
        for size, step in ((50, 700), (500, 1_500)):
            for start in range(0, len(table) - size, step):
                part = validate(table_of(table.iloc[start : start + size]), "slice")
                assert judge_batch(part, history, POLICY) == ()


def test_too_many_rejected_rows(rows, history):
    rows.loc[:12, "population"] = "x"
    (reason,) = reasons(rows, history)
    assert reason == "rejected share: 22 % of 60 rows were rejected, at most 20 % may be"
    rows.loc[11:12, "population"] = "3"
    assert reasons(rows, history) == ()


def test_a_small_batch_is_judged_row_by_row(rows, history):
    rows.loc[:10, "population"] = "x"
    assert reasons(rows[:20], history) == ()


def test_a_batch_of_rejected_rows_is_reported_and_not_quarantined(rows, history):
    rows["median_income"] = [f"{float(v) * 10_000:.0f}" for v in rows["median_income"]]
    result = checked(rows)
    assert judge_batch(result, history, POLICY) == ()
    message = batch_message(result, (), history, POLICY)
    assert message.startswith(
        "60 rows read, 0 accepted, 60 rejected; most often range (60), first: "
    )
    assert "nothing was accepted; unit: median_income has the median" in message
    assert "about 10,000 times too large" in message


@pytest.mark.parametrize(
    ("column", "factor", "expected"),
    [
        ("total_rooms", 10, "about 10 times too large"),
        ("median_house_value", 0.1, "about 10 times too small"),
        ("population", 100, "about 100 times too large"),
        ("households", 0.01, "about 100 times too small"),
        ("median_income", 0.001, "about 1,000 times too small"),
    ],
)
def test_a_unit_slip_names_column_and_factor(history, column, factor, expected):
    frame = simulate(300, seed=7, day=1)
    frame["total_bedrooms"] = np.nan
    frame[column] = (frame[column] * factor).clip(lower=CATALOGUE[column].minimum)
    found = [r for r in reasons(frame, history) if r.startswith("unit")]
    assert len(found) == 1
    assert found[0].startswith(f"unit: {column} has the median")
    assert expected in found[0]


def test_a_unit_slip_of_a_column_without_a_unit_names_none(history, monkeypatch):
    bare = dataclasses.replace(CATALOGUE["total_rooms"], unit="")
    monkeypatch.setattr(batches, "CATALOGUE", {**CATALOGUE, "total_rooms": bare})
    frame = simulate(300, seed=7, day=1)
    found = reasons(frame.assign(total_rooms=frame["total_rooms"] / 10), history)[-1]
    assert "()" not in found
    assert found.endswith(": about 10 times too small, as if it were in tens")


def test_a_tenth_at_the_median_alone_is_no_unit_slip(history):
    frame = simulate(300, seed=7, day=1)
    usual = history.columns["housing_median_age"]["median"]
    ages = np.repeat([1.0, round(usual / 10), usual, usual * 1.5], [60, 120, 60, 60])
    assert reasons(frame.assign(housing_median_age=ages), history) == ()


def test_no_unit_slip_without_a_dataset(history):
    frame = simulate(300, seed=7, day=1).assign(median_income=45.0)
    assert reasons(frame, BatchHistory()) == ()


def test_row_counts_far_from_the_usual():
    many = BatchHistory(recent_rows=(5_000, 5_200, 4_900, 5_100, 5_000))
    (reason,) = reasons(simulate(100, 1), many)
    assert reason.startswith("row count: 100 rows where the last 5 batches had 5,000 (median)")
    assert reasons(simulate(300, 1), many) == ()
    (reason,) = reasons(simulate(1_001, 1), BatchHistory(recent_rows=(50,) * 5))
    assert reason.startswith("row count: 1,001 rows")
    assert reasons(simulate(1_000, 1), BatchHistory(recent_rows=(50,) * 5)) == ()
    assert reasons(simulate(300, 1), BatchHistory(recent_rows=(49,) * 5)) == ()
    assert reasons(simulate(100, 1), BatchHistory(recent_rows=(5_000,) * 4)) == ()
    # Only the last ten count.
    assert reasons(simulate(100, 1), BatchHistory(recent_rows=(50_000,) * 50 + (100,) * 10)) == ()


@pytest.mark.parametrize("rows", [0, 1, 5, 49])
def test_the_count_of_a_small_batch_is_not_judged(rows):
    assert reasons(simulate(60, 1)[:rows], BatchHistory(recent_rows=(5_000,) * 9)) == ()


def test_small_batches_do_not_define_the_usual_size():
    mixed = BatchHistory(recent_rows=(0, 5, 300, 0, 300, 5, 300, 49, 300, 300))
    assert reasons(simulate(300, 1), mixed) == ()
    (reason,) = reasons(simulate(6_001, 1), mixed)
    assert "6,001 rows where the last 5 batches had 300 (median)" in reason


def test_known_rows_are_judged_by_what_was_rejected_alone(rows, history):
    result = checked(rows)
    many = BatchHistory((50_000,) * 6, history.columns)
    assert judge_batch(result, many, POLICY) != ()
    assert judge_batch(result, many, POLICY, changes=False) == ()
    rows.loc[:12, "population"] = "x"
    (reason,) = judge_batch(checked(rows), many, POLICY, changes=False)
    assert reason.startswith("rejected share")


def test_a_column_that_came_empty(history):
    frame = simulate(300, seed=7, day=1).assign(total_bedrooms=np.nan)
    (reason,) = reasons(frame, history)
    assert reason == "missing share: total_bedrooms is empty in 100 % of rows, usually 1 %"


def test_a_median_that_is_far_away(history):
    frame = simulate(300, seed=7, day=1)
    frame[TARGET] = frame[TARGET] + 3_000_000
    assert any(r.startswith("location: median_house_value") for r in reasons(frame, history))


def _with_median(history: BatchHistory, ranges: float) -> pd.DataFrame:
    """Prices whose median lies that many interquartile ranges above the dataset's, and only it."""
    usual = history.columns[TARGET]
    shift = ranges * (usual["q75"] - usual["q25"])
    return simulate(300, seed=7, day=1).assign(**{TARGET: usual["median"] + shift})


@pytest.mark.parametrize(("ranges", "quarantined"), [(4.99, False), (5.01, True)])
def test_the_limit_of_a_median_is_five_interquartile_ranges(history, ranges, quarantined):
    found = [r for r in reasons(_with_median(history, ranges), history) if "location" in r]
    assert bool(found) == quarantined
    if quarantined:
        assert found[0].endswith("5.0 interquartile ranges away")


def test_a_median_below_is_as_far_as_one_above(history):
    columns = {**history.columns, TARGET: {**history.columns[TARGET], "median": 9e6}}
    found = reasons(simulate(300, seed=7, day=1), BatchHistory((), columns))
    assert any(r.startswith("location: median_house_value") for r in found)


def test_a_column_that_hardly_varies_has_no_interquartile_range(history):
    usual = {**history.columns["population"], "q25": 7.0, "median": 7.0, "q75": 7.0}
    columns = {**history.columns, "population": usual}
    found = reasons(simulate(300, seed=7, day=1), BatchHistory((), columns))
    assert not any("location: population" in r for r in found)


@pytest.mark.parametrize(
    ("orders", "quarantined"),
    [
        (0.74, False), (0.76, True), (1.24, True), (1.26, False), (1.74, False), (1.76, True),
        (4.24, True), (4.26, False), (5.0, False),
        (-0.74, False), (-0.76, True), (-1.24, True), (-1.26, False), (-4.24, True), (-5.0, False),
    ],
)  # fmt: skip
def test_the_limits_of_a_unit_slip(history, orders, quarantined):
    low, middle, high = (history.columns["population"][q] for q in ("q25", "median", "q75"))
    numbers = np.array([low, middle, high]) * 10**orders
    result = dataclasses.replace(
        checked(simulate(60, seed=8)), delivered={"population": tuple(numbers)}
    )
    found = [r for r in judge_batch(result, history, POLICY) if r.startswith("unit: population")]
    assert bool(found) == quarantined
    if quarantined:
        power = 10 ** round(abs(orders))
        way = "large" if orders > 0 else "small"
        assert f"about {power:,} times too {way}" in found[0]


@pytest.mark.parametrize("quartile", [0, 1, 2])
def test_one_quartile_in_place_is_no_unit_slip(history, quartile):
    usual = [history.columns["population"][q] for q in ("q25", "median", "q75")]
    numbers = [v if at == quartile else v * 100 for at, v in enumerate(usual)]
    result = dataclasses.replace(
        checked(simulate(60, seed=8)), delivered={"population": tuple(sorted(numbers))}
    )
    assert not [r for r in judge_batch(result, history, POLICY) if r.startswith("unit")]


def test_a_slip_by_a_thousand_names_the_unit(history):
    frame = simulate(300, seed=7, day=1)
    frame[TARGET] /= 1_000
    message = batch_message(checked(frame), (), history, POLICY)
    assert "about 1,000 times too small, as if it were in thousands of US dollars" in message


def test_categories_that_have_nothing_in_common(history):
    frame = simulate(300, seed=7, day=1)
    frame["ocean_proximity"] = pd.Categorical(
        ["ISLAND"] * 300, categories=frame["ocean_proximity"].cat.categories
    )
    (reason,) = reasons(frame, history)
    assert reason.startswith("categories: ocean_proximity is 'ISLAND' in 100 % of rows")


def test_the_limits_are_the_policys(history):
    frame = simulate(300, seed=7, day=1).assign(total_bedrooms=np.nan)
    assert reasons(frame, history, QualityPolicy(max_missing_increase=1)) == ()
    with pytest.raises(ValueError, match="extra"):
        QualityPolicy(max_rows=3)


def test_each_batch_has_a_message(rows, history):
    result = dataclasses.replace(checked(rows), notes=("a note",))
    assert batch_message(result, (), history, POLICY) == (
        "60 rows read, 60 accepted, 0 rejected; a note."
    )
    quarantined = batch_message(result, ("row count: few",), history, POLICY)
    assert quarantined.endswith("quarantined: row count: few; a note.")
    empty = batch_message(checked(rows.iloc[:0]), (), history, POLICY)
    assert empty == "no rows in it: a header and nothing below."


# --- profiles -------------------------------------------------------------------------------


def test_a_profile_is_plain_json_and_right():
    frame = simulate(500, seed=4)
    profile = profile_columns(frame)
    assert json.loads(json.dumps(profile, allow_nan=False)) == profile
    assert list(profile) == [*NUMBERS, "ocean_proximity"]
    bedrooms = frame["total_bedrooms"]
    assert profile["total_bedrooms"] == {
        "min": bedrooms.min(),
        "q25": bedrooms.quantile(0.25),
        "median": bedrooms.median(),
        "q75": bedrooms.quantile(0.75),
        "max": bedrooms.max(),
        "mean": pytest.approx(bedrooms.mean(), rel=1e-12),
        "missing": bedrooms.isna().mean(),
    }
    counts = profile["ocean_proximity"]["counts"]
    assert sum(counts.values()) == 500
    assert set(counts) == set(CATALOGUE["ocean_proximity"].categories)


def test_a_profile_does_not_depend_on_the_order_of_rows():
    frame = simulate(500, seed=4)
    assert profile_columns(frame) == profile_columns(frame.sample(frac=1, random_state=0))


def test_an_empty_table_has_a_profile():
    profile = profile_columns(simulate(5, 1).iloc[:0])
    assert profile["population"]["median"] is None
    assert profile["ocean_proximity"]["missing"] == 0.0
    history = BatchHistory((), profile)
    assert judge_batch(checked(simulate(100, 1)), history, POLICY) == ()
