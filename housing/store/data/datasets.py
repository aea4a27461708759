"""Dataset versions: ordered lists of immutable segments, in SQL; their rows, read as columns.

Every operation makes a new version and deletes none; it costs what changed, not the table.
Importing this loads no pandas: the functions that read rows do.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import NothingToTrainOn, NotPossible
from housing.records import DatasetVersion
from housing.store.database.engine import Store
from housing.store.database.tables import (
    batch_splits,
    batches,
    dataset_versions,
    row_of,
    utc_now,
    version_batches,
)

if TYPE_CHECKING:
    import pandas as pd

    from housing.keys import Keys

SIDE_COLUMN = "#test"

TAKEN = ("accepted", "unchanged", "released")
"""Statuses of batches whose accepted rows are in the dataset or enter it."""


def active(connection: Connection) -> DatasetVersion | None:
    """The newest version, or None before the first."""
    newest = connection.scalar(sa.select(sa.func.max(dataset_versions.c.id)))
    return None if newest is None else get(connection, newest)


def must_have_active(connection: Connection) -> DatasetVersion:
    """The newest version; NothingToTrainOn before the first."""
    found = active(connection)
    if found is None:
        raise NothingToTrainOn(
            why="there is no dataset yet", next_step="Run `housing retrain` first."
        )
    return found


def get(connection: Connection, version: int) -> DatasetVersion:
    """One version; UnknownId if there is none."""
    row = row_of(connection, "v", version)
    facts = {k: v for k, v in row._mapping.items() if k != "run"}
    query = sa.select(version_batches.c.batch).where(contains(version_batches, version))
    members = connection.scalars(query.order_by(version_batches.c.position))
    return DatasetVersion(**facts, batches=tuple(members))


def contains(spans: sa.FromClause, version: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    """SQL condition: the version is in a span of `version_batches` (or an alias of it)."""
    last = spans.c.last_version
    return sa.and_(spans.c.first_version <= version, sa.or_(last.is_(None), last >= version))


def waiting(connection: Connection) -> tuple[int, ...]:
    """Batches with accepted rows that were never in a version, oldest first.

    Batches that change nothing (`unchanged`) are included: they enter with the next that does.
    """
    query = (
        sa.select(batches.c.id)
        .where(batches.c.status.in_(TAKEN), batches.c.segment.is_not(None), _never_entered())
        .order_by(batches.c.id)
    )
    return tuple(connection.scalars(query))


def _never_entered() -> sa.ColumnElement[bool]:
    return batches.c.id.not_in(sa.select(version_batches.c.batch))


def entering(connection: Connection) -> tuple[int, ...]:
    """Batches that the next version adds: none while no waiting batch changes a row."""
    new = waiting(connection)
    status = sa.select(batches.c.status).where(batches.c.id.in_(new)).distinct()
    changes = set(connection.scalars(status)) - {"unchanged"}
    return new if changes else ()


def basis(connection: Connection) -> tuple[int, ...]:
    """Batches that a new one is compared with, in reading order: active, then waiting."""
    return (*active_members(connection), *waiting(connection))


def active_members(connection: Connection) -> tuple[int, ...]:
    """Batches of the newest version; none before the first."""
    current = active(connection)
    return () if current is None else current.batches


def append_waiting(store: Store, *, reason: str, run: int | None) -> DatasetVersion | None:
    """A new version that adds the waiting batches, or None if they change no row."""
    with store.write() as connection:
        new = entering(connection)
        if not new:
            return None
        version = _new_version(connection, "append", reason, run)
        last = connection.scalar(sa.select(sa.func.max(version_batches.c.position))) or 0
        rows = [
            {"batch": b, "first_version": version, "position": last + i}
            for i, b in enumerate(new, start=1)
        ]
        connection.execute(version_batches.insert(), rows)
        return get(connection, version)


def withdraw(
    connection: Connection,
    batch: int,
    reason: str,
    copies: Sequence[int] = (),
    discarded: Sequence[int] = (),
) -> DatasetVersion:
    """A new version without `batch`; NotPossible if the active version does not contain it.

    In a write transaction. `copies` of its rows leave with the batch and are restored with it.
    `discarded` are waiting batches that never enter.
    """
    current = must_contain(connection, batch)
    version = _new_version(connection, "withdraw", reason)
    _close(connection, [batch, *copies], current.id)
    return _finish(connection, version, discarded)


def must_contain(connection: Connection, batch: int) -> DatasetVersion:
    """The active version; NotPossible if it does not contain the batch."""
    current = active(connection)
    if current is None or batch not in current.batches:
        raise NotPossible(
            what=f"Withdrawing b{batch}",
            why="it is not in the active dataset; `housing batches` lists what is.",
        )
    return current


def restore(store: Store, batch: int, *, reason: str) -> DatasetVersion:
    """A new version with a withdrawn batch at its old position: later corrections still count.

    Copies that were withdrawn with it are restored with it.
    """
    with store.write() as connection:
        if batch in active_members(connection):
            raise NotPossible(what=f"Restoring b{batch}", why="it is in the active dataset.")
        if not _was_member(connection, batch):
            raise NotPossible(
                what=f"Restoring b{batch}",
                why="it has never been in the dataset; `housing batches` lists what has.",
            )
        version = _new_version(connection, "restore", reason)
        _reopen(connection, [batch, *withdrawn_with(connection, batch)], version)
        return _finish(connection, version)


def withdrawn_with(connection: Connection, batch: int) -> tuple[int, ...]:
    """Copies that left the dataset with the last withdrawal of `batch` and are still out of it."""
    spans = version_batches.c
    last = sa.select(sa.func.max(spans.last_version)).where(spans.batch == batch).scalar_subquery()
    query = (
        sa.select(spans.batch)
        .join(dataset_versions, dataset_versions.c.id == spans.last_version + 1)
        .where(spans.last_version == last, dataset_versions.c.operation == "withdraw")
        .where(spans.batch > batch)
        .order_by(spans.batch)
    )
    return tuple(b for b in connection.scalars(query) if withdrawn(connection, b))


def withdrawn(connection: Connection, batch: int) -> bool:
    """Whether the batch was in the dataset and is not now."""
    return batch not in active_members(connection) and _was_member(connection, batch)


def _was_member(connection: Connection, batch: int) -> bool:
    query = sa.select(version_batches.c.batch).where(version_batches.c.batch == batch).limit(1)
    return connection.execute(query).first() is not None


def roll_back(
    connection: Connection, target: int, reason: str, discarded: Sequence[int] = ()
) -> DatasetVersion:
    """A new version with the batches of an older one; NotPossible if the active has the same.

    In a write transaction. `discarded` are waiting batches that never enter.
    """
    current, old = active(connection), get(connection, target)
    if current is None or current.batches == old.batches:
        raise NotPossible(
            what=f"Rolling back to v{target}", why="the active dataset has the same batches."
        )
    version = _new_version(connection, "rollback", reason)
    _close(connection, [b for b in current.batches if b not in set(old.batches)], current.id)
    _reopen(connection, [b for b in old.batches if b not in set(current.batches)], version)
    return _finish(connection, version, discarded)


def _new_version(
    connection: Connection, operation: str, reason: str, run: int | None = None
) -> int:
    parent = connection.scalar(sa.select(sa.func.max(dataset_versions.c.id)))
    version = int(parent or 0) + 1  # the primary key settles a race past the writer's lock
    facts = {"operation": operation, "reason": reason, "run": run, "created_at": utc_now()}
    connection.execute(dataset_versions.insert().values(id=version, parent=parent, **facts))
    return version


def _close(connection: Connection, members: Sequence[int], last_version: int) -> None:
    where = version_batches.c.batch.in_(members), version_batches.c.last_version.is_(None)
    connection.execute(version_batches.update().where(*where).values(last_version=last_version))


def _reopen(connection: Connection, members: Sequence[int], first_version: int) -> None:
    for batch in members:
        known = sa.select(version_batches.c.position).where(version_batches.c.batch == batch)
        position = connection.execute(known.limit(1)).scalar_one()
        new = {"batch": batch, "first_version": first_version, "position": position}
        connection.execute(version_batches.insert().values(**new))


def _finish(connection: Connection, version: int, discarded: Sequence[int] = ()) -> DatasetVersion:
    """Discard batches, and let `unchanged` ones enter: the rows beneath them have changed.

    A batch discarded here has no reason of its own (`batches.discarded_as_copy`).
    """
    gone = batches.c.id.in_(discarded)
    connection.execute(batches.update().where(gone).values(status="discarded", reasons=[]))
    known = (batches.c.status == "unchanged") & _never_entered()
    connection.execute(batches.update().where(known).values(status="accepted"))
    return get(connection, version)


# --- reading --------------------------------------------------------------------------------


def read(store: Store, version: int, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """The rows of a version: catalogue columns (or the named ones), key and SIDE_COLUMN.

    The latest batch counts for a key that occurs more than once. Rows are sorted by key, so the
    frame does not depend on the files of its rows. Rows used on neither side are left out.
    """
    from housing import schema
    from housing.training.fingerprints import NEITHER, TEST

    frame = _latest_rows(store, version, schema.CATALOGUE if columns is None else columns)
    used = frame[SIDE_COLUMN] != NEITHER
    if not used.all():
        frame = frame[used].reset_index(drop=True)
    frame[SIDE_COLUMN] = frame[SIDE_COLUMN] == TEST
    return frame


def training_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The different rows of a version's training side, numbered from 0."""
    return different_rows(frame[~frame[SIDE_COLUMN]])


def test_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The different rows of a version's test side, numbered from 0."""
    return different_rows(frame[frame[SIDE_COLUMN]])


def different_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The first of rows with equal inputs and label under several ids, numbered from 0.

    A copy is no evidence: it has no weight in a fit or an error, and `content_digest`, by which
    a verdict is found again, does not count it.
    """
    import pandas as pd

    from housing.training.fingerprints import row_words

    return frame[~pd.Series(row_words(frame)).duplicated().to_numpy()].reset_index(drop=True)


def training_keys(frame: "pd.DataFrame") -> "Keys":
    """Keys of all rows on a version's training side, copies included; shape (n,)."""
    from housing.keys import KEY_COLUMN

    return frame.loc[~frame[SIDE_COLUMN], KEY_COLUMN].to_numpy()


def unused_rows(store: Store, version: int) -> int:
    """Number of rows of a version that are used on neither side."""
    from housing.training.fingerprints import NEITHER

    with store.read() as connection:
        members = get(connection, version).batches
        query = sa.select(sa.func.max(batch_splits.c.unused_rows))
        if not connection.scalar(query.where(batch_splits.c.batch.in_(members))):
            return 0
    return int((_latest_rows(store, version, ())[SIDE_COLUMN] == NEITHER).sum())


def delivered(store: Store, version: int, columns: Sequence[str]) -> "Iterator[pd.DataFrame]":
    """Columns of the batches of a version, newest first; rows that were corrected included."""
    from housing.store.data import parts
    from housing.store.data.segments import to_frame

    with store.read() as connection:
        found = parts.parts(connection, sorted(get(connection, version).batches))
    return (to_frame(parts.read(store, part, columns)) for part in reversed(found))


def _latest_rows(store: Store, version: int, columns: Iterable[str]) -> "pd.DataFrame":
    """The latest row of each key, sorted by key, with its side as a number."""
    import pyarrow as pa

    from housing.keys import KEY_COLUMN
    from housing.store.data import parts
    from housing.store.data.segments import to_frame

    with store.read() as connection:
        members = get(connection, version).batches
        if not members:
            raise _empty(connection, version)
        found = parts.parts(connection, members)
    if unsplit := [f"b{b}" for part in found if not part.is_split for b in part.batches]:
        why = f"{', '.join(unsplit)} have no split yet; `housing retrain` makes it."
        raise NotPossible(what="Reading the dataset", why=why)
    wanted = [KEY_COLUMN, *columns]
    tables = [parts.read(store, part, wanted, SIDE_COLUMN) for part in found]
    frame = to_frame(pa.concat_tables(tables, promote_options="default"))
    latest = frame[~frame[KEY_COLUMN].duplicated(keep="last")]
    return latest.sort_values(KEY_COLUMN, ignore_index=True)


def _empty(connection: Connection, version: int) -> NothingToTrainOn:
    left = version_batches.c.last_version == version - 1
    gone = connection.scalar(sa.select(sa.func.max(version_batches.c.batch)).where(left))
    next_step = "`housing ingest FILE` adds rows."
    if gone is not None:
        next_step = (
            f"`housing dataset restore b{gone} --reason TEXT` restores b{gone}, "
            "`housing ingest FILE` adds other rows."
        )
    return NothingToTrainOn(why=f"dataset v{version} is empty", next_step=next_step)
