"""What the fault library has recorded: file operations in their order, below Python and SQLite."""

import struct
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("=6q")


@dataclass(frozen=True)
class Event:
    """One operation that was done.

    `what`: O opened, W written, T truncated, F synced (files and folders, by `inode`); R renamed
    from `to`, L linked from `to`, U deleted, M folder made; S sent to PostgreSQL.
    """

    what: str
    inode: int
    at: int  # offset of W, size of T, whether O emptied the file
    path: str
    to: str
    data: bytes


def read(path: Path) -> list[Event]:
    """All events of a record."""
    raw, events, here = path.read_bytes(), [], 0
    while here < len(raw):
        what, inode, at, *sizes = _HEAD.unpack_from(raw, here)
        here += _HEAD.size
        parts = []
        for size in sizes:
            parts.append(raw[here : here + size])
            here += size
        name, to, data = parts
        events.append(Event(chr(what), inode, at, name.decode(), to.decode(), data))
    return events
