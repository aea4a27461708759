"""Damaged CSV files: every message names the file, the line if there is one, and the next step."""

import random
import re
from pathlib import Path

import pytest

from housing.errors import FileUnreadable
from housing.inference import file_scoring
from housing.pipeline.label_file import labels_of
from housing.quality.rows import validate
from housing.sources.files import ReadLimits
from housing.sources.table_file import read_table

LIMITS = ReadLimits(max_line_bytes=300)
FOREIGN = re.compile(
    r"CSV parse error|Arrow|Traceback|codec|Expected \d|delimiter|straddling|_csv|unexpected end|"
    r"NoneType|object at 0x|Error -?\d|<class"
)
"""Words of Arrow's and Python's own messages."""

DAMAGE = [
    b"",
    b'"',
    b'""',
    b"\n",
    b"\r",
    b",",
    b",,,,",
    b";",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
]
DAMAGE += [b"x" * 400, b"\xe2\x80\xa8", b"PK\x03\x04", b"'", b"\\", b"\t"]


def damaged(content: bytes, seed: int) -> bytes:
    """The content with one to three places overwritten, cut short, or doubled."""
    chance = random.Random(seed)
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice([0, 5, chance.randrange(len(data)), len(data) - 1])
        data[at : at + chance.randint(0, 3)] = chance.choice(DAMAGE)
    return bytes(data[: chance.choice([len(data), len(data), chance.randrange(1, len(data))])])


def _intake(path: Path) -> list[str]:
    found = validate(read_table(path, LIMITS), path.name)
    assert len(found.accepted) + len(found.rejected) == found.read
    return [rejection.example for rejection in found.rejections]


def _labels(path: Path) -> list[str]:
    return [rejection.example for rejection in labels_of(path, LIMITS)[1]]


def _scoring(path: Path) -> list[str]:
    for table in file_scoring._tables(path, path.name, "csv"):
        file_scoring._checked(table.to_pandas())
    return []


@pytest.mark.parametrize("reader", [_intake, _labels, _scoring])
def test_messages_about_200_damaged_files(tmp_path, table, reader):
    path = tmp_path / "a.csv"
    refused = 0
    for seed in range(200):
        path.write_bytes(damaged(table.encode(), seed))
        try:
            messages = reader(path)
        except FileUnreadable as error:
            refused += 1
            messages = [f"{error}."]
        for message in messages:
            step = r"\. [A-Z].*\.$" if message.endswith(".") else r"expected|required|:"
            assert re.search(step, message), f"no next step: {message}"
            assert message.startswith("a.csv"), message
            assert re.search(r"line|is (empty|a zip)|does not name", message), f"no line: {message}"
            assert not FOREIGN.search(message), message
    assert refused > 20
