import os
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from housing.errors import FileUnreadable, SourceUnavailable
from housing.quality.table import whole
from housing.records import BatchSummary
from housing.sources import SOURCES
from housing.sources.base import Delivery


def test_an_empty_directory_delivers_nothing(options, seen):
    assert list(SOURCES["landing"](options()).deliveries(seen)) == []


def test_a_missing_directory_is_an_error_with_the_next_step(options, seen, tmp_path):
    source = SOURCES["landing"](options(landing_dir=tmp_path / "none"))
    with pytest.raises(SourceUnavailable, match="HOUSING_SOURCES__LANDING_DIR"):
        list(source.deliveries(seen))


def test_the_default_directory_is_made(options, seen, tmp_path):
    folder = tmp_path / "home" / "landing"
    source = SOURCES["landing"](options(landing_dir=folder, create_landing_dir=True))
    assert list(source.deliveries(seen)) == []
    assert folder.is_dir()


def test_a_file_where_the_directory_should_be(options, seen, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceUnavailable, match="cannot be listed"):
        list(SOURCES["landing"](options(landing_dir=tmp_path / "file")).deliveries(seen))


def test_files_come_in_name_order_with_digest_and_rows(options, seen, landing, table, districts):
    (landing / "b.csv").write_text(table)
    districts.to_parquet(landing / "a.parquet")
    first, second = SOURCES["landing"](options()).deliveries(seen)
    assert (first.name, second.name) == ("a.parquet", "b.csv")
    assert second.size == len(table.encode())
    assert (first.source, first.simulated, first.watermark) == ("landing", False, None)
    assert whole(first.read()).read == whole(second.read()).read == 40


@pytest.mark.parametrize(
    "name", [".a.csv", "a.csv.part", "a.csv.tmp", "a.csv.crdownload", "a.csv~"]
)
def test_unfinished_and_hidden_files_are_left_alone(options, seen, landing, table, name):
    (landing / name).write_text(table)
    assert list(SOURCES["landing"](options()).deliveries(seen)) == []


def test_tables_in_folders_are_named_and_not_read(options, seen, landing, table):
    for folder in ("2026", "notes", ".kept"):
        (landing / folder / "11").mkdir(parents=True)
    for place in ("2026/11/a.csv", ".kept/a.csv", "notes/11/b.txt", "notes/c.csv.part"):
        (landing / place).write_text(table)
    (answer,) = SOURCES["landing"](options()).deliveries(seen)
    assert (answer.name, answer.status) == ("2026/", "unreadable")
    assert answer.message == (
        f"2026/ is a folder, and its tables (first a.csv) are not read. Move them into {landing}, "
        "or begin the folder's name with a dot."
    )


def test_known_content_is_unchanged_under_any_name(options, seen, landing, table):
    (landing / "a.csv").write_text(table)
    source = SOURCES["landing"](options())
    seen.store(next(source.deliveries(seen)))
    (landing / "z.csv").write_text(table)
    answers = list(source.deliveries(seen))
    assert [(a.name, a.status) for a in answers] == [("a.csv", "unchanged"), ("z.csv", "unchanged")]
    assert answers[1].message == "z.csv holds the same as b1; nothing to do."


def test_two_files_with_the_same_content_count_once(options, seen, landing, table):
    for name in ("a.csv", "b.csv"):
        (landing / name).write_text(table)
    first, second = SOURCES["landing"](options()).deliveries(seen)
    assert isinstance(first, Delivery)
    assert (second.status, second.message) == (
        "unchanged",
        "b.csv holds the same as a.csv; it counts once.",
    )


def test_an_unreadable_file_is_reported_and_the_others_are_read(options, seen, landing, table):
    (landing / "a.csv").mkdir()
    (landing / "b.xlsx").write_bytes(b"PK\x03\x04")
    (landing / "c.csv").symlink_to(landing / "nothing")
    os.mkfifo(landing / "d.csv")
    (landing / "e.csv").write_text(table)
    answers = list(SOURCES["landing"](options()).deliveries(seen))
    assert [getattr(a, "status", "delivery") for a in answers] == ["unreadable"] * 4 + ["delivery"]
    assert answers[1].message == (
        "b.xlsx: is not a table; these are read: .csv, .csv.gz, .parquet. "
        "Give it its true suffix, or move it elsewhere."
    )


def test_a_file_that_goes_or_changes_between_finding_and_reading(options, seen, landing, table):
    (landing / "a.csv").write_text(table)
    (landing / "b.csv").write_text(table + "\n")
    gone, changed = SOURCES["landing"](options()).deliveries(seen)
    (landing / "a.csv").unlink()
    (landing / "b.csv").write_text(table[:100])
    with pytest.raises(FileUnreadable, match=r"a\.csv: vanished"):
        gone.read()
    with pytest.raises(FileUnreadable, match="changed while it was being read"):
        changed.read()


def test_odd_file_names_are_read(options, seen, landing, table):
    name = os.fsdecode(b"caf\xc3\xa9 \xff\n[red]%s.csv")
    (landing / name).write_text(table)
    (delivery,) = SOURCES["landing"](options()).deliveries(seen)
    assert delivery.name == "café \\xff\\n[red]%s.csv"
    assert whole(delivery.read()).read == 40


def _keep_writing(path: Path, stop: threading.Event) -> None:
    while not stop.is_set():
        with path.open("a") as file:
            file.write("1,2,3\n")
        time.sleep(0.02)


def test_a_growing_file_waits_and_the_others_go_on(options, seen, landing, table):
    (landing / "a.csv").write_text(table)
    (landing / "b.csv").write_text(table[:50])
    stop = threading.Event()
    writer = threading.Thread(target=_keep_writing, args=(landing / "b.csv", stop))
    writer.start()
    try:
        answers = list(SOURCES["landing"](options(settle_seconds=0.3)).deliveries(seen))
    finally:
        stop.set()
        writer.join()
    assert isinstance(answers[0], Delivery)
    assert isinstance(answers[1], BatchSummary)
    assert answers[1].status == "waiting"
    assert "b.csv is still being written" in answers[1].message


def test_a_new_file_is_read_once_it_stops_changing(options, seen, landing, table):
    (landing / "a.csv").write_text(table)
    started = time.monotonic()
    (answer,) = SOURCES["landing"](options(settle_seconds=0.3)).deliveries(seen)
    assert isinstance(answer, Delivery)
    assert 0.2 < time.monotonic() - started < 2


def test_old_files_and_files_from_the_future_cost_no_long_wait(options, seen, landing, table):
    for name, when in (("a.csv", time.time() - 60), ("b.csv", time.time() + 10_000)):
        (landing / name).write_text(table + name)
        os.utime(landing / name, (when, when))
    started = time.monotonic()
    answers = list(SOURCES["landing"](options(settle_seconds=0.3)).deliveries(seen))
    assert all(isinstance(answer, Delivery) for answer in answers)
    assert time.monotonic() - started < 2


def test_reading_leaves_the_file_as_it_was(options, seen, landing, table):
    (landing / "a.csv").write_text(table)
    before = (landing / "a.csv").stat()
    (delivery,) = SOURCES["landing"](options()).deliveries(seen)
    pd.testing.assert_frame_equal(whole(delivery.read()).frame, whole(delivery.read()).frame)
    after = (landing / "a.csv").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
