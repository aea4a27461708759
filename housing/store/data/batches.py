"""Ingested batches: one row per delivery, accepted rows as a segment, rejected ones in quarantine.

Importing this loads no pandas: the functions that read or write rows do.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import NotPossible
from housing.notify import Message
from housing.records import (
    BatchStatus,
    BatchSummary,
    Event,
    KnownContent,
    QuarantineReason,
    Rejection,
)
from housing.store.data import datasets
from housing.store.data.datasets import TAKEN
from housing.store.database.engine import Store
from housing.store.database.tables import batches, row_of, utc_now, version_batches
from housing.store.objects.recording import record_blob
from housing.store.runs import outbox, runs

if TYPE_CHECKING:
    import pandas as pd

    from housing.store.data.row_status import RowStatus

NEED_A_PERSON = ("quarantined", "rejected", "empty")
"""Statuses of batches that a person has to accept, discard or deliver again."""


@dataclass(frozen=True)
class NewBatch:
    """A validated delivery; the frames are those of `quality.rows.Validated`."""

    source: str
    name: str
    digest: str  # of the delivered content
    size: int  # bytes
    simulated: bool
    watermark: str | None
    read: int  # rows
    accepted: "pd.DataFrame"
    rejected: "pd.DataFrame"
    rejections: tuple[Rejection, ...]
    status: BatchStatus
    message: str
    reasons: tuple[QuarantineReason, ...] = ()
    row_status: "RowStatus | None" = None  # of the accepted rows; None if there are none


@dataclass(frozen=True)
class BatchLookup:
    """Earlier deliveries, for the sources (`sources.base.IngestHistory`)."""

    store: Store

    def batch_with(self, digest: str) -> KnownContent | None:
        """The newest batch with this content, or None."""
        found, names = None, set()
        with self.store.read() as connection:
            while (row := _with_digest(connection, digest)) is not None:
                found, digest = row, hashlib.sha256(digest.encode()).hexdigest()
                names.add(row.name)
            if found is None:
                return None
            gone = datasets.withdrawn(connection, found.id)
        status = "withdrawn" if gone else found.status
        if discarded_as_copy(found):
            status = "unchanged"  # its rows are in the dataset, or left it with another batch
        return KnownContent(found.id, frozenset(names), status, digest)

    def outdated_rows(self, batch: int) -> int:
        """Number of a batch's rows that the dataset no longer has as they are."""
        from housing.store.data import parts
        from housing.store.data.row_status import CurrentRows
        from housing.store.data.segments import to_frame

        with self.store.read() as connection:
            get(connection, batch)
            found = parts.parts(connection, [batch])
        if not found:
            return 0
        rows = to_frame(parts.read(self.store, found[0], None))
        row_status = CurrentRows(self.store).compare(rows)
        return row_status.new + row_status.changed

    def watermark(self, source: str) -> str | None:
        """Watermark of the source's newest batch, or None."""
        query = (
            sa.select(batches.c.watermark)
            .where(batches.c.source == source, batches.c.watermark.is_not(None))
            .order_by(batches.c.id.desc())
            .limit(1)
        )
        with self.store.read() as connection:
            return connection.scalar(query)

    def has_batch_of(self, source: str, *, real: bool = False) -> bool:
        """Whether a delivery of a source, a real one, has been stored and not discarded."""
        return not self.store.query(kinds, source) <= ({True} if real else set())


def kinds(connection: Connection, source: str | None = None) -> set[bool]:
    """Whether the batches of a source, or of all, that were not discarded are simulated."""
    query = sa.select(batches.c.simulated).where(batches.c.status.in_((*TAKEN, "quarantined")))
    if source is not None:
        query = query.where(batches.c.source == source)
    return set(connection.scalars(query.distinct()))


def _with_digest(connection: Connection, digest: str) -> Row[Any] | None:
    return connection.execute(sa.select(batches).where(batches.c.digest == digest)).one_or_none()


def add(store: Store, new: NewBatch, run: int | None) -> BatchSummary | None:
    """Store a delivery: its bytes first, then its row; a known one changes nothing.

    None, and nothing is stored, if the dataset has changed since the rows were compared with it.
    """
    from housing.store.data.segments import put_frame

    segment = None if new.accepted.empty else put_frame(store, new.accepted)
    rejected = None if new.rejected.empty else put_frame(store, new.rejected)
    with store.write() as connection:
        known = _with_digest(connection, new.digest)
        if known is not None:
            message = f"{new.name} holds the same as b{known.id}; nothing to do."
            return BatchSummary(known.id, new.source, new.name, "unchanged", message)
        if new.row_status is not None and new.row_status.basis != datasets.basis(connection):
            return None
        values = _values(new) | {"run": run, "recorded_at": utc_now()}
        if segment is not None:
            values["segment"] = record_blob(connection, segment, "segment")
        if rejected is not None:
            values["rejected"] = record_blob(connection, rejected, "rejected")
        insert = batches.insert().values(**values).returning(batches.c.id)
        stored = summary(get(connection, connection.execute(insert).scalar_one()))
        outbox.resolve(connection, Event.QUARANTINED, _file(stored))  # it can be read
        report(connection, store, stored, run)
        return stored


def alert_of(batch: BatchSummary, run: int) -> Message | None:
    """The alert about a file that was not ingested, or not whole; None if it was."""
    if batch.status == "unreadable":
        text = f"A file cannot be read. {batch.message}"
    elif batch.status in NEED_A_PERSON:
        text = f"{batch.name} is {batch.status}: {batch.message}"
    elif batch.rejected:
        text = f"{batch.rejected:,} rows of {batch.name} were rejected: {batch.message}"
    else:
        return None
    return Message(Event.QUARANTINED, text, f"r{run}" if batch.id is None else f"b{batch.id}")


def report(connection: Connection, store: Store, batch: BatchSummary, run: int | None) -> None:
    """Record the alert about a file; none in a run by hand, whose person sees the result."""
    if run is None or runs.get(connection, run).kind not in runs.RETRAINING:
        return
    if (alert := alert_of(batch, run)) is not None:
        about = _file(batch) if batch.id is None else alert.subject
        outbox.add(connection, store, alert, about, batch.message if batch.id is None else "")


def _file(batch: BatchSummary) -> str:
    return hashlib.sha256(f"{batch.source} {batch.name}".encode()).hexdigest()


def _values(new: NewBatch) -> dict[str, Any]:
    row_status = new.row_status
    same = ("digest", "source", "name", "status", "message", "simulated", "size", "watermark")
    return {
        **{name: getattr(new, name) for name in same},
        "read_rows": new.read,
        "accepted_rows": len(new.accepted),
        "changed_rows": 0 if row_status is None else row_status.changed,
        "unchanged_rows": 0 if row_status is None else row_status.unchanged,
        "rejected_rows": len(new.rejected),
        "rejections": [asdict(rejection) for rejection in new.rejections],
        "reasons": [asdict(reason) for reason in new.reasons],
    }


def get(connection: Connection, batch: int) -> Row[Any]:
    """One batch; UnknownId if there is none."""
    return row_of(connection, "b", batch)


def discarded_as_copy(batch: Row[Any]) -> bool:
    """Whether a batch was discarded with the rows that it repeated, and not by a person."""
    rows = batch.segment is not None  # a person may also discard an empty or rejected delivery
    return bool(batch.status == "discarded" and rows and not batch.reasons)


def any_simulated(connection: Connection, version: int) -> bool:
    """Whether a batch of a dataset version is simulated."""
    query = sa.select(batches.c.id).join(version_batches, version_batches.c.batch == batches.c.id)
    its = datasets.contains(version_batches, version), batches.c.simulated
    return connection.execute(query.where(*its).limit(1)).first() is not None


def summary(row: Row[Any]) -> BatchSummary:
    """A stored batch as a record."""
    return BatchSummary(
        id=row.id,
        source=row.source,
        name=row.name,
        status=cast(BatchStatus, row.status) if row.status in get_args(BatchStatus) else "accepted",
        message=row.message,
        read=row.read_rows,
        accepted=row.accepted_rows,
        rejected=row.rejected_rows,
        changed=row.changed_rows,
        unchanged=row.unchanged_rows,
        rejections=tuple(Rejection(**item) for item in row.rejections),
        simulated=row.simulated,
    )


def recent_row_counts(
    connection: Connection, source: str, limit: int, at_least: int
) -> tuple[int, ...]:
    """Rows read in the source's last batches that changed the dataset, newest last.

    Batches of fewer than `at_least` rows, and those of known rows, are left out.
    """
    query = (
        sa.select(batches.c.read_rows)
        .where(batches.c.source == source, batches.c.status.in_(("accepted", "released")))
        .where(batches.c.read_rows >= at_least)
        .order_by(batches.c.id.desc())
        .limit(limit)
    )
    return tuple(reversed(connection.scalars(query).all()))


def ingested_after(connection: Connection, run: int) -> Sequence[Row[Any]]:
    """Batches that runs after `run` ingested, oldest first."""
    query = sa.select(batches).where(batches.c.run > run).order_by(batches.c.id)
    return connection.execute(query).all()


def release_quarantined(store: Store, batch: int) -> str:
    """Accept a quarantined batch and return its name; the next run adds it to the dataset."""
    with store.write() as connection:
        row = get(connection, batch)
        if row.status != "quarantined":
            raise NotPossible(
                what=f"Accepting b{batch}", why=f"it is {row.status}, not quarantined."
            )
        connection.execute(batches.update().where(batches.c.id == batch).values(status="released"))
        return str(row.name)


def discard(store: Store, batch: int) -> str:
    """Close a batch that needs a person, and return its name.

    It never enters the dataset; its rows are kept.
    """
    with store.write() as connection:
        row = get(connection, batch)
        if row.status not in NEED_A_PERSON:
            why = (
                f"it is {row.status}; `housing dataset withdraw b{batch} --reason TEXT` takes a "
                "batch out of the dataset."
            )
            raise NotPossible(what=f"Discarding b{batch}", why=why)
        connection.execute(batches.update().where(batches.c.id == batch).values(status="discarded"))
        return str(row.name)
