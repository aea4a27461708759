"""What came in: one row a delivery, its accepted rows as a segment, the others in quarantine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import NotPossible, UnknownId
from housing.records import BatchSummary, Rejection
from housing.store.engine import Store
from housing.store.segments import put_frame, record_blob
from housing.store.tables import batches, utc_now

BOOTSTRAP_SOURCES = ("census",)
"""Sources that deliver a first table, once."""


@dataclass(frozen=True)
class NewBatch:
    """A delivery that has been read and judged; the frames as `quality.Validated` has them."""

    source: str
    name: str
    digest: str  # of the delivered content
    size: int  # bytes
    simulated: bool
    watermark: str | None
    read: int  # rows
    accepted: pd.DataFrame
    rejected: pd.DataFrame
    rejections: tuple[Rejection, ...]
    held: bool
    message: str


@dataclass(frozen=True)
class StoredBatches:
    """What was brought in before, as sources ask for it (`sources.base.Seen`)."""

    store: Store

    def batch_with(self, digest: str) -> int | None:
        """Id of the batch with this content, or None."""
        with self.store.read() as connection:
            return _with_digest(connection, digest)

    def watermark(self, source: str) -> str | None:
        """Watermark of the source's newest batch, or None where it never had one."""
        query = (
            sa.select(batches.c.watermark)
            .where(batches.c.source == source, batches.c.watermark.is_not(None))
            .order_by(batches.c.id.desc())
            .limit(1)
        )
        with self.store.read() as connection:
            found: str | None = connection.execute(query).scalar()
            return found

    def has_reference(self) -> bool:
        """Whether a first table (census, or simulated in its place) is already in."""
        query = sa.select(batches.c.id).where(batches.c.source.in_(BOOTSTRAP_SOURCES)).limit(1)
        with self.store.read() as connection:
            return connection.execute(query).first() is not None


def _with_digest(connection: Connection, digest: str) -> int | None:
    found: int | None = connection.execute(
        sa.select(batches.c.id).where(batches.c.digest == digest)
    ).scalar()
    return found


def add(store: Store, new: NewBatch, run: int | None) -> BatchSummary:
    """Keep a delivery: its bytes first, then its row; one that is there already is a no-op."""
    segment = None if new.accepted.empty else put_frame(store, new.accepted)
    rejected = None if new.rejected.empty else put_frame(store, new.rejected)
    with store.write() as connection:
        known = _with_digest(connection, new.digest)
        if known is not None:
            message = f"{new.name} holds the same as batch b{known}; nothing to do."
            return BatchSummary(known, new.source, new.name, "unchanged", message)
        values = {
            "digest": new.digest,
            "source": new.source,
            "name": new.name,
            "status": "held" if new.held else "accepted",
            "message": new.message,
            "simulated": new.simulated,
            "size": new.size,
            "read_rows": new.read,
            "accepted_rows": len(new.accepted),
            "rejected_rows": len(new.rejected),
            "rejections": [asdict(rejection) for rejection in new.rejections],
            "watermark": new.watermark,
            "run": run,
            "recorded_at": utc_now(),
        }
        if segment is not None:
            values["segment"] = record_blob(connection, segment, "segment")
        if rejected is not None:
            values["rejected"] = record_blob(connection, rejected, "rejected")
        connection.execute(batches.insert().values(**values))
        return summary(get(connection, _require(_with_digest(connection, new.digest))))


def _require(batch: int | None) -> int:
    if batch is None:
        raise NotPossible(what="Reading a batch", why="it was written and is not there")
    return batch


def get(connection: Connection, batch: int) -> Row[Any]:
    """One batch; UnknownId where there is none."""
    row = connection.execute(sa.select(batches).where(batches.c.id == batch)).one_or_none()
    if row is None:
        raise UnknownId(kind="batch", id=f"b{batch}", listing="housing batches")
    return row


def summary(row: Row[Any]) -> BatchSummary:
    """A stored batch as it is shown."""
    return BatchSummary(
        id=row.id,
        source=row.source,
        name=row.name,
        status="held" if row.status == "held" else "accepted",
        message=row.message,
        read=row.read_rows,
        accepted=row.accepted_rows,
        rejected=row.rejected_rows,
        rejections=tuple(Rejection(**item) for item in row.rejections),
        simulated=row.simulated,
    )


def recent_row_counts(connection: Connection, source: str, limit: int) -> tuple[int, ...]:
    """Rows read in the source's last accepted batches, newest last."""
    query = (
        sa.select(batches.c.read_rows)
        .where(batches.c.source == source, batches.c.status != "held")
        .order_by(batches.c.id.desc())
        .limit(limit)
    )
    return tuple(reversed(connection.execute(query).scalars().all()))


def since(connection: Connection, run: int) -> Sequence[Row[Any]]:
    """Batches that runs after `run` brought in, oldest first."""
    query = sa.select(batches).where(batches.c.run > run).order_by(batches.c.id)
    return connection.execute(query).all()


def accept_held(store: Store, batch: int) -> None:
    """Let a held batch in after all; the next run takes it into the dataset."""
    with store.write() as connection:
        row = get(connection, batch)
        if row.status != "held":
            raise NotPossible(what=f"Accepting b{batch}", why=f"it is {row.status}, not held.")
        connection.execute(batches.update().where(batches.c.id == batch).values(status="released"))
