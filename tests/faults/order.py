"""In which order bytes, names and the database's own writes reached the disk."""

import re
from pathlib import Path

from tests.faults.campaign import Record
from tests.faults.disk import Disk
from tests.faults.trace import Event

DIGEST = re.compile(rb"[0-9a-f]{64}")
STORED = ("blobs", "backup", "keys")  # folders of a home whose files are promised to be durable


def out_of_order(record: Record) -> list[str]:
    """What was done too early, each in a line; none means that no loss of power can spoil it.

    A file is synced before it gets its name. What the database is told of a blob (a write to
    SQLite's file or log, a message to PostgreSQL) comes after blob and name are durable. A
    backup's manifest comes after all that it names. At the end everything is durable.
    """
    last = record.disk(len(record.events))
    of_digest = _blobs(record.home, set(last.names))
    disk, problems = record.disk(0), []
    for event in record.events:
        if event.what == "R" and disk.names[event.to].cached:
            problems.append(f"{event.path} got its name before it was synced")
        if event.what == "R" and event.path.endswith("manifest.json"):
            problems += _not_durable(disk, record.home / "backup", event)
        if event.what == "S" or (event.what == "W" and "housing.db" in disk.path(event)):
            named = {digest.decode() for digest in DIGEST.findall(event.data)}
            problems += [
                f"SQL was told of {of_digest[digest]} before it was durable"
                for digest in sorted(named & set(of_digest))
                if not disk.durable(of_digest[digest])
            ]
        disk.do(event)
    problems += [f"at the end {p} is not durable" for p in _promised(record.home, last)]
    return problems


def files_named(record: Record) -> int:
    """How many stored files got their names in it: what the check has looked at."""
    return sum(e.what == "R" and _is_stored(record.home, e.path) for e in record.events)


def _blobs(home: Path, paths: set[str]) -> dict[str, str]:
    folder = str(home / "blobs")
    names = [path for path in paths if path.startswith(folder) and path != folder]
    return {Path(p).name.partition(".")[0]: p for p in names if "." in Path(p).name}


def _not_durable(disk: Disk, folder: Path, but: Event) -> list[str]:
    return [
        f"{path} was not durable when a manifest was written"
        for path in disk.names
        if path.startswith(f"{folder}/") and path != but.to and not disk.durable(path)
    ]


def _promised(home: Path, disk: Disk) -> list[str]:
    database = str(home / "housing.db")
    return [
        path
        for path in disk.names
        if (path == database or _is_stored(home, path)) and not disk.durable(path)
    ]


def _is_stored(home: Path, path: str) -> bool:
    return any(path.startswith(f"{home / folder}/") for folder in STORED)
