"""The same rows in another batch: found by their values, whatever file, order or ids bring them.

What a person or intake keeps out of the dataset is rows, not a batch's number: a delivery that
brings them again is quarantined, and withdrawing a batch withdraws its copies. Rows that the
dataset also has from elsewhere are no batch's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.records import DatasetVersion
from housing.store.data import agreements, batches, datasets
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import batch_splits, version_batches
from housing.store.database.tables import batches as batch_table
from housing.store.models import blocks
from housing.store.models.promotion_log import Authorship
from housing.store.runs.runs import actor
from housing.training.fingerprints import VALUES, Mask, Words, fingerprints, row_words

# --- deliveries of rows that are kept out ---------------------------------------------------


@dataclass(frozen=True)
class KeptOut:
    """A batch whose rows are kept out of the dataset, and how a person lets them in."""

    batch: int
    state: str
    remedy: str = ""

    def reason(self, rows: int, of: int) -> str:
        """Why a delivery with some of its rows is quarantined; begins with the rule's name."""
        known = f"{rows:,} of {of:,} accepted rows are rows of b{self.batch}"
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"kept-out rows: {known}, which {self.state}{remedy}"


def reasons(store: Store, frame: pd.DataFrame, lacking: Mask, but: int | None) -> tuple[str, ...]:
    """Reasons to quarantine a delivery, one for each batch that is kept out and has rows of it.

    `lacking` (n,) are the accepted rows that the dataset lacks as they are; `but` is a batch whose
    content a person asks to take again.
    """
    with store.read() as connection:
        known = {one.batch: one for one in _kept_out(connection) if one.batch != but}
    at = np.flatnonzero(lacking)
    if not known or not len(at):
        return ()
    with store.read() as connection:
        equal = agreements.equal_rows(connection, fingerprints(frame.iloc[at]))
        free = [b for b in datasets.basis(connection) if b not in known]
        unread = _unindexed(connection, known)
    elsewhere = np.zeros(len(at), dtype=np.bool_)
    elsewhere[equal.row[np.isin(equal.batch, free)]] = True
    words = row_words(frame.iloc[at])
    found = []
    for batch, one in known.items():
        hit = np.zeros(len(at), dtype=np.bool_)
        hit[equal.row[equal.batch == batch]] = True
        if batch in unread:
            hit |= np.isin(words, _words(store, unread[batch]))
        if rows := int((hit & ~elsewhere).sum()):
            found.append(one.reason(rows, len(frame)))
    return tuple(found)


def _kept_out(connection: Connection) -> list[KeptOut]:
    """Batches with accepted rows that are quarantined, discarded, blocked or withdrawn."""
    found = {}
    for row in connection.execute(_gone(connection)):
        how = f"`housing dataset restore b{row.id} --reason TEXT` brings it back"
        found[row.id] = KeptOut(row.id, "was withdrawn", how)
    waiting = sa.select(batch_table.c.id, batch_table.c.status).where(
        batch_table.c.status.in_(("quarantined", "discarded")), batch_table.c.segment.is_not(None)
    )
    for row in connection.execute(waiting):
        accept = f"`housing dataset accept b{row.id}` lets it in"
        quarantined = row.status == "quarantined"
        found[row.id] = KeptOut(
            row.id,
            "is quarantined" if quarantined else "was discarded",
            accept if quarantined else "",
        )
    for batch, hold in blocks.current(connection).batches.items():
        how = f"`housing unblock b{batch}` ends that"
        also = f"; {found[batch].remedy}" if batch in found and found[batch].remedy else ""
        found[batch] = KeptOut(batch, f"is blocked: {hold.reason}", how + also)
    return [found[batch] for batch in sorted(found)]


def _gone(connection: Connection) -> sa.Select[tuple[int]]:
    current = datasets.active(connection)
    members = () if current is None else current.batches
    ever = sa.select(version_batches.c.batch).where(version_batches.c.batch.not_in(members))
    return sa.select(batch_table.c.id).where(batch_table.c.id.in_(ever))


def _unindexed(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    """Segments of those batches that the index of agreements has not."""
    known = batch_table.c.id.in_(sa.select(batch_splits.c.batch))
    query = sa.select(batch_table.c.id, batch_table.c.segment).where(
        batch_table.c.id.in_(list(ids)),
        batch_table.c.segment.is_not(None),
        sa.not_(known),
    )
    return {row.id: row.segment for row in connection.execute(query)}


def _words(store: Store, segment: str) -> Words:
    return row_words(to_frame(get_table(store, segment, VALUES)))


# --- copies of a batch ----------------------------------------------------------------------


@dataclass(frozen=True)
class Copy:
    """A later batch with rows that another one brought."""

    batch: int
    rows: int
    whole: bool  # whether it brings nothing else
    waits: bool  # to enter the dataset


def of(store: Store, batch: int) -> tuple[Copy, ...]:
    """Later batches, in the dataset or waiting to enter it, with rows that only `batch` brought
    before them.
    """
    with store.read() as connection:
        basis = [b for b in datasets.basis(connection) if b != batch]
        waiting = set(datasets.waiting(connection))
        rows = {b: batches.get(connection, b) for b in (batch, *(b for b in basis if b > batch))}
    own = _own(store, rows.pop(batch).segment, [b for b in basis if b < batch])
    found = []
    for other, row in rows.items():
        frame = to_frame(get_table(store, row.segment, VALUES))
        hit = np.isin(row_words(frame), own)
        if hit.any():
            others = [b for b in basis if b != other]
            whole = _brings_nothing_else(store, row, frame[~hit], others)
            found.append(Copy(other, int(hit.sum()), whole, other in waiting))
    return tuple(found)


def _own(store: Store, segment: str, before: list[int]) -> Words:
    """Words of the rows of a batch that none of the batches before has."""
    frame = to_frame(get_table(store, segment, VALUES))
    return row_words(frame[~_in(store, frame, before)])


def _brings_nothing_else(
    store: Store, row: Row[Any], rest: pd.DataFrame, others: list[int]
) -> bool:
    """Whether all `rest` rows are in other batches too, and none was a correction."""
    return not row.changed_rows and bool(_in(store, rest, others).all())


def _in(store: Store, frame: pd.DataFrame, members: list[int]) -> npt.NDArray[np.bool_]:
    """Which rows are in one of the batches, by the index; shape (n,)."""
    found = np.zeros(len(frame), dtype=np.bool_)
    if len(frame) and members:
        with store.read() as connection:
            equal = agreements.equal_rows(connection, fingerprints(frame))
        found[equal.row[np.isin(equal.batch, members)]] = True
    return found


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal did; ids."""

    version: DatasetVersion
    copies: tuple[int, ...]  # withdrawn as well: they hold nothing but its rows and known ones
    discarded: tuple[int, ...]  # the same of batches that waited to enter
    staying: tuple[Copy, ...]  # that hold other rows too


def withdraw(store: Store, batch: int, *, reason: str) -> Withdrawn:
    """A new version without the rows that `batch` brought: without it, and without its copies.

    A later batch that repeats its rows and brings others stays; where `batch` is blocked, that
    one is blocked as well.
    """
    with store.read() as connection:
        datasets.must_hold(connection, batch)
    found = of(store, batch)
    copies = tuple(c.batch for c in found if c.whole and not c.waits)
    discarded = tuple(c.batch for c in found if c.whole and c.waits)
    staying = tuple(c for c in found if not c.whole)
    _block_copies(store, batch, staying)
    version = datasets.withdraw(store, batch, reason=reason, copies=copies, discarded=discarded)
    return Withdrawn(version, copies, discarded, staying)


def roll_back(store: Store, target: int, *, reason: str) -> tuple[DatasetVersion, tuple[int, ...]]:
    """A new version with the batches of an older one; and what waited to enter and is discarded,
    since it would bring rows back that the older version has not.
    """
    with store.read() as connection:
        current, old = datasets.active(connection), datasets.get(connection, target)
    gone = set() if current is None else set(current.batches) - set(old.batches)
    waiting = {c.batch for b in gone for c in of(store, b) if c.whole and c.waits}
    discarded = tuple(sorted(waiting))
    return datasets.roll_back(store, target, reason=reason, discarded=discarded), discarded


def block(store: Store, batch: int, why: Authorship) -> tuple[int, ...]:
    """Block a batch and, where it is withdrawn, those that still repeat its rows; their ids.

    NotPossible and UnknownId as `holds.hold`.
    """
    blocks.block(store, "b", batch, why)
    return block_copies(store, batch)


def block_copies(store: Store, batch: int) -> tuple[int, ...]:
    """Block what repeats the rows of a batch that is blocked and withdrawn; ids."""
    with store.read() as connection:
        gone = datasets.withdrawn(connection, batch)
    return _block_copies(store, batch, of(store, batch)) if gone else ()


def _block_copies(store: Store, batch: int, found: Sequence[Copy]) -> tuple[int, ...]:
    with store.write() as connection:
        blocked = blocks.current(connection).batches
        if batch not in blocked:
            return ()
        new = [copy for copy in found if copy.batch not in blocked]
        for copy in new:
            reason = f"{copy.rows:,} of its rows are rows of b{batch}: {blocked[batch].reason}"
            blocks.append(connection, "block", "b", copy.batch, Authorship(actor(), reason))
    return tuple(copy.batch for copy in new)
