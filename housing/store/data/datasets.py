"""Dataset versions: ordered lists of immutable segments. Each operation makes a new version and
erases none; its cost is that of what changed, not of the table. Reading is columnar.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing import schema
from housing.errors import NothingToTrainOn, NotPossible, UnknownId
from housing.keys import KEY_COLUMN, Keys
from housing.records import DatasetVersion
from housing.store.data.segments import get_sides, get_table, to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import (
    batch_splits,
    batches,
    dataset_versions,
    utc_now,
    version_batches,
)
from housing.training.fingerprints import NEITHER, TEST, row_words

SIDE_COLUMN = "test"

TAKEN = ("accepted", "unchanged", "released")
"""Statuses of batches whose accepted rows are in the dataset or enter it."""


def active(connection: Connection) -> DatasetVersion | None:
    """The newest version, or None where nothing has ever come in."""
    newest = connection.execute(sa.select(sa.func.max(dataset_versions.c.id))).scalar()
    return None if newest is None else get(connection, newest)


def get(connection: Connection, version: int) -> DatasetVersion:
    """One version; UnknownId where there is none."""
    query = sa.select(dataset_versions).where(dataset_versions.c.id == version)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownId(kind="dataset version", id=f"v{version}", listing="housing datasets")
    return DatasetVersion(
        id=row.id,
        parent=row.parent,
        operation=row.operation,
        reason=row.reason,
        created_at=row.created_at,
        batches=_members(connection, version),
    )


def _members(connection: Connection, version: int) -> tuple[int, ...]:
    spans = version_batches.c
    query = (
        sa.select(spans.batch)
        .where(spans.first_version <= version)
        .where(sa.or_(spans.last_version.is_(None), spans.last_version >= version))
        .order_by(spans.position)
    )
    return tuple(connection.execute(query).scalars())


def waiting(connection: Connection) -> tuple[int, ...]:
    """Batches with accepted rows that no version has held yet, oldest first.

    Those that change nothing (`unchanged`) are among them: they enter with the next that does.
    """
    ever = sa.select(version_batches.c.batch)
    query = (
        sa.select(batches.c.id)
        .where(batches.c.status.in_(TAKEN), batches.c.segment.is_not(None))
        .where(batches.c.id.not_in(ever))
        .order_by(batches.c.id)
    )
    return tuple(connection.execute(query).scalars())


def entering(connection: Connection) -> tuple[int, ...]:
    """Batches that the next version adds: none while none of the waiting changes a row."""
    new = waiting(connection)
    status = sa.select(batches.c.status).where(batches.c.id.in_(new)).distinct()
    changes = set(connection.execute(status).scalars()) - {"unchanged"}
    return new if changes else ()


def basis(connection: Connection) -> tuple[int, ...]:
    """Batches whose rows a new one is compared with, in reading order: active, then waiting."""
    current = active(connection)
    return (*(() if current is None else current.batches), *waiting(connection))


def append_waiting(store: Store, *, reason: str, run: int | None) -> DatasetVersion | None:
    """A new version that also holds the waiting batches, or None where none changes a row."""
    with store.write() as connection:
        new = entering(connection)
        if not new:
            return None
        version = _new_version(connection, "append", reason, run)
        last = connection.execute(sa.select(sa.func.max(version_batches.c.position))).scalar() or 0
        rows = [
            {"batch": b, "first_version": version, "position": last + i}
            for i, b in enumerate(new, start=1)
        ]
        connection.execute(version_batches.insert(), rows)
        return get(connection, version)


def withdraw(
    store: Store,
    batch: int,
    *,
    reason: str,
    run: int | None = None,
    copies: Sequence[int] = (),
    discarded: Sequence[int] = (),
) -> DatasetVersion:
    """A new version without `batch` and without `copies`, which come back with it.

    `discarded` are batches that wait to enter, and then never do.
    """
    with store.write() as connection:
        current = must_hold(connection, batch)
        version = _new_version(connection, "withdraw", reason, run)
        _close(connection, [batch, *copies], current.id)
        _discard(connection, discarded)
        reconsider(connection)
        return get(connection, version)


def _discard(connection: Connection, ids: Sequence[int]) -> None:
    where = batches.c.id.in_(ids)
    connection.execute(batches.update().where(where).values(status="discarded"))


def must_hold(connection: Connection, batch: int) -> DatasetVersion:
    """The active version; NotPossible where it does not hold the batch."""
    current = active(connection)
    if current is None or batch not in current.batches:
        raise NotPossible(
            what=f"Withdrawing b{batch}",
            why="it is not in the active dataset; `housing batches` lists what is.",
        )
    return current


def restore(store: Store, batch: int, *, reason: str, run: int | None = None) -> DatasetVersion:
    """A new version with a withdrawn batch at its old place: later corrections still count.

    Copies that were withdrawn with it come back with it.
    """
    with store.write() as connection:
        current = active(connection)
        if current is not None and batch in current.batches:
            raise NotPossible(what=f"Restoring b{batch}", why="it is in the active dataset.")
        if not _was_member(connection, batch):
            raise NotPossible(
                what=f"Restoring b{batch}",
                why="it has never been in the dataset; `housing batches` lists what has.",
            )
        version = _new_version(connection, "restore", reason, run)
        _reopen(connection, [batch, *withdrawn_with(connection, batch)], version)
        reconsider(connection)
        return get(connection, version)


def withdrawn_with(connection: Connection, batch: int) -> tuple[int, ...]:
    """Copies that left the dataset when `batch` was withdrawn last and that are still out of it."""
    spans = version_batches.c
    last = sa.select(sa.func.max(spans.last_version)).where(spans.batch == batch).scalar_subquery()
    query = (
        sa.select(spans.batch)
        .join(dataset_versions, dataset_versions.c.id == spans.last_version + 1)
        .where(spans.last_version == last, dataset_versions.c.operation == "withdraw")
        .where(spans.batch > batch)
        .order_by(spans.batch)
    )
    return tuple(b for b in connection.execute(query).scalars() if withdrawn(connection, b))


def withdrawn(connection: Connection, batch: int) -> bool:
    """Whether the batch was in the dataset and is not now."""
    current = active(connection)
    members = () if current is None else current.batches
    return batch not in members and _was_member(connection, batch)


def _was_member(connection: Connection, batch: int) -> bool:
    query = sa.select(version_batches.c.batch).where(version_batches.c.batch == batch).limit(1)
    return connection.execute(query).first() is not None


def reconsider(connection: Connection) -> None:
    """Have waiting batches enter that changed nothing before the rows beneath them changed."""
    ever = sa.select(version_batches.c.batch)
    where = sa.and_(batches.c.status == "unchanged", batches.c.id.not_in(ever))
    connection.execute(batches.update().where(where).values(status="accepted"))


def roll_back(
    store: Store,
    target: int,
    *,
    reason: str,
    run: int | None = None,
    discarded: Sequence[int] = (),
) -> DatasetVersion:
    """A new version that holds the batches of `target`, which must be an older one.

    `discarded` are batches that wait to enter, and then never do.
    """
    with store.write() as connection:
        current, old = active(connection), get(connection, target)
        if current is None or current.batches == old.batches:
            raise NotPossible(
                what=f"Rolling back to v{target}", why="the active dataset has the same batches."
            )
        version = _new_version(connection, "rollback", reason, run)
        now, then = set(current.batches), set(old.batches)
        gone = [b for b in current.batches if b not in then]
        back = [b for b in old.batches if b not in now]
        _close(connection, gone, current.id)
        _reopen(connection, back, version)
        _discard(connection, discarded)
        reconsider(connection)
        return get(connection, version)


def _new_version(connection: Connection, operation: str, reason: str, run: int | None) -> int:
    parent = connection.execute(sa.select(sa.func.max(dataset_versions.c.id))).scalar()
    version = (parent or 0) + 1  # the primary key settles a race that the writer's lock missed
    connection.execute(
        dataset_versions.insert().values(
            id=version,
            parent=parent,
            operation=operation,
            reason=reason,
            run=run,
            created_at=utc_now(),
        )
    )
    return int(version)


def _close(connection: Connection, members: Sequence[int], last_version: int) -> None:
    if members:
        connection.execute(
            version_batches.update()
            .where(version_batches.c.batch.in_(members), version_batches.c.last_version.is_(None))
            .values(last_version=last_version)
        )


def _reopen(connection: Connection, members: Sequence[int], first_version: int) -> None:
    for batch in members:
        where = version_batches.c.batch == batch
        place = sa.select(version_batches.c.position).where(where).limit(1)
        position = connection.execute(place).scalar_one()
        connection.execute(
            version_batches.insert().values(
                batch=batch, first_version=first_version, position=position
            )
        )


# --- reading --------------------------------------------------------------------------------


def read(store: Store, version: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of a version: catalogue columns (or the named ones), `key` and `test`.

    For a key that occurs more than once the latest batch counts. Rows stand in the order of
    their keys, so the same set of rows is the same frame, whatever files it came in. Rows that
    are used on neither side are not among them.
    """
    frame = _latest_rows(store, version, schema.CATALOGUE if columns is None else columns)
    used = frame[SIDE_COLUMN] != NEITHER
    if not used.all():
        frame = frame[used].reset_index(drop=True)
    frame[SIDE_COLUMN] = frame[SIDE_COLUMN] == TEST
    return frame


def training_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The different rows of a version's training side, numbered from 0."""
    return different_rows(frame[~frame[SIDE_COLUMN]])


def test_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The different rows of a version's test side, numbered from 0."""
    return different_rows(frame[frame[SIDE_COLUMN]])


def different_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Of rows of equal inputs and price under several ids the first, numbered from 0.

    A copy is no evidence: it weighs neither in a fit nor in an error, as it does not count in
    `content_digest`, by which a verdict is found again.
    """
    return frame[~pd.Series(row_words(frame)).duplicated().to_numpy()].reset_index(drop=True)


def training_keys(frame: pd.DataFrame) -> Keys:
    """Keys of all districts on a version's training side, copies among them; shape (n,)."""
    return frame.loc[~frame[SIDE_COLUMN], KEY_COLUMN].to_numpy()


def unused_rows(store: Store, version: int) -> int:
    """Rows of a version that are used on neither side."""
    with store.read() as connection:
        members = get(connection, version).batches
        query = sa.select(sa.func.max(batch_splits.c.unused_rows))
        if not connection.execute(query.where(batch_splits.c.batch.in_(members))).scalar():
            return 0
    return int((_latest_rows(store, version, ())[SIDE_COLUMN] == NEITHER).sum())


def delivered(store: Store, version: int, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Columns of each batch of a version, newest first, with rows that were corrected since."""
    with store.read() as connection:
        members = get(connection, version).batches
        query = sa.select(batches.c.segment).where(batches.c.id.in_(members))
        segments = connection.execute(query.order_by(batches.c.id.desc())).scalars().all()
    return (to_frame(get_table(store, segment, columns)) for segment in segments)


def _latest_rows(store: Store, version: int, columns: Iterable[str]) -> pd.DataFrame:
    wanted = [KEY_COLUMN, *columns]
    with store.read() as connection:
        members = get(connection, version).batches
        parts = _parts(connection, members)
        left = sa.select(sa.func.max(version_batches.c.batch)).where(
            version_batches.c.last_version == version - 1
        )
        gone = None if members else connection.execute(left).scalar()
    if not members:
        step = (
            ""
            if gone is None
            else f"`housing dataset restore b{gone} --reason TEXT` brings b{gone} back, "
        )
        raise NothingToTrainOn(
            why=f"dataset v{version} is empty",
            next_step=f"{step}`housing ingest FILE` brings {'other ' if step else ''}rows in.",
        )
    tables = [_with_sides(store, parts[batch], wanted) for batch in members]
    frame = to_frame(pa.concat_tables(tables, promote_options="default"))
    return _latest(frame)


def _parts(connection: Connection, members: Sequence[int]) -> dict[int, Any]:
    query = (
        sa.select(batches.c.id, batches.c.segment, batch_splits.c.sides)
        .join(batch_splits, batch_splits.c.batch == batches.c.id, isouter=True)
        .where(batches.c.id.in_(members))
    )
    found = {row.id: row for row in connection.execute(query)}
    unsplit = [f"b{row.id}" for row in found.values() if row.sides is None]
    if unsplit:
        raise NotPossible(
            what="Reading the dataset",
            why=f"{', '.join(unsplit)} have no split yet; `housing retrain` gives them one.",
        )
    return found


def _with_sides(store: Store, part: Any, columns: Sequence[str]) -> pa.Table:
    table = get_table(store, part.segment, columns)
    return table.append_column(SIDE_COLUMN, pa.array(get_sides(store, part.sides)))


def _latest(frame: pd.DataFrame) -> pd.DataFrame:
    keys = frame[KEY_COLUMN].to_numpy()
    order = np.argsort(keys, kind="stable")  # stable: later batches stay later
    ordered = keys[order]
    last = np.ones(len(keys), dtype=np.bool_)
    last[:-1] = ordered[1:] != ordered[:-1]
    latest: pd.DataFrame = frame.iloc[order[last]].reset_index(drop=True)
    return latest
