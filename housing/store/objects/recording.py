"""The row of a stored blob, written in the transaction of the row that refers to it."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.database.tables import blobs, utc_now
from housing.store.objects.blobs import Blob


def record_blob(connection: Connection, blob: Blob, kind: str) -> str:
    """Record a stored blob in a write transaction and return its digest.

    Its bytes exist when this returns, even if a prune deleted them after they were stored.
    """
    blob.ensure_stored()
    row = blobs.c.digest == blob.digest
    known = connection.execute(sa.select(blobs.c.pruned_at).where(row)).first()
    if known is None:
        facts = {"digest": blob.digest, "suffix": blob.suffix, "size": blob.size, "kind": kind}
        new = blobs.insert().values(**facts, signature=blob.signature, created_at=utc_now())
        connection.execute(new)
        return blob.digest
    values: dict[str, Any] = {"pruned_at": None, "deleted_at": None}
    if blob.signature is not None:  # signed again, by the present key
        values["signature"] = blob.signature
    if known.pruned_at is not None:  # retention counts its age from now
        values["created_at"] = utc_now()
    connection.execute(blobs.update().where(row).values(**values))
    return blob.digest


def live_rows(connection: Connection, kinds: Collection[str] = ()) -> Sequence[Row[Any]]:
    """Rows of blobs that are not pruned, by digest; those of some kinds if any are named."""
    query = sa.select(blobs).where(blobs.c.pruned_at.is_(None)).order_by(blobs.c.digest)
    return connection.execute(query.where(blobs.c.kind.in_(kinds)) if kinds else query).all()
