"""Puts the rows and sides of batches together into packs: a version of many batches is then few
objects.

A pack is written, read back, compared and copied to the backup before one transaction points its
batches to it; a process that dies leaves at most an object that no batch needs, which a prune
deletes. What the batches had until then (`retention.PACKED`) is deleted by a later prune, when no
reader is left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing import progress
from housing.errors import Corrupt
from housing.store.backups.replication import copy_verified
from housing.store.data.fingerprint import rowset_digests
from housing.store.data.parts import SIDE, Part, batch_of_rows, parts, read
from housing.store.data.segments import get_table, put_table, to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import (
    batch_splits,
    batches,
    packed_batches,
    utc_now,
    version_batches,
)
from housing.store.objects.deletion import batched
from housing.store.objects.recording import record_blob

LOOSE = 16
"""Batches in segments of their own from which on they are packed: reading those takes little."""

PACK_ROWS = 100_000
"""Rows from which on a pack is not extended, and a batch has no need of one."""


@dataclass(frozen=True)
class _Group:
    """Batches that make one pack, in reading order."""

    parts: tuple[Part, ...]
    known: dict[int, str]  # digests of the rows of those that are in a pack now


def waiting(connection: Connection, before: datetime | None = None) -> int:
    """Number of batches that the next `pack` takes.

    0 while there are fewer than LOOSE, or where the last packing was not `before` this instant:
    a prune deletes what that replaced first, or with daily packing it never could.
    """
    newest = connection.scalar(sa.select(sa.func.max(packed_batches.c.packed_at)))
    if before is not None and newest is not None and newest >= before:
        return 0
    loose = len(_loose(connection))
    return loose if loose >= LOOSE else 0


def pack(store: Store, before: datetime | None = None) -> int:
    """Pack the batches that are split and in segments of their own; returns how many they were.

    The newest pack is extended until it has PACK_ROWS. `store` is fenced by the lease of runs.
    `before` as in `waiting`.
    """
    with store.read() as connection:
        if not waiting(connection, before):
            return 0
        groups = list(_groups(connection))
    packed = 0
    for number, group in enumerate(groups, start=1):
        tables = [(part, read(store, part, None, SIDE)) for part in group.parts]
        for _, alike in groupby(tables, key=lambda one: one[1].column_names):
            _write_pack(store, list(alike), group.known)  # one set of columns each
        new = [b for part in group.parts if not part.spans for b in part.batches]
        packed += len(new)
        progress.report("pack", number, len(groups), f"{packed:,} batches")
    return packed


def _loose(connection: Connection) -> dict[int, int]:
    """Batches to pack and the number of their rows, in reading order."""
    position = sa.func.min(version_batches.c.position)
    query = (
        sa.select(batches.c.id, batches.c.accepted_rows)
        .join(version_batches, version_batches.c.batch == batches.c.id)
        .join(batch_splits, batch_splits.c.batch == batches.c.id)
        .where(batches.c.segment.is_not(None), batches.c.accepted_rows < PACK_ROWS)
        .where(batches.c.id.not_in(sa.select(packed_batches.c.batch)))
        .group_by(batches.c.id, batches.c.accepted_rows)
        .order_by(position)
    )
    return {row.id: row.accepted_rows for row in connection.execute(query)}


def _groups(connection: Connection) -> Iterator[_Group]:
    rows = _of_newest_pack(connection) | _loose(connection)
    query = sa.select(packed_batches.c.batch, packed_batches.c.digest)
    known = dict(connection.execute(query.where(packed_batches.c.batch.in_(rows))).tuples().all())
    members: list[int] = []
    for batch in rows:
        if members and sum(rows[b] for b in members) + rows[batch] > PACK_ROWS:
            yield _Group(tuple(parts(connection, members)), known)
            members = []
        members.append(batch)
    yield _Group(tuple(parts(connection, members)), known)


def _of_newest_pack(connection: Connection) -> dict[int, int]:
    """The batches of the newest pack if it is to be extended."""
    last = sa.select(packed_batches.c.pack).order_by(packed_batches.c.packed_at.desc())
    last = last.order_by(packed_batches.c.batch.desc()).limit(1)
    query = sa.select(packed_batches.c.batch, packed_batches.c.rows)
    query = query.where(packed_batches.c.pack == last.scalar_subquery())
    found = dict(connection.execute(query.order_by(packed_batches.c.first_row)).tuples().all())
    return found if sum(found.values()) < PACK_ROWS else {}


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries()


def _write_pack(
    store: Store, tables: Sequence[tuple[Part, pa.Table]], known: Mapping[int, str]
) -> None:
    """Write a pack, compare it with what it was made of, and have its batches read from it."""
    table = _joined([each for _, each in tables])
    batch = np.concatenate([batch_of_rows(part, each) for part, each in tables])
    blob = put_table(store, table)
    digests = rowset_digests(to_frame(table), batch)
    again = rowset_digests(to_frame(get_table(store, blob.digest)), batch)
    for each, digest in digests.items():
        if again[each] != digest or known.get(each, digest) != digest:
            raise Corrupt(what=f"the pack {blob.digest[:12]}", why=f"b{each} has other rows in it")
    members, first_rows, rows = np.unique(batch, return_index=True, return_counts=True)
    facts = [
        {"batch": b, "first_row": first, "rows": n, "digest": digests[b]}
        for b, first, n in zip(members.tolist(), first_rows.tolist(), rows.tolist(), strict=True)
    ]
    with store.write() as connection:
        record_blob(connection, blob, "pack")
    copy_verified(store, [blob.digest])
    with store.write() as connection:
        shared = {"pack": blob.digest, "packed_at": utc_now()}
        for some in batched(facts):
            these = packed_batches.c.batch.in_([each["batch"] for each in some])
            connection.execute(packed_batches.delete().where(these))
        connection.execute(packed_batches.insert(), [{**each, **shared} for each in facts])
