"""Second copies of blobs: copied, read back, compared with the digest in SQL, then recorded."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from housing import progress
from housing.errors import Corrupt, NoIntactCopy, UnknownId
from housing.notify import Message
from housing.records import Event
from housing.store.backups import snapshots
from housing.store.backups.snapshots import BlobRef, Manifest, PageRef
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.database.tables import (
    backup_copies,
    backups,
    blobs,
    models,
    onnx_copies,
    utc_now,
)
from housing.store.objects.deletion import digest_in, is_dropped
from housing.store.objects.pages import PageStorage
from housing.store.runs import outbox


def copy_verified(store: Store, digests: Iterable[str]) -> int:
    """Copy blobs to the backup and read them back; returns their bytes.

    Existing copies are read again too: only what was just read is verified.
    """
    wanted = sorted(set(digests))
    with store.read() as connection:
        query = sa.select(blobs).where(blobs.c.digest.in_(wanted))
        rows = connection.execute(query).all()
    if len(rows) != len(wanted):
        missing = set(wanted) - {row.digest for row in rows}
        raise Corrupt(what="the backup", why=f"SQL does not know {sorted(missing)[0][:12]}")
    ownership.claim(store, store.backup)
    for row in rows:
        store.backup.put(store.blobs.get(row.digest, row.suffix), row.suffix)
        store.backup.get(row.digest, row.suffix)  # raises unless the bytes are right
    record_copies(store, wanted)
    return sum(row.size for row in rows)


REREAD_AFTER = timedelta(days=7)
"""Age of the last read after which a backup reads an existing copy again."""


def copy_new(store: Store, wanted: Sequence[BlobRef]) -> int:
    """Have an intact copy of each blob in the backup; returns the bytes copied.

    Existing copies are read, except those that the newest snapshot has and that were read within
    `REREAD_AFTER`.
    """
    with store.read() as connection:
        recent = utc_now() - REREAD_AFTER
        here = (backup_copies.c.url == store.backup.url) & (backup_copies.c.verified_at > recent)
        read = set(connection.scalars(sa.select(backup_copies.c.digest).where(here)))
    there = {digest_in(name) for name in store.backup.names()}
    trusted: set[str] = set()
    with suppress(Corrupt, UnknownId):  # there is no newest snapshot
        newest = snapshots.read(store.backup, None).blobs
        trusted = read & there & {blob.digest for blob in newest}
    unread = [blob for blob in wanted if blob.digest not in trusted]
    damaged = {blob for blob, _ in snapshots.damaged_copies(store.backup, unread)}
    for number, blob in enumerate(unread, start=1):
        if blob in damaged:
            copy_verified(store, [blob.digest])
        progress.report("back up", number, len(unread), f"{blob.size:,} bytes")
    record_copies(store, [blob.digest for blob in unread if blob not in damaged])
    return sum(blob.size for blob in damaged)


def copy_pages(store: Store, pages: PageStorage) -> tuple[tuple[PageRef, ...], int]:
    """Have a copy of each page in the backup; returns them, and the bytes that were copied.

    Those that the newest snapshot has are not read again, if it was verified within
    `REREAD_AFTER` and they were not written since.
    """
    since, known = _verified_pages(store)
    found, size = [], 0
    for name in pages.names():
        with suppress(FileNotFoundError):  # it was deleted meanwhile
            page = known.get(name)
            if page is None or pages.modified(name) >= since:
                page, copied = _copied(store, pages, name)
                size += copied
            found.append(page)
    return tuple(found), size


def _copied(store: Store, pages: PageStorage, name: str) -> tuple[PageRef, int]:
    data, suffix = pages.read(name), PurePath(name).suffix[1:]
    copy = BlobRef(hashlib.sha256(data).hexdigest(), suffix, len(data))
    if not any(snapshots.damaged_copies(store.backup, [copy])):
        return PageRef(name, copy), 0
    store.backup.put(data, suffix)
    store.backup.get(copy.digest, suffix)  # raises unless the bytes are right
    return PageRef(name, copy), copy.size


def _verified_pages(store: Store) -> tuple[datetime, Mapping[str, PageRef]]:
    """When the newest snapshot was made, and its pages; none if it was not read lately."""
    with store.read() as connection:
        here = backups.c.verified & (backups.c.url == store.backup.url)
        recent = here & (backups.c.verified_at > utc_now() - REREAD_AFTER)
        verified = set(connection.scalars(sa.select(backups.c.snapshot).where(recent)))
    with suppress(Corrupt, UnknownId):
        newest = snapshots.read(store.backup, None)
        if newest.id in verified:
            return newest.created_at, {page.name: page for page in newest.pages}
    return utc_now(), {}


def finish_snapshot(store: Store, manifest: Manifest) -> None:
    """Write a snapshot's manifest, which completes it, and record it in SQL.

    `store` is fenced by the backup lease, so no prune has dropped what the snapshot refers to.
    """
    with store.write() as connection:
        connection.execute(backups.insert().values(**_facts(store, manifest), detail=""))
        snapshots.finish(store.backup, manifest)


def _facts(store: Store, manifest: Manifest) -> dict[str, Any]:
    return {
        "snapshot": manifest.id,
        "url": store.backup.url,
        "size": manifest.size,
        "blobs": len(manifest.blobs),
        "created_at": manifest.created_at,
    }


def record_verification(store: Store, manifest: Manifest, problems: str) -> None:
    """Record the result of a trial restore, with the alert about `problems`; "" for a good one."""
    this = (backups.c.snapshot == manifest.id) & (backups.c.url == store.backup.url)
    result = {"verified": not problems, "verified_at": utc_now(), "detail": problems}
    with store.write() as connection:
        if problems:
            text = f"The backup {manifest.id} cannot be restored: {problems}"
            alert = Message(Event.BACKUP_NOT_VERIFIED, text, manifest.id)
            outbox.add(connection, store, alert, manifest.id, problems)
        else:
            outbox.resolve(connection, Event.BACKUP_NOT_VERIFIED, manifest.id)
            digests = [blob.digest for blob in manifest.blobs]
            read = backup_copies.c.digest.in_(digests) & (backup_copies.c.url == store.backup.url)
            connection.execute(backup_copies.update().where(read).values(verified_at=utc_now()))
        if not connection.execute(backups.update().where(this).values(**result)).rowcount:
            # Written by another machine, or by this one before it was restored.
            connection.execute(backups.insert().values(**_facts(store, manifest), **result))


def forget_copies(store: Store, digests: Iterable[str]) -> None:
    """Delete the records of damaged copies: the next backup copies these blobs again."""
    with store.write() as connection:
        for digest in digests:
            connection.execute(backup_copies.delete().where(_is_copy(store, digest)))


def heal(store: Store, digests: Iterable[str]) -> tuple[str, ...]:
    """Copy damaged or missing blobs back from the backup; returns their digests.

    NoIntactCopy if the backup has no intact copy either.
    """
    with store.read() as connection:
        query = sa.select(blobs).where(blobs.c.digest.in_(sorted(set(digests))))
        rows = connection.execute(query).all()
    healed = []
    for row in rows:
        try:
            store.blobs.get(row.digest, row.suffix)
        except Corrupt:
            if _restore_blob(store, row):
                healed.append(row.digest)
    return tuple(healed)


def _restore_blob(store: Store, row: Row[Any]) -> bool:
    """Copy a blob back; False if it is intact after all, or was pruned."""
    if not _is_damaged(store, row):
        return False
    try:
        store.blobs.put(_copy_of(store, row), row.suffix)
        store.blobs.get(row.digest, row.suffix)
    except Corrupt:
        if is_dropped(store, row.digest):
            return False
        raise
    return not is_dropped(store, row.digest)


def _is_damaged(store: Store, row: Row[Any]) -> bool:
    """Whether the bytes of an unpruned row are damaged or missing.

    Bytes are deleted and recorded in write transactions, so inside one a row and its bytes agree:
    a blob that was pruned and stored again since `row` was read is not damaged.
    """
    with store.write():
        if is_dropped(store, row.digest):
            return False
        try:
            store.blobs.get(row.digest, row.suffix)
        except Corrupt:
            return True
        return False


def _copy_of(store: Store, row: Row[Any]) -> bytes:
    try:
        return store.backup.get(row.digest, row.suffix)
    except Corrupt as error:
        raise NoIntactCopy(
            kind=row.kind, digest=row.digest[:12], location=store.blobs.url,
            backup=store.backup.url, next_step=without_a_copy(store, row),
        ) from error  # fmt: skip


def without_a_copy(store: Store, row: Row[Any]) -> str:
    """The next step for a blob that is lost in store and backup."""
    with store.read() as connection:
        of_copy = sa.select(onnx_copies.c.model).where(onnx_copies.c.artifact == row.digest)
        made = (
            models.c.artifact == row.digest,
            models.c.golden == row.digest,
            models.c.id.in_(of_copy),
        )
        model = connection.scalar(sa.select(models.c.id).where(sa.or_(*made)))
    if model is None:
        return "Restore an older backup (`housing backup list`), or ingest its file again."
    return f"`housing reproduce m{model} --keep` trains the model again."


def record_copies(store: Store, digests: Iterable[str]) -> None:
    """Record that an intact copy of each was just read in the backup."""
    with store.write() as connection:
        for digest in digests:
            connection.execute(backup_copies.delete().where(_is_copy(store, digest)))
            facts = {"digest": digest, "url": store.backup.url, "verified_at": utc_now()}
            connection.execute(backup_copies.insert().values(**facts))


def _is_copy(store: Store, digest: str) -> sa.ColumnElement[bool]:
    return (backup_copies.c.digest == digest) & (backup_copies.c.url == store.backup.url)
