"""The landing directory: files that people and other systems put there, one batch each.

A file is read once (same bytes, same batch), never moved, changed or deleted, and not read while
it is still being written. Known bytes under another name are compared with the dataset: if it no
longer has their rows, the message names the command that brings them back. Files are read in the
order of their names, so of two corrections of a row the one in the later name counts.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from housing.errors import FileUnreadable, SourceUnavailable
from housing.records import BatchSummary, KnownContent
from housing.sources.base import Delivery, IngestHistory, SourceOptions, skipped
from housing.sources.files import fingerprint, shell_word, shown
from housing.sources.table_file import is_table, read_table, require_table

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp", "~")

_STATES = {
    "withdrawn": "which was withdrawn; `housing dataset restore b{batch} --reason TEXT` brings it "
    "back",
    "quarantined": "which is quarantined; `housing show b{batch}` shows why",
    "rejected": "whose rows were all rejected; `housing show b{batch}` shows why",
    "empty": "which has no rows; see `housing show b{batch}`",
    "discarded": "which was discarded; `housing ingest --again {file}` takes it as a new delivery",
}
"""How the message about a stored batch that is not in the dataset goes on, by its status."""

_Shape = tuple[int, int]  # size in bytes, time of last change in nanoseconds


@dataclass(frozen=True)
class Landing:
    """Files of one folder, in name order; tables in its subfolders are named, not read."""

    options: SourceOptions
    name: str = "landing"
    files: tuple[Path, ...] | None = None  # in place of the folder's; they need not settle
    again: bool = False  # deliver files of known content, too

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """What each file is; SourceUnavailable where the folder cannot be listed."""
        folders: list[Path] = []
        files = list(self.files or ())
        for path in self._listed() if self.files is None else ():
            (folders if path.is_dir() and not is_table(path) else files).append(path)
        growing = _growing(files, self.options.settle_seconds if self.files is None else 0.0)
        found: dict[str, str] = {}  # names by digest
        for path in files:
            if path in growing:
                why = f"{shown(path)} is still being written; the next run reads it."
                yield skipped(self.name, shown(path), "waiting", why)
            else:
                yield self._one(path, seen, found)
        for folder in folders:  # a person may expect its tables to be read
            if (table := _first_table(folder)) is not None:
                name, where = f"{shown(folder)}/", shown(self.options.landing_dir, whole=True)
                why = (
                    f"{name} is a folder, and its tables (first {shown(table)}) are not read. "
                    f"Move them into {where}, or begin the folder's name with a dot"
                )
                yield skipped(self.name, name, "unreadable", f"{why}.")

    def _one(
        self, path: Path, seen: IngestHistory, found: dict[str, str]
    ) -> Delivery | BatchSummary:
        name = shown(path)
        try:
            require_table(path)
            digest, size = fingerprint(path)
        except FileUnreadable as error:
            return skipped(self.name, name, "unreadable", f"{error}.")
        known = seen.batch_with(digest)
        if known is not None and not self.again:
            return self._known(path, known, seen)
        if digest in found:
            message = f"{name} holds the same as {found[digest]}; it counts once."
            return skipped(self.name, name, "unchanged", message)
        found[digest] = name
        read = partial(read_table, path, self.options.limits, digest=digest)
        return Delivery(
            self.name,
            name,
            digest if known is None else known.next_digest,
            size,
            simulated=False,
            watermark=None,
            read=read,
            repeats=None if known is None else known.batch,
        )

    def _known(self, path: Path, known: KnownContent, seen: IngestHistory) -> BatchSummary:
        """The summary of content that is stored, with the command that brings its rows back.

        A file that stays in the folder is not compared with the dataset at every run: corrections
        of its rows are no news. The same content under another name, or named by a person, is
        compared.
        """
        name = shown(path)
        same = f"{name} holds the same as b{known.batch}"
        fresh = self.files is not None or name not in known.names
        if state := _STATES.get(known.status):
            status: Literal["unchanged", "superseded"] = "superseded" if fresh else "unchanged"
            message = state.format(batch=known.batch, file=shell_word(path))
            return skipped(self.name, name, status, f"{same}, {message}.")
        outdated = seen.outdated_rows(known.batch) if fresh else 0
        if outdated:
            why = f"{outdated:,} of its rows have been corrected or withdrawn since"
            how = f"`housing ingest --again {shell_word(path)}` takes it as a new delivery"
            return skipped(self.name, name, "superseded", f"{same}; {why}. {how}.")
        return skipped(self.name, name, "unchanged", f"{same}; nothing to do.")

    def _listed(self) -> list[Path]:
        folder = self.options.landing_dir
        try:
            if self.options.create_landing_dir:
                folder.mkdir(parents=True, exist_ok=True)
            return sorted(filter(_counts, folder.iterdir()), key=lambda path: path.name)
        except OSError as error:
            setting = "HOUSING_SOURCES__LANDING_DIR"
            why = f"{folder} cannot be listed ({error.strerror or error})"
            step = f"Point {setting} at a folder that this user may read."
            if isinstance(error, FileNotFoundError):
                why = f"there is no folder {folder}"
                step = f"Make it, or point {setting} at the folder where files land."
            raise SourceUnavailable(source=self.name, why=why, next_step=step) from error


def _counts(path: Path) -> bool:
    """Whether a directory entry is a delivery: not hidden, not unfinished."""
    return not path.name.startswith(".") and not path.name.lower().endswith(_UNFINISHED)


MOST_ENTRIES = 10_000
"""Entries of a subfolder that are searched for tables."""


def _first_table(folder: Path) -> Path | None:
    """The first table below a folder, without links and hidden folders; None if there is none."""
    left = MOST_ENTRIES
    for _, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if _counts(Path(name)) and is_table(Path(name)):
                return Path(name)
        left -= len(files) + len(folders)
        if left < 0:
            break
    return None


def _growing(files: list[Path], settle_seconds: float) -> set[Path]:
    """Files that change while they are watched; waits at most `settle_seconds`, once for all.

    Only files that changed less than `settle_seconds` ago are watched.
    """
    before = {path: shape for path in files if (shape := _shape(path)) is not None}
    now = time.time()
    fresh = {path: shape for path, shape in before.items() if now - shape[1] / 1e9 < settle_seconds}
    if not fresh:
        return set()
    youngest = max(shape[1] for shape in fresh.values()) / 1e9
    time.sleep(min(max(youngest + settle_seconds - now, 0.0), settle_seconds))
    return {path for path, shape in fresh.items() if _shape(path) not in (shape, None)}


def _shape(path: Path) -> _Shape | None:
    try:
        facts = path.stat()
    except OSError:
        return None  # reading it reports the fault
    return facts.st_size, facts.st_mtime_ns
