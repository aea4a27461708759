"""Create, verify and restore backups of the whole store.

Verification is a restore into a temporary folder: it checks every byte, the integrity of the
database and the champion's golden predictions.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from housing import progress
from housing.errors import (
    BlobMissing,
    Corrupt,
    HousingError,
    KeyMissing,
    NotOwned,
    NotPossible,
    SchemaTooNew,
    UnknownId,
    WrongKey,
)
from housing.settings import Settings
from housing.store.backups import snapshots, table_dump
from housing.store.backups.replication import (
    copy_new,
    copy_pages,
    finish_snapshot,
    forget_copies,
    record_copies,
    record_verification,
)
from housing.store.backups.snapshots import Manifest, TableDump
from housing.store.database import ownership
from housing.store.database.engine import MAINTENANCE, Store, create_engine
from housing.store.database.integrity import unsound
from housing.store.database.open import HEAD, backup_storage, migrate, open_for_restore
from housing.store.database.tables import metadata
from housing.store.models import onnx_copies, promotion_log, registry
from housing.store.models.promotion_log import Authorship
from housing.store.objects.blobs import BlobStore
from housing.store.objects.pages import PageStorage, page_storage
from housing.store.objects.signing import Signer
from housing.store.runs import lease, outbox
from housing.store.runs.runs import actor


@dataclass(frozen=True)
class Snapshot:
    """A written backup; `size` in bytes, of all that it refers to."""

    id: str
    location: str
    size: int
    blobs: int
    copied: int  # bytes that were not there yet
    encrypted: bool


@dataclass(frozen=True)
class VerificationResult:
    """The result of a test restore."""

    id: str
    champion: int | None
    rows: int  # of the database
    blobs: int
    problems: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether it can be restored."""
        return not self.problems


@dataclass(frozen=True)
class RestoreResult:
    """A restored backup; `notices` name what a person still has to do."""

    id: str
    champion: int | None
    rows: int
    blobs: int
    notices: tuple[str, ...]


def create(store: Store, settings: Settings) -> Snapshot:
    """Back up the whole store; copies only what is new since the last backup.

    The database is dumped in one transaction, so that it and the blobs it refers to are of one
    moment; runs may continue meanwhile. RunInProgress during another backup or a prune.
    """
    with lease.held_lease(store, owner=f"the backup of {actor()}", name=MAINTENANCE) as fenced:
        ownership.claim(store, store.backup)
        id_ = snapshots.new_id(store.backup)
        written, facts, copied = _consistent_dump(store, id_)
        facts["pages"], added = copy_pages(store, page_storage(settings))
        key = store.signer.key_to_keep()
        manifest = snapshots.write(store.backup, id_, facts, written, key)
        finish_snapshot(fenced, manifest)
    location, size, count = store.backup, manifest.size, len(manifest.blobs)
    encrypted = location.cipher is not None
    return Snapshot(manifest.id, location.url, size, count, copied + added, encrypted)


def _consistent_dump(store: Store, id_: str) -> tuple[tuple[TableDump, ...], dict[str, Any], int]:
    """The dumped tables, facts for the manifest, and the bytes of objects that were copied.

    A server may delete expired predictions meanwhile; then the database is dumped again.
    """
    while True:
        with store.read() as connection:
            written = snapshots.write_tables(store.backup, id_, connection)
            facts = snapshots.facts_of(connection, HEAD)
        try:
            return written, facts, copy_new(store, facts["blobs"])
        except BlobMissing:
            if set(store.query(snapshots.live_blobs)) >= set(
                facts["blobs"]
            ):  # not expired: it is lost
                raise


def verify(store: Store, snapshot: str | None = None) -> VerificationResult:
    """Restore a backup (the newest for None) into a temporary folder, and record the problems.

    Signatures are checked with the signing key of this store.
    """
    with lease.held_lease(
        store, owner=f"the trial restore of {actor()}", name=MAINTENANCE
    ) as fenced:
        manifest = snapshots.read(store.backup, snapshot)
        rows, problems = _test_restore(store, manifest)
        record_verification(fenced, manifest, "; ".join(problems))
    outbox.deliver(store)
    return VerificationResult(manifest.id, manifest.champion, rows, len(manifest.blobs), problems)


def _test_restore(store: Store, manifest: Manifest) -> tuple[int, tuple[str, ...]]:
    """Rows of the restored database, and the problems of the backup."""
    rows, problems = 0, []
    with tempfile.TemporaryDirectory(prefix="housing-verify-") as folder:
        scratch = BlobStore(str(Path(folder) / "blobs"))
        pages = PageStorage(str(Path(folder) / "reports"))
        restored = _restored(store.backup, manifest, Path(folder), scratch, pages, store.signer)
        try:
            with restored as copy:
                rows = copy.query(_rows)
                problems += unsound(copy)
                _replay_champion(copy)
        except HousingError as error:
            problems.append(str(error))
    if problems:  # a restore stops at the first one: list all
        copies = dict(snapshots.damaged_copies(store.backup, manifest.objects))
        forget_copies(store, [blob.digest for blob in copies])
        problems += [*snapshots.damage(store.backup, manifest), *copies.values()]
    return rows, tuple(dict.fromkeys(problems))


def restore(settings: Settings, snapshot: str | None = None) -> RestoreResult:
    """Restore a backup (the newest for None) into an empty store, else NotPossible.

    Every byte and the integrity of the database are checked before the rows are written, which is
    one transaction: an interrupted restore can be repeated. An encrypted backup has the key too.
    """
    storage = backup_storage(settings)
    manifest = snapshots.read(storage, snapshot)
    with open_for_restore(settings) as store:
        with store.read() as connection:
            _must_be_empty(store, connection)
        notices = []
        key = snapshots.read_key(storage, manifest)
        if key is not None and store.signer.key_id() is None:
            store.signer.adopt(SecretStr(key))
            source = store.signer.key_source
            notices.append(f"The key that models are signed with was restored too: {source}.")
        with (
            tempfile.TemporaryDirectory(prefix="housing-restore-") as folder,
            _restored(
                storage, manifest, Path(folder), store.blobs, page_storage(settings), store.signer
            ) as copy,
        ):
            if problems := unsound(copy):
                raise Corrupt(what=f"The backup {manifest.id}", why="; ".join(problems))
            try:
                _replay_champion(copy)
            except (KeyMissing, WrongKey) as error:
                notices.append(str(error))
            _take_over(copy, store)
            rows = _copy_rows(copy, store, manifest)
            record_copies(store, [blob.digest for blob in manifest.blobs])
        try:
            ownership.must_own(store, store.backup)
        except NotOwned:
            notices.append(_NEWER_COPIES.format(url=store.backup.url))
    return RestoreResult(manifest.id, manifest.champion, rows, len(manifest.blobs), tuple(notices))


_NEWER_COPIES = (
    "{url} has copies that were written since this backup, and no run starts until it is known "
    "whose they are: if the former store is gone, run `housing heal --take-over`; if it is in use, "
    "set HOUSING_BACKUP_URL to another location."
)


@contextmanager
def _restored(
    storage: BlobStore,
    manifest: Manifest,
    folder: Path,
    blobs: BlobStore,
    pages: PageStorage,
    signer: Signer,
) -> Iterator[Store]:
    """A snapshot as a store of its own: rows in a new SQLite file, `blobs` and `pages`."""
    if manifest.schema > HEAD:
        raise SchemaTooNew(found=manifest.schema, known=HEAD)
    engine = create_engine(f"sqlite:///{folder / 'housing.db'}")
    with Store(engine, blobs, BlobStore(str(folder / "none")), signer) as store:
        migrate(store, manifest.schema)
        with store.write() as connection:
            dumps = {dump.table: dump for dump in manifest.tables}
            for name in dumps.keys() - metadata.tables.keys():
                raise Corrupt(what=f"The backup {manifest.id}", why=f"has a table {name}")
            for table in table_dump.order([*dumps]):
                data = snapshots.read_part(storage, manifest.id, dumps[table.name])
                table_dump.load(connection, table, data)
        migrate(store)
        for number, blob in enumerate(manifest.blobs, start=1):
            blobs.put(storage.get(blob.digest, blob.suffix), blob.suffix)
            progress.report("restore", number, len(manifest.blobs), f"{blob.size:,} bytes")
        for page in manifest.pages:
            pages.write(page.name, storage.get(page.copy.digest, page.copy.suffix))
        yield store


def _rows(connection: sa.Connection) -> int:
    counts = (sa.select(sa.func.count()).select_from(each) for each in metadata.sorted_tables)
    return sum(connection.execute(count).scalar_one() for count in counts)


def _replay_champion(store: Store) -> None:
    with store.read() as connection:
        champion = promotion_log.champion(connection)
        if champion is None:
            return
        row = registry.model(connection, champion)
    onnx_copies.load_verified(store, row)


def _take_over(copy: Store, store: Store) -> None:
    """Have the blob storage belong to the restored database, before that has its rows.

    NotPossible where it belongs to a third one.
    """
    mark = ownership.id_in(store.blobs)
    with copy.read() as theirs, store.read() as ours:
        restored, own = ownership.identity(theirs), ownership.identity(ours)
    if mark not in (None, restored, own):
        raise NotPossible(
            what="Restoring a backup",
            why=f"{store.blobs.url} has the files of another store. Set "
            f"{store.blobs.setting} to an empty location, or move them away.",
        )
    if restored is not None:
        ownership.set_mark(store.blobs, restored)


_NOT_IN_USE = ("leases", "backups", "backup_copies", "store_identity", "alerts")
"""Tables in which an empty store may have rows: it was opened, its backups listed or verified."""


def _must_be_empty(store: Store, connection: sa.Connection) -> None:
    used = [table for table in metadata.sorted_tables if table.name not in _NOT_IN_USE]
    if any(connection.execute(sa.select(table).limit(1)).first() is not None for table in used):
        raise NotPossible(
            what="Restoring a backup",
            why=f"the store in {store.url} is not empty, and nothing is written over. Set "
            "HOUSING_HOME (and HOUSING_DATABASE_URL) to an empty location, or move this one away.",
        )


def _copy_rows(copy: Store, store: Store, manifest: Manifest) -> int:
    """Copy all rows into an empty store, and record the restore in its promotion log.

    A prune meanwhile leaves a run, so the store is in use and nothing is copied.
    """
    with copy.read() as source, store.write() as target:
        _must_be_empty(store, target)
        for name in _NOT_IN_USE:
            target.execute(metadata.tables[name].delete())
        tables = table_dump.order()
        rows = sum(table_dump.load(target, t, table_dump.dump(source, t)) for t in tables)
        target.execute(metadata.tables["leases"].update().values(held=False))
        newest = promotion_log.head(target)
        if newest is not None:
            why = Authorship(actor(), f"restored from the backup {manifest.id}")
            promotion_log.append(target, newest, "restore", newest.to_model, why)
    return rows


def listing(store: Store) -> list[dict[str, Any]]:
    """Complete backups, newest first, and whether they were verified from here."""
    with store.read() as connection:
        table = metadata.tables["backups"]
        known = {row.snapshot: row for row in connection.execute(sa.select(table))}
    return [_listed(store, id_, known.get(id_)) for id_ in reversed(snapshots.ids(store.backup))]


def _listed(store: Store, id_: str, row: sa.Row[Any] | None) -> dict[str, Any]:
    try:
        manifest = snapshots.read(store.backup, id_)
    except (Corrupt, UnknownId) as error:
        return {"backup": id_, "state": "damaged", "detail": str(error)}
    verified = None if row is None else row.verified
    return {
        "backup": id_,
        "state": {None: "not tried", True: "good", False: "bad"}[verified],
        "created_at": f"{manifest.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "champion": None if manifest.champion is None else f"m{manifest.champion}",
        "blobs": len(manifest.blobs),
        "bytes": manifest.size,
        "detail": "" if row is None else row.detail,
    }
