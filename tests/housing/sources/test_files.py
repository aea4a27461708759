import gzip
import os
import tracemalloc
import zlib
from pathlib import Path

import pytest

from housing.errors import FileUnreadable
from housing.quality.table import whole
from housing.sources.files import ReadLimits, fingerprint, load, shown
from housing.sources.header import Wanted
from housing.sources.table_file import read_table

LIMITS = ReadLimits()


def complaint(path: Path, limits: ReadLimits = LIMITS, **options) -> str:
    with pytest.raises(FileUnreadable) as caught:
        whole(read_table(path, limits, **options))
    return str(caught.value)


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content))
    return path


def test_gzip_is_unpacked_in_one_part_or_many(tmp_path, table):
    one = packed(tmp_path / "one.csv.gz", table.encode())
    half = len(table) // 2
    parts = gzip.compress(table[:half].encode()) + gzip.compress(table[half:].encode())
    many = tmp_path / "many.csv.gz"
    many.write_bytes(parts + b"\0" * 100)
    assert load(one, LIMITS) == load(many, LIMITS) == table.encode()
    assert whole(read_table(many, LIMITS)).read == 40


def test_a_gzip_that_is_none(tmp_path, table):
    path = tmp_path / "a.csv.gz"
    path.write_text(table)
    assert complaint(path).startswith("a.csv.gz: is named .gz and is not gzip")


@pytest.mark.parametrize("keep", [5, 0.5, -9, -1])
def test_a_truncated_gzip_is_refused(tmp_path, table, keep):
    path = packed(tmp_path / "a.csv.gz", table.encode())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    assert "cut short" in complaint(path)


def test_a_gzip_with_a_truncated_second_member_is_refused(tmp_path, table):
    path = packed(tmp_path / "a.csv.gz", table.encode())
    path.write_bytes(path.read_bytes() + path.read_bytes()[:30])
    assert "cut short" in complaint(path)


def test_a_gzip_of_no_bytes(tmp_path):
    (tmp_path / "a.csv.gz").touch()
    assert complaint(tmp_path / "a.csv.gz").startswith("a.csv.gz: is empty")


def test_a_damaged_gzip_is_refused(tmp_path, table):
    path = packed(tmp_path / "a.csv.gz", table.encode())
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF  # its checksum
    path.write_bytes(content)
    assert "is damaged gzip" in complaint(path)


def test_a_bomb_is_stopped_before_it_is_unpacked(tmp_path, table):
    machine = zlib.compressobj(9, wbits=31)
    lines = b"\n" * 2**20
    path = tmp_path / "bomb.csv.gz"
    with path.open("wb") as file:
        file.write(machine.compress(table.encode()))
        for _ in range(200):
            file.write(machine.compress(lines))
        file.write(machine.flush())
    tracemalloc.start()
    message = complaint(path, ReadLimits(ratio_from_bytes=2**22))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "more than 200 times its size" in message
    assert peak < 60 * 2**20  # of 200 MB


def test_200_megabytes_in_one_line_are_refused_after_the_first_block(tmp_path):
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,2\n")
        file.truncate(200 * 2**20)  # sparse: zero bytes, no line break
    tracemalloc.start()
    message = complaint(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert message.startswith("long.csv: line 3 is longer than 65,536 bytes")
    assert peak < 10 * 2**20


@pytest.mark.parametrize("position", [0, 99, 100, 2**20 - 50, 2**20, 2**20 + 7])
def test_the_line_limit_is_exact_wherever_blocks_end(tmp_path, position):
    path = tmp_path / "a.csv"
    limits = ReadLimits(max_line_bytes=100)
    names = Wanted(("a", "b"))
    before = b"a,b\n" + (b"x" * 49 + b"\n") * (position // 50) + b"\n" * (position % 50)
    path.write_bytes(before + b"y" * 100 + b"\n" + b"z\n" * 500)
    assert whole(read_table(path, limits, wanted=names)).broken[-1].text == "z"
    path.write_bytes(before + b"y" * 101 + b"\n" + b"z\n" * 500)
    with pytest.raises(FileUnreadable, match=rf"line {before.count(10) + 1} is longer than 100"):
        whole(read_table(path, limits, wanted=names))


def test_a_file_that_is_too_large(tmp_path, table):
    path = tmp_path / "a.csv"
    path.write_text(table)
    assert "more than 1,000 bytes" in complaint(path, ReadLimits(max_bytes=1_000))


def test_a_file_that_changed_after_its_fingerprint_is_refused(tmp_path, table):
    path = tmp_path / "a.csv"
    path.write_text(table)
    digest, _ = fingerprint(path)
    assert whole(read_table(path, LIMITS, digest=digest)).read == 40
    path.write_text(table + table.splitlines()[1] + "\n")
    assert "changed while it was being read" in complaint(path, digest=digest)


def test_a_file_that_never_existed_and_one_that_vanished(tmp_path, table):
    path = tmp_path / "a.csv"
    assert complaint(path) == "a.csv: does not exist. Check its name"
    path.write_text(table)
    digest, _ = fingerprint(path)
    path.unlink()
    assert complaint(path, digest=digest).startswith("a.csv: vanished. Deliver it again")
    with pytest.raises(FileUnreadable, match="does not exist"):
        fingerprint(path)


def test_a_link_to_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.symlink_to(tmp_path / "nothing.csv")
    assert "link to a file that does not exist" in complaint(path)


def test_a_link_to_a_file_is_read(tmp_path, table):
    (tmp_path / "b.csv").write_text(table)
    path = tmp_path / "a.csv"
    path.symlink_to(tmp_path / "b.csv")
    assert whole(read_table(path, LIMITS)).read == 40


def test_a_link_to_itself(tmp_path):
    path = tmp_path / "a.csv"
    path.symlink_to(path)
    assert complaint(path).startswith("a.csv: cannot be read")


def test_a_folder_and_a_pipe_that_are_named_like_tables(tmp_path):
    (tmp_path / "a.csv").mkdir()
    os.mkfifo(tmp_path / "b.csv")
    assert "is a folder" in complaint(tmp_path / "a.csv")
    assert "not a regular file" in complaint(tmp_path / "b.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path, table):
    path = tmp_path / "a.csv"
    path.write_text(table)
    path.chmod(0)
    assert "may not be read by this user" in complaint(path)


def test_another_format_is_named(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"PK\x03\x04")
    assert "is not a table; these are read: .csv, .csv.gz, .parquet" in complaint(path)


def test_odd_names_can_be_printed_and_stored():
    name = os.fsdecode(b"a\xffb\n\x1b[31m\xe2\x80\xae \xc3\xa9.csv")
    assert shown(Path(name)) == "a\\xffb\\n\\x1b[31m\\u202e é.csv"
    shown(Path(name)).encode("utf-8")
