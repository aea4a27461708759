"""A disk with a cache, as the record of a process's file operations has left it.

What a loss of power may leave: of each file any of the writes since its last sync, whole, in part
or not at all, and of each folder any of the names since its own last sync. That is more than any
common file system would lose, and all that is promised to programs.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.trace import Event

SECTOR = 512
NOT_KEPT = "-shm"  # SQLite's index of its log: shared memory, recreated at the first opening


@dataclass(frozen=True)
class Write:
    """Bytes at an offset; None at one means that the file was cut there."""

    at: int
    data: bytes | None


@dataclass(eq=False)
class File:
    """A file's bytes on the disk, and what is only in the cache so far."""

    synced: bytes = b""
    cached: list[Write] = field(default_factory=list)

    def sync(self) -> None:
        """All of it on the disk."""
        self.synced, self.cached = content(self.synced, self.cached), []


@dataclass(frozen=True)
class Naming:
    """A name that was given to a file (None: to nothing any more); `folder` for a folder."""

    path: str
    file: File | None


def content(start: bytes, writes: Iterable[Write]) -> bytes:
    """Bytes after some writes; what was never written between them is zero."""
    found = bytearray(start)
    for write in writes:
        end = write.at + len(write.data or b"")
        if len(found) < end:
            found.extend(bytes(end - len(found)))
        if write.data is None:
            del found[write.at :]
        else:
            found[write.at : end] = write.data
    return bytes(found)


class Disk:
    """Folders are files too: what of them counts is their names."""

    def __init__(self, start: dict[str, bytes | None]) -> None:
        """`start`: path and content of all that is there and safe; None for a folder."""
        self.names = {path: File(data or b"") for path, data in start.items()}
        self.safe = dict(self.names)
        self.folders = {path for path, data in start.items() if data is None}
        self.cached: list[Naming] = []
        self._inodes: dict[int, tuple[str, File]] = {}

    def do(self, event: Event) -> None:
        """What an operation does to the cache, and a sync to the disk."""
        match event.what:
            case "O":
                if event.path not in self.names:
                    self._name(event.path, File())
                self._inodes[event.inode] = event.path, self.names[event.path]
                if event.at:
                    self.names[event.path].cached.append(Write(0, None))
            case "W":
                self.file(event).cached.append(Write(event.at, event.data))
            case "T":
                size, file = event.at, self.file(event)
                grown = len(content(file.synced, file.cached)) < size
                file.cached.append(Write(size, b"" if grown else None))
            case "F":
                self._sync(event)
            case "R":
                file = self.names[event.to]
                self._name(event.to, None)
                self._name(event.path, file)
            case "L":
                self._name(event.path, self.names[event.to])
            case "M":
                self.folders.add(event.path)
                self._name(event.path, File())
            case "U":
                self._name(event.path, None)

    def file(self, event: Event) -> File:
        """The file that an event by inode is about."""
        return self._inodes[event.inode][1]

    def path(self, event: Event) -> str:
        """The name by which it was opened."""
        return self._inodes[event.inode][0] if event.inode in self._inodes else event.path

    def _name(self, path: str, file: File | None) -> None:
        self.cached.append(Naming(path, file))
        _apply(self.names, self.cached[-1])

    def _sync(self, event: Event) -> None:
        path, file = self._inodes[event.inode]
        file.sync()
        if path in self.folders:
            for naming in [n for n in self.cached if str(Path(n.path).parent) == path]:
                self.cached.remove(naming)
                _apply(self.safe, naming)

    def durable(self, path: str) -> bool:
        """Whether a file would survive a loss of power now, whole and under this name."""
        file = self.names.get(path)
        known = file is not None and self.safe.get(path) is file and not file.cached
        parents = [str(p) for p in Path(path).parents if str(p) in self.names]
        return known and all(self.safe.get(p) is self.names[p] for p in parents)

    def after_loss(self, survives: "Survival") -> dict[str, bytes | None]:
        """Content of every path that is there after a loss of power; None for a folder."""
        names = dict(self.safe)
        for naming in self.cached:
            if survives.name():
                _apply(names, naming)
        found: dict[str, bytes | None] = {}
        for path in sorted(names):  # a folder comes before what is in it
            parent = str(Path(path).parent)
            if path.endswith(NOT_KEPT) or (parent in self.folders and parent not in found):
                continue
            file = names[path]
            kept = [part for write in file.cached for part in survives.parts(write)]
            found[path] = None if path in self.folders else content(file.synced, kept)
        return found


def _apply(names: dict[str, File], naming: Naming) -> None:
    if naming.file is None:
        names.pop(naming.path, None)
    else:
        names[naming.path] = naming.file


@dataclass(frozen=True)
class Survival:
    """What of the cache reaches the disk: names, and parts of writes."""

    name: Callable[[], bool]
    parts: Callable[[Write], list[Write]]


def nothing() -> Survival:
    """Only what was synced."""
    return Survival(lambda: False, lambda _: [])


def names_only() -> Survival:
    """Files under their names, without the bytes: the classic after a rename without a sync."""
    return Survival(lambda: True, lambda _: [])


def everything() -> Survival:
    """As after kill -9."""
    return Survival(lambda: True, lambda write: [write])


def by_chance(seed: int) -> Survival:
    """Some names, some sectors of some writes."""
    chance = random.Random(seed)
    share = chance.choice((0.2, 0.5, 0.8))

    def parts(write: Write) -> list[Write]:
        if write.data is None or len(write.data) <= SECTOR:
            return [write] if chance.random() < share else []
        sectors = range(0, len(write.data), SECTOR)
        pieces = [Write(write.at + at, write.data[at : at + SECTOR]) for at in sectors]
        fate = chance.random()
        if fate < 0.5:
            return [write] if chance.random() < share else []
        return [piece for piece in pieces if chance.random() < share]

    return Survival(lambda: chance.random() < share, parts)
