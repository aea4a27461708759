"""The reference table: downloaded once, or read from the file or address that its option names.

What the option `table` names is used or is an error, never replaced. Only where the public address
cannot be reached do simulated districts take its place, named so. Fetching
bytes belongs in `download`.
"""

import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from housing.errors import FileUnreadable, SourceUnavailable
from housing.problems.california.options import CensusOptions
from housing.problems.california.simulated.source import bootstrap
from housing.records import BatchSummary
from housing.sources.base import Delivery, IngestHistory, SourceOptions, skipped
from housing.sources.delimited import CsvTable
from housing.sources.download import NotFetched, TimeLimits, fetch, store_file
from housing.sources.files import fingerprint, load, shell_word, shown
from housing.sources.parquet import ParquetTable
from housing.sources.table_file import FORMATS, FileTable, is_table

_BLOCK = 1 << 20  # bytes
DIGEST = "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e"
"""sha256 of the reference table's CSV."""

_FOLDER = "https://raw.githubusercontent.com/ageron/handson-ml2/master/datasets/housing/"
HOMES = (_FOLDER + "housing.csv", _FOLDER + "housing.tgz")
"""The table's public addresses; the second is tried where the first fails."""

_TARS = (".tgz", ".tar.gz", ".tar")
_WAY_OUT = "Set HOUSING_CENSUS to a readable path or URL; unset, it is the public one."


@dataclass(frozen=True)
class Census:
    """One delivery, until a reference table is stored."""

    options: SourceOptions
    name: str = "census"
    homes: tuple[str, ...] = HOMES

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """The reference table, once; SourceUnavailable where a named one cannot be read.

        Once one is stored, another that is named is reported and not read.
        """
        named = self.options.own("census", CensusOptions).table
        if seen.has_batch_of(self.name, real=bool(named)):
            yield from self._other(named, seen)
            return
        if named:
            name, _, content = self._named(named)
            yield self._delivery(name, content)
            return
        try:
            content = self._public()
        except NotFetched as error:
            name = f"simulated districts (the census table could not be reached: {error})"
            yield bootstrap(self.options, self.name, name)
        else:
            yield self._delivery("housing.csv", content)

    def _other(self, named: str, seen: IngestHistory) -> Iterator[BatchSummary]:
        """The table that the option names now, unless it is stored or cannot be read."""
        if not named:
            return
        try:
            name, path, content = self._named(named, cached=True)
        except SourceUnavailable:  # e.g. deleted since: nothing is missing
            return
        digests = {hashlib.sha256(content).hexdigest(), fingerprint(path)[0]}
        if any(map(seen.batch_with, digests)):
            return
        unpack = "" if is_table(path) else " (unpack it first)"
        why = (
            f"HOUSING_CENSUS names {name}, which is not read: another reference table is stored. "
            f"`housing ingest {shell_word(path)}` adds its rows{unpack}; to use it instead of the "
            "stored one, start over with an empty HOUSING_HOME."
        )
        yield skipped(self.name, name, "unreadable", why)

    def _delivery(self, name: str, content: bytes) -> Delivery:
        digest = hashlib.sha256(content).hexdigest()
        read = partial(_read, self.options, name, content, digest)
        return Delivery(
            self.name, name, digest, len(content), simulated=False, watermark=digest, read=read
        )

    def _public(self) -> bytes:
        """From the cache, else from the first public address that answers; or NotFetched."""
        cached = self.options.cache_dir / f"census-{DIGEST[:12]}.csv"
        if cached.is_file() and _is_reference(content := cached.read_bytes()):
            return content
        reasons = []
        for address in self.homes:
            try:
                content = _member(address, self._fetch(address), self.options)
            except (NotFetched, FileUnreadable) as error:
                reasons.append(str(error))
                continue
            if _is_reference(content):
                store_file(cached, content)
                return content
            reasons.append(f"{address} holds another table than the pinned one")
        raise NotFetched("; ".join(dict.fromkeys(reasons)))

    def _named(self, where: str, *, cached: bool = False) -> tuple[str, Path, bytes]:
        """Name, file and content of the table that the option names.

        With `cached` an address that was fetched before is not fetched again.
        """
        parts = urlsplit(where)
        if parts.scheme in ("http", "https"):
            name = PurePosixPath(unquote(parts.path)).name or "housing.csv"
            path = self._downloaded(where, name, cached=cached)
        elif "://" in where and parts.scheme != "file":
            raise _unavailable(f"addresses of the kind {parts.scheme}:// are not read")
        else:
            path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(where)
            path = path.expanduser()
            name = shown(path)
        if not path.exists():
            raise _unavailable(f"there is no file {path}")
        try:
            content = bytes(load(path, self.options.limits))
            return name, path, _member(name, content, self.options)
        except FileUnreadable as error:
            raise _unavailable(str(error)) from error

    def _downloaded(self, address: str, name: str, *, cached: bool) -> Path:
        """The file behind a named address, in the cache folder under its own suffix."""
        suffix = next((s for s in (*FORMATS, *_TARS) if name.lower().endswith(s)), ".csv")
        mark = hashlib.sha256(address.encode()).hexdigest()[:12]
        path = self.options.cache_dir / f"named-{mark}{suffix}"
        if cached and path.is_file():
            return path
        try:
            store_file(path, self._fetch(address))
        except NotFetched as error:
            raise _unavailable(str(error)) from error
        return path

    def _fetch(self, address: str) -> bytes:
        limits = TimeLimits(self.options.connect_seconds, self.options.transfer_seconds)
        return fetch(address, limits, self.options.limits.max_bytes)


def _unavailable(why: str) -> SourceUnavailable:
    return SourceUnavailable(source="census", why=why, next_step=_WAY_OUT)


def _is_reference(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == DIGEST


def _read(options: SourceOptions, name: str, content: bytes, digest: str) -> FileTable:
    found: FileTable
    if name.lower().endswith(".parquet"):
        found = ParquetTable(bytearray(content), name, options.limits)
    else:  # `load` and `_member` have unpacked it
        found = CsvTable(lambda: _blocks(content), name, options.limits)
    if digest != DIGEST:
        note = f"this is not the reference table, whose sha256 begins with {DIGEST[:12]}"
        found.notes = (*found.notes, note)
    return found


def _blocks(content: bytes) -> Iterator[bytes]:
    yield from (content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK))


def _member(name: str, content: bytes, options: SourceOptions) -> bytes:
    """The first table in an archive, or the content itself where it is none."""
    if not name.lower().endswith(_TARS):
        return content
    limit = options.limits.max_bytes
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                if member.isfile() and member.name.lower().endswith(".csv"):
                    file = archive.extractfile(member)
                    if file is not None and member.size <= limit:
                        return file.read(limit)
    except (tarfile.TarError, zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise FileUnreadable(file=name, why=f"is a damaged archive ({error})") from error
    raise FileUnreadable(file=name, why="is an archive without a CSV file in it")
