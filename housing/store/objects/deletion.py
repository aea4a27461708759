"""The only place that deletes stored bytes: in a write transaction that sees no row for them.

Writers are one at a time (`engine.Store.write`), and whoever records bytes looks in that same
transaction whether they are still there (`segments.record_blob`). So of a deletion and a record one
is first: the deletion sees the row, or the record stores the bytes again. No clock and no lease
decides about it. Retention, which decides what is marked, is for `retained` and `steps.prune`.
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing import progress
from housing.store.database.engine import Store
from housing.store.database.tables import backup_copies, blobs, utc_now
from housing.store.objects.blobs import name_of

AT_ONCE = 50
"""Files that are deleted in one transaction: other writers wait for it."""


def marked(connection: Connection) -> dict[str, int]:
    """Digests and sizes (bytes) of what is marked as dropped and not known to be deleted."""
    query = sa.select(blobs.c.digest, blobs.c.size).where(_is_marked())
    return {row.digest: row.size for row in connection.execute(query)}


def delete_marked(store: Store, digests: Sequence[str]) -> tuple[int, int]:
    """Delete those that are still marked as dropped; returns how many files, and their bytes."""
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


def delete_unnamed(store: Store, names: Sequence[str]) -> int:
    """Delete those of the files that no row names now; returns how many."""
    deleted = 0
    for part in batched(names, AT_ONCE):
        with store.write() as connection:
            kept = present(connection, [digest_in(name) for name in part])
            going = [name for name in part if digest_in(name) not in kept]
            for name in going:
                store.blobs.remove(name)
        deleted += len(going)
    return deleted


def delete_copies(store: Store, names: Sequence[str]) -> int:
    """Delete those of the files in the backup place that no live row names; returns how many.

    `store` is fenced by the lease of backups, which is seen to be held in each transaction: no
    backup can be written meanwhile that counts on them.
    """
    deleted = 0
    for part in batched(names, AT_ONCE):
        with store.write() as connection:
            digests = [digest_in(name) for name in part]
            live = blobs.c.digest.in_(digests) & blobs.c.pruned_at.is_(None)
            kept = set(connection.execute(sa.select(blobs.c.digest).where(live)).scalars())
            going = [name for name in part if digest_in(name) not in kept]
            for name in going:
                store.backup.remove(name)
            gone = backup_copies.c.digest.in_([digest_in(name) for name in going])
            here = backup_copies.c.url == store.backup.url
            connection.execute(backup_copies.delete().where(gone & here))
        deleted += len(going)
    return deleted


def present(connection: Connection, digests: Sequence[str] | None = None) -> set[str]:
    """Those of the digests (all for None) whose bytes a row says are there, dropped or not."""
    query = sa.select(blobs.c.digest).where(blobs.c.deleted_at.is_(None))
    if digests is not None:
        query = query.where(blobs.c.digest.in_(digests))
    return set(connection.execute(query).scalars())


def is_dropped(store: Store, digest: str) -> bool:
    """Whether retention has dropped a blob: then its bytes may be gone, and none is lost."""
    with store.read() as connection:
        query = sa.select(blobs.c.digest).where(blobs.c.digest == digest)
        return connection.execute(query.where(blobs.c.pruned_at.is_not(None))).first() is not None


def digest_in(name: str) -> str:
    """The digest in the name of a blob's file."""
    return name.rpartition("/")[2].partition(".")[0]


def batched(items: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """The items, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _is_marked() -> sa.ColumnElement[bool]:
    return blobs.c.pruned_at.is_not(None) & blobs.c.deleted_at.is_(None)
