"""The same rows in another batch: found by their values, whatever file, order or ids they have.

What stays out of the dataset is rows, not a batch's number: a delivery of the same rows is
quarantined, and withdrawing a batch withdraws its copies. Rows that the dataset also has from
other batches belong to no batch alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.array_types import Mask
from housing.keys import among
from housing.records import DatasetVersion, QuarantineReason
from housing.store.data import batches, datasets, near_duplicate_lookup, parts
from housing.store.data.segments import to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import batch_splits, version_batches
from housing.store.database.tables import batches as batch_table
from housing.store.models import blocks
from housing.store.models.promotion_log import Authorship
from housing.store.runs.runs import actor
from housing.training.fingerprints import VALUES, fingerprints, row_words

T = TypeVar("T")
R = TypeVar("R")

# --- deliveries of rows that are kept out ---------------------------------------------------


def reasons(
    store: Store, frame: pd.DataFrame, lacking: Mask, excluded: int | None
) -> tuple[QuarantineReason, ...]:
    """Reasons to quarantine a delivery, one for each kept-out batch that has rows of it.

    `lacking` (n,) marks the accepted rows that the dataset lacks as they are; `excluded` is a batch
    whose content a person asks to ingest again.
    """
    known = {batch: why for batch, why in store.query(_kept_out).items() if batch != excluded}
    at = np.flatnonzero(lacking)
    if not known or not len(at):
        return ()
    with store.read() as connection:
        equal, of = near_duplicate_lookup.equal_rows(connection, fingerprints(frame.iloc[at]))
        free = [b for b in datasets.basis(connection) if b not in known]
        unindexed = sa.select(batch_table.c.id).where(
            batch_table.c.id.in_(known),
            batch_table.c.id.not_in(sa.select(batch_splits.c.batch)),
        )
        unread = parts.parts(connection, connection.scalars(unindexed).all())
    elsewhere = np.zeros(len(at), dtype=np.bool_)
    elsewhere[equal[np.isin(of, free)]] = True
    words, read = row_words(frame.iloc[at]), dict(parts.each(store, unread, VALUES))
    found = []
    for batch, (state, remedy) in known.items():
        hit = np.zeros(len(at), dtype=np.bool_)
        hit[equal[of == batch]] = True
        if batch in read:
            hit |= among(words, row_words(to_frame(read[batch])))
        if rows := int((hit & ~elsewhere).sum()):
            known_rows = f"{rows:,} of {len(frame):,} accepted rows are rows of b{batch}"
            message = f"kept-out rows: {known_rows}, which {state}"
            whole = bool((hit | elsewhere).all())
            reason = QuarantineReason(message + (f" ({remedy})" if remedy else ""), batch, whole)
            found.append(reason)
    return tuple(found)


def release(store: Store) -> tuple[int, ...]:
    """Accept quarantined batches whose kept-out rows are kept out no more; their ids.

    Another reason keeps a batch in quarantine unless all its rows are those of a batch that a
    person has accepted since.
    """
    released = []
    with store.write() as connection:
        out = _kept_out(connection)
        blocked = blocks.current(connection).batches
        quarantined = batch_table.c.status == "quarantined"
        query = sa.select(batch_table.c.id, batch_table.c.reasons).where(quarantined)
        for row in connection.execute(query.order_by(batch_table.c.id)).all():
            known = [reason for reason in row.reasons if reason["batch"] is not None]
            decisive = len(known) == len(row.reasons) or any(reason["whole"] for reason in known)
            if not known or not decisive or row.id in blocked:
                continue
            if any(reason["batch"] in out for reason in known):
                continue
            this = batch_table.c.id == row.id
            connection.execute(batch_table.update().where(this).values(status="released"))
            out.pop(row.id)
            released.append(int(row.id))
    return tuple(released)


def _kept_out(connection: Connection) -> dict[int, tuple[str, str]]:
    """Batches with accepted rows that are quarantined, discarded, blocked or withdrawn, by id.

    Their state, and the command that accepts them ("" if there is none).
    """
    found = {}
    ever = connection.scalars(sa.select(version_batches.c.batch))
    for batch in set(ever) - set(datasets.active_members(connection)):
        how = f"`housing dataset restore b{batch} --reason TEXT` restores it"
        found[batch] = "was withdrawn", how
    out = batch_table.c.status.in_(("quarantined", "discarded"))
    query = sa.select(batch_table).where(out, batch_table.c.segment.is_not(None))
    for row in connection.execute(query):
        if batches.discarded_as_copy(row):
            continue  # its rows are kept out with the batch that they repeat
        found[row.id] = "was discarded", ""
        if row.status == "quarantined":
            found[row.id] = "is quarantined", f"`housing dataset accept b{row.id}` accepts it"
    for batch, block in blocks.current(connection).batches.items():
        how, (_, also) = f"`housing unblock b{batch}` unblocks it", found.get(batch, ("", ""))
        found[batch] = f"is blocked: {block.reason}", f"{how}; {also}" if also else how
    return dict(sorted(found.items()))


# --- copies of a batch ----------------------------------------------------------------------


@dataclass(frozen=True)
class Copy:
    """A later batch that repeats rows of another one."""

    batch: int
    rows: int
    whole: bool  # whether it has no other rows
    waits: bool  # to enter the dataset


def of(store: Store, connection: Connection, batch: int) -> tuple[Copy, ...]:
    """Later batches, in the dataset or waiting, with rows that no batch before `batch` has."""
    basis = [b for b in datasets.basis(connection) if b != batch]
    waiting = set(datasets.waiting(connection))
    batches.get(connection, batch)
    ((_, table),) = parts.each(store, parts.parts(connection, [batch]), VALUES)
    frame = to_frame(table)
    own = row_words(frame[~_in(connection, frame, [b for b in basis if b < batch])])
    found = []
    later = parts.parts(connection, [b for b in basis if b > batch])
    for other, table in parts.each(store, later, VALUES):
        frame = to_frame(table)
        hit = among(row_words(frame), own)
        if hit.any():
            others = [b for b in basis if b != other]
            known = _in(connection, frame[~hit], others).all()  # whether all other rows are known
            changed = batches.get(connection, other).changed_rows
            whole = not changed and bool(known)
            found.append(Copy(other, int(hit.sum()), whole, other in waiting))
    return tuple(found)


def _in(connection: Connection, frame: pd.DataFrame, members: list[int]) -> npt.NDArray[np.bool_]:
    """Which rows are in one of the batches, by the index; shape (n,)."""
    found = np.zeros(len(frame), dtype=np.bool_)
    if len(frame) and members:
        equal, of = near_duplicate_lookup.equal_rows(connection, fingerprints(frame))
        found[equal[np.isin(of, members)]] = True
    return found


def _decide(store: Store, find: Callable[[Connection], T], act: Callable[[Connection, T], R]) -> R:
    """Find copies, then act on them in a write transaction that sees the same batches.

    Finding them reads segments, which takes too long for a write transaction. If a batch entered,
    left or got its split meanwhile, both start again.
    """
    while True:
        with store.read() as connection:
            seen, found = _state(connection), find(connection)
        with store.write() as connection:
            if _state(connection) == seen:
                return act(connection, found)


def _state(connection: Connection) -> tuple[object, ...]:
    """What `of` depends on: batches, and how many of them are in the index."""
    indexed = sa.select(sa.func.count()).select_from(batch_splits)
    return datasets.basis(connection), connection.scalar(indexed)


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal did; ids."""

    version: DatasetVersion
    copies: tuple[int, ...]  # also withdrawn: they have only its rows and known ones
    discarded: tuple[int, ...]  # such copies that waited to enter
    staying: tuple[Copy, ...]  # copies that have other rows too


def withdraw(store: Store, batch: int, *, reason: str) -> Withdrawn:
    """A new version without the rows of `batch`: without it, and without its copies.

    A later batch that repeats its rows and has others stays; it is blocked if `batch` is blocked.
    """

    def find(connection: Connection) -> tuple[Copy, ...]:
        datasets.must_contain(connection, batch)
        return of(store, connection, batch)

    def act(connection: Connection, found: tuple[Copy, ...]) -> Withdrawn:
        copies = tuple(c.batch for c in found if c.whole and not c.waits)
        discarded = tuple(c.batch for c in found if c.whole and c.waits)
        staying = tuple(c for c in found if not c.whole)
        block_copies(connection, batch, staying)
        version = datasets.withdraw(connection, batch, reason, copies, discarded)
        return Withdrawn(version, copies, discarded, staying)

    return _decide(store, find, act)


def roll_back(store: Store, target: int, *, reason: str) -> tuple[DatasetVersion, tuple[int, ...]]:
    """A new version with the batches of an older one, and the waiting batches that it discards:
    those whose rows the rollback removes.
    """

    def find(connection: Connection) -> tuple[int, ...]:
        old = datasets.get(connection, target).batches
        gone = set(datasets.active_members(connection)) - set(old)
        found = (c for b in gone for c in of(store, connection, b))
        return tuple(sorted({c.batch for c in found if c.whole and c.waits}))

    def act(
        connection: Connection, discarded: tuple[int, ...]
    ) -> tuple[DatasetVersion, tuple[int, ...]]:
        return datasets.roll_back(connection, target, reason, discarded), discarded

    return _decide(store, find, act)


def block(store: Store, batch: int, why: Authorship) -> tuple[int, ...]:
    """Block a batch and, if it is withdrawn, the later ones that repeat its rows; their ids.

    NotPossible and UnknownId as `blocks.block`.
    """

    def act(connection: Connection, found: tuple[Copy, ...]) -> tuple[int, ...]:
        blocks.block_in(connection, "b", batch, why)
        return block_copies(connection, batch, found)

    return decide_with_copies(store, batch, act)


def decide_with_copies(
    store: Store, batch: int | None, act: Callable[[Connection, tuple[Copy, ...]], R]
) -> R:
    """`act` in a write transaction, with the copies of a batch if that is withdrawn."""
    return _decide(store, lambda connection: of_withdrawn(store, connection, batch), act)


def of_withdrawn(store: Store, connection: Connection, batch: int | None) -> tuple[Copy, ...]:
    """Later batches that repeat rows of a withdrawn one; none of any other."""
    if batch is None or not datasets.withdrawn(connection, batch):
        return ()
    return of(store, connection, batch)


def block_copies(connection: Connection, batch: int, found: Iterable[Copy]) -> tuple[int, ...]:
    """Block copies of a blocked batch that are not blocked yet; none if it is not blocked."""
    blocked = blocks.current(connection).batches
    new = [c for c in found if batch in blocked and c.batch not in blocked]
    for copy in new:
        reason = f"{copy.rows:,} of its rows are rows of b{batch}: {blocked[batch].reason}"
        blocks.append(connection, "block", "b", copy.batch, Authorship(actor(), reason))
    return tuple(copy.batch for copy in new)
