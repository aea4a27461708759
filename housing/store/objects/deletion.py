"""Deletes stored bytes, in a write transaction that sees no row for them; nothing else does.

Write transactions are serial (`engine.Store.write`), and `recording.record_blob` checks in its own
that the bytes exist. So one of a deletion and a record is first: the deletion sees the row, or the
record stores the bytes again, without any clock or lease. What may be deleted is decided in
`models.retention` and `operations.prune`.
"""

from collections.abc import Container, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing import progress
from housing.store.database.engine import Store
from housing.store.database.tables import backup_copies, blobs, utc_now
from housing.store.objects.blobs import BlobStore, name_of

T = TypeVar("T")

AT_ONCE = 50
"""Files deleted in one transaction; other writers wait for it."""


def marked(connection: Connection) -> dict[str, int]:
    """Digests and sizes (bytes) of pruned blobs that are not deleted yet."""
    query = sa.select(blobs.c.digest, blobs.c.size).where(_is_marked())
    return {row.digest: row.size for row in connection.execute(query)}


def delete_marked(store: Store, digests: Sequence[str]) -> tuple[int, int]:
    """Delete those that are still pruned; returns the number of files, and their bytes."""
    files = size = 0
    for part in batched(digests, AT_ONCE):
        with store.write() as connection:
            this = blobs.c.digest.in_(part) & _is_marked()
            rows = connection.execute(sa.select(blobs).where(this)).all()
            for row in rows:
                store.blobs.remove(name_of(row.digest, row.suffix))
            connection.execute(blobs.update().where(this).values(deleted_at=utc_now()))
        files, size = files + len(rows), size + sum(row.size for row in rows)
        progress.report("prune", files, len(digests), f"{size:,} bytes")
    return files, size


def delete_unreferenced(store: Store, names: Sequence[str]) -> int:
    """Delete the files that no row refers to; returns how many."""
    deleted = 0
    for part in batched(names, AT_ONCE):
        with store.write() as connection:
            deleted += len(_delete(store.blobs, part, present(connection, [*map(digest_in, part)])))
    return deleted


def delete_copies(store: Store, names: Sequence[str]) -> int:
    """Delete the backup copies that no unpruned row refers to; returns how many.

    `store` is fenced by the backup lease, which each transaction checks, so no backup that needs
    them is written meanwhile.
    """
    deleted = 0
    for part in batched(names, AT_ONCE):
        with store.write() as connection:
            live = blobs.c.digest.in_([*map(digest_in, part)]) & blobs.c.pruned_at.is_(None)
            kept = set(connection.scalars(sa.select(blobs.c.digest).where(live)))
            going = _delete(store.backup, part, kept)
            gone = backup_copies.c.digest.in_([*map(digest_in, going)])
            here = backup_copies.c.url == store.backup.url
            connection.execute(backup_copies.delete().where(gone & here))
            deleted += len(going)
    return deleted


def _delete(storage: BlobStore, names: Sequence[str], kept: Container[str]) -> list[str]:
    going = [name for name in names if digest_in(name) not in kept]
    for name in going:
        storage.remove(name)
    return going


def present(connection: Connection, digests: Sequence[str] | None = None) -> set[str]:
    """Those of the digests (all for None) with a row whose bytes are not deleted."""
    query = sa.select(blobs.c.digest).where(blobs.c.deleted_at.is_(None))
    if digests is not None:
        query = query.where(blobs.c.digest.in_(digests))
    return set(connection.scalars(query))


def is_dropped(store: Store, digest: str) -> bool:
    """Whether a blob was pruned: missing bytes are then no loss."""
    with store.read() as connection:
        query = sa.select(blobs.c.digest).where(blobs.c.digest == digest)
        return connection.execute(query.where(blobs.c.pruned_at.is_not(None))).first() is not None


def digest_in(name: str) -> str:
    """The digest in the name of a blob's file."""
    return name.rpartition("/")[2].partition(".")[0]


def batched(items: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """The items, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _is_marked() -> sa.ColumnElement[bool]:
    return blobs.c.pruned_at.is_not(None) & blobs.c.deleted_at.is_(None)
