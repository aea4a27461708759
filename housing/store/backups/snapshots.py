"""Snapshots: the whole store at one moment, in the backup.

`snapshots/<id>/<table>.parquet` for each table, blobs beside them under their digests (shared by
all snapshots), and `snapshots/<id>/manifest.json`, written last: without it there is no snapshot.
Restoring and verifying belong in `operations.backup`.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Connection

from housing.errors import HousingError, UnknownId
from housing.store.backups import table_dump
from housing.store.database.tables import backup_copies, utc_now
from housing.store.models.promotion_log import champion
from housing.store.objects.blobs import BlobStore
from housing.store.objects.filesystem import ENCRYPTED, DurableFileSystem
from housing.store.objects.recording import live_rows

FOLDER = "snapshots"
FORMAT = 1
MANIFEST = "manifest.json"
KEY_FILE = "signing.key"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_LISTING = "housing backup list"


@dataclass(frozen=True)
class TableDump:
    """One dumped table."""

    table: str
    rows: int
    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class BlobRef:
    """One blob that the snapshot refers to."""

    digest: str
    suffix: str
    size: int  # bytes


@dataclass(frozen=True)
class PageRef:
    """One page, e.g. a report; its copy lies among those of the blobs."""

    name: str
    copy: BlobRef


@dataclass(frozen=True)
class Manifest:
    """What a snapshot consists of."""

    id: str
    created_at: datetime  # UTC
    schema: str  # the database's revision
    database: str  # the dialect that it was taken from
    champion: int | None
    tables: tuple[TableDump, ...]
    blobs: tuple[BlobRef, ...]
    signing_key: bool  # whether it contains the key of model signatures (encrypted only)
    pages: tuple[PageRef, ...] = ()
    format: int = FORMAT

    @property
    def objects(self) -> tuple[BlobRef, ...]:
        """All copies that it refers to."""
        return (*self.blobs, *(page.copy for page in self.pages))

    @property
    def size(self) -> int:
        """Bytes of everything it refers to."""
        return sum(t.size for t in self.tables) + sum(o.size for o in self.objects)


def new_id(storage: BlobStore) -> str:
    """A new id: the time and random digits. It sorts last, also where another clock is ahead."""
    times = [utc_now(), *(taken_at(id_) + timedelta(microseconds=1) for id_ in ids(storage)[-1:])]
    return f"{max(times):{_TIME}}-{secrets.token_hex(3)}"


def taken_at(id_: str) -> datetime:
    """When a snapshot was taken, from its id (UTC); the earliest instant for an invalid id."""
    try:
        return datetime.strptime(id_.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def write_tables(
    storage: DurableFileSystem, id_: str, connection: Connection
) -> tuple[TableDump, ...]:
    """Write all tables as they are in this transaction; one is in memory at a time."""
    written = []
    for table in table_dump.order():
        data = table_dump.dump(connection, table)
        storage.write(_name(id_, f"{table.name}.parquet"), data)
        digest = hashlib.sha256(data).hexdigest()
        written.append(TableDump(table.name, table_dump.rows_in(data), len(data), digest))
    return tuple(written)


def live_blobs(connection: Connection) -> tuple[BlobRef, ...]:
    """Blobs referenced by this snapshot that have not been pruned."""
    return tuple(BlobRef(row.digest, row.suffix, row.size) for row in live_rows(connection))


def copied_blobs(connection: Connection, url: str) -> tuple[BlobRef, ...]:
    """Those of `live_blobs` with a copy in the backup at `url`, as SQL records."""
    query = sa.select(backup_copies.c.digest).where(backup_copies.c.url == url)
    copied = set(connection.scalars(query))
    return tuple(blob for blob in live_blobs(connection) if blob.digest in copied)


def write(
    storage: BlobStore,
    id_: str,
    facts: Mapping[str, Any],
    parts: Sequence[TableDump],
    signing_key: str | None,
) -> Manifest:
    """Write what a snapshot lacks, whose tables and blobs are there, but its manifest (`finish`).

    Each table is read back and compared; BlobMissing or Corrupt if it differs.
    `facts` are the manifest's fields except `id`, `tables` and `signing_key`.
    """
    keeps_key = signing_key is not None and storage.cipher is not None
    if signing_key is not None and keeps_key:
        storage.write(_name(id_, KEY_FILE), signing_key.encode())
    manifest = Manifest(id=id_, tables=tuple(parts), signing_key=keeps_key, **facts)
    for part in parts:  # after all are written: all of them are there at the end
        read_part(storage, id_, part)
    if read_key(storage, manifest) != (signing_key if keeps_key else None):
        raise storage.corrupt(
            what=storage.at(_name(id_, KEY_FILE)), why="it is not the key that was written"
        )
    return manifest


def finish(storage: DurableFileSystem, manifest: Manifest) -> None:
    """Write the manifest, which makes a snapshot; Corrupt if it does not read back the same."""
    name = _name(manifest.id, MANIFEST)
    text = json.dumps(asdict(manifest), default=str, sort_keys=True, indent=1)
    storage.write(name, f"{digest_of(text)}\n{text}\n".encode())
    try:
        if read(storage, manifest.id) != manifest:
            raise storage.corrupt(what=storage.at(name), why="it is not what was written")
    except UnknownId as error:
        raise storage.missing(what=name, location=storage.url) from error
    except HousingError:
        remove_manifest(storage, manifest.id)
        raise


def facts_of(connection: Connection, schema: str) -> dict[str, Any]:
    """The manifest's facts about the database, in the transaction that dumps it."""
    return {
        "created_at": utc_now(),
        "schema": schema,
        "database": connection.dialect.name,
        "champion": champion(connection),
        "blobs": live_blobs(connection),
    }


def ids(storage: DurableFileSystem) -> list[str]:
    """Complete snapshots, oldest first."""
    ends = f"/{MANIFEST}"
    return sorted(n.split("/")[1] for n in storage.names(FOLDER) if n.endswith(ends))


def read(storage: DurableFileSystem, id_: str | None) -> Manifest:
    """A snapshot's manifest, the newest for None; UnknownId where there is none, or Corrupt."""
    if id_ is None:
        found = ids(storage)
        if not found:
            raise UnknownId(kind="backup in", id=storage.url + _locked(storage), listing=_LISTING)
        id_ = found[-1]
    name = _name(id_, MANIFEST)
    try:
        data = storage.read(name)
    except FileNotFoundError as error:
        raise UnknownId(kind="backup", id=id_, listing=_LISTING) from error
    return _unsealed(data, storage, name)


def _locked(storage: DurableFileSystem) -> str:
    """A hint where snapshots are encrypted and no key is set, or plain and a key is set."""
    if not ids(storage.raw()) and not any(
        n.endswith(ENCRYPTED) for n in storage.names(FOLDER, raw=True)
    ):
        return ""
    if storage.cipher is None:
        return " (those there are encrypted: set HOUSING_BACKUP_KEY)"
    return " (those there are not encrypted: unset HOUSING_BACKUP_KEY to read them)"


def read_part(storage: DurableFileSystem, id_: str, part: TableDump) -> bytes:
    """A dumped table's bytes; Corrupt or BlobMissing if they differ from the manifest."""
    name = _name(id_, f"{part.table}.parquet")
    data = storage.must_read(name)
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise storage.corrupt(
            what=storage.at(name), why="its bytes do not have the sha256 of the manifest"
        )
    return data


def read_key(storage: DurableFileSystem, manifest: Manifest) -> str | None:
    """The signing key in an encrypted snapshot, or None."""
    if not manifest.signing_key:
        return None
    return storage.must_read(_name(manifest.id, KEY_FILE)).decode()


def damage(storage: BlobStore, manifest: Manifest) -> Iterator[str]:
    """One message for each damaged or missing file of a snapshot itself."""
    for part in (None, *manifest.tables):
        try:
            _ = (
                read_key(storage, manifest)
                if part is None
                else read_part(storage, manifest.id, part)
            )
        except HousingError as error:
            yield str(error)


def damaged_copies(storage: BlobStore, wanted: Iterable[BlobRef]) -> Iterator[tuple[BlobRef, str]]:
    """Damaged or missing blobs in the backup, each with what is wrong."""
    for blob in wanted:
        try:
            storage.get(blob.digest, blob.suffix)
        except HousingError as error:
            yield blob, str(error)


def remove_manifest(storage: DurableFileSystem, id_: str) -> None:
    """Delete a snapshot's manifest, after which it is incomplete."""
    storage.remove(_name(id_, MANIFEST))


def remove(storage: DurableFileSystem, id_: str) -> None:
    """Delete the files of a snapshot without a manifest."""
    for name in list(storage.names(f"{FOLDER}/{id_}")):
        storage.remove(name)


def unfinished(storage: DurableFileSystem) -> list[str]:
    """Ids with files but no manifest: interrupted, or being written."""
    begun = {name.split("/")[1] for name in storage.names(FOLDER)}
    return sorted(begun - set(ids(storage)))


def _name(id_: str, file: str) -> str:
    return f"{FOLDER}/{id_}/{file}"


def digest_of(text: str) -> str:
    """Digest of a manifest, stored as its first line."""
    return hashlib.sha256(text.encode()).hexdigest()


def _unsealed(data: bytes, storage: DurableFileSystem, name: str) -> Manifest:
    digest, _, text = data.decode(errors="replace").partition("\n")
    text = text.removesuffix("\n")
    if digest_of(text) != digest:
        raise storage.corrupt(
            what=storage.at(name), why="its bytes do not have the sha256 of its first line"
        )
    try:
        return TypeAdapter(Manifest).validate_json(text)
    except ValidationError as error:
        why = "a newer release wrote it, or it is not a manifest"
        raise storage.corrupt(what=storage.at(name), why=why) from error
