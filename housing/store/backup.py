"""Second copies of blobs: copied, read back, compared with the digest in SQL, then recorded."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from housing.errors import Corrupt
from housing.store.engine import Store
from housing.store.tables import backup_copies, blobs, utc_now


def copy_verified(store: Store, digests: Iterable[str]) -> int:
    """Have a verified copy of each blob in the backup place; returns bytes that it holds.

    A copy that is there is read again all the same: only what was just read counts as verified.
    """
    wanted = sorted(set(digests))
    with store.read() as connection:
        query = sa.select(blobs).where(blobs.c.digest.in_(wanted))
        rows = connection.execute(query).all()
    if len(rows) != len(wanted):
        missing = set(wanted) - {row.digest for row in rows}
        raise Corrupt(what="the backup", why=f"SQL does not know {sorted(missing)[0][:12]}")
    for row in rows:
        store.backup.put(store.blobs.get(row.digest, row.suffix), row.suffix)
        store.backup.get(row.digest, row.suffix)  # raises unless the bytes are right
    _record(store, wanted)
    return sum(row.size for row in rows)


def heal(store: Store, digests: Iterable[str]) -> tuple[str, ...]:
    """Copy back from the backup what is damaged or missing here; returns what was.

    Corrupt, naming both places, where the backup has no whole copy either.
    """
    with store.read() as connection:
        query = sa.select(blobs).where(blobs.c.digest.in_(sorted(set(digests))))
        rows = connection.execute(query).all()
    healed = []
    for row in rows:
        try:
            store.blobs.get(row.digest, row.suffix)
        except Corrupt as error:
            store.blobs.put(_copy_of(store, row, error), row.suffix)
            store.blobs.get(row.digest, row.suffix)
            healed.append(row.digest)
    return tuple(healed)


def _copy_of(store: Store, row: Row[Any], why: Corrupt) -> bytes:
    try:
        return store.backup.get(row.digest, row.suffix)
    except Corrupt as error:
        raise Corrupt(
            what=f"{row.digest[:12]}.{row.suffix}",
            why=f"{why} There is no whole copy in the backup either: {error}",
        ) from error


def _record(store: Store, digests: Iterable[str]) -> None:
    place = store.backup.url
    with store.write() as connection:
        for digest in digests:
            this = (backup_copies.c.digest == digest) & (backup_copies.c.place == place)
            connection.execute(backup_copies.delete().where(this))
            connection.execute(
                backup_copies.insert().values(digest=digest, place=place, verified_at=utc_now())
            )
