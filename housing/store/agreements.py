"""The index of what rows agree in: by it a row finds its near-duplicates among all there ever were.

What agreements are is in `training.fingerprints`. The index only grows, whatever becomes of the
rows: a batch that is withdrawn, or a value that is corrected, may come back. A night's look-up
costs its own rows, since of a hash that many rows share no more than REDELIVERIES + 1 are kept.
"""

from dataclasses import dataclass

import numpy as np
from sqlalchemy.engine import Connection

from housing.store import bulk
from housing.store.engine import Store
from housing.store.tables import split_agreements
from housing.training.fingerprints import (
    AGREEMENTS,
    NEITHER,
    PARTS,
    REDELIVERIES,
    Entries,
    Fingerprints,
    Mask,
    Sides,
    Words,
    agreement_words,
)
from housing.training.near_duplicates import known_copies, meeting, straddling

_FIELDS = ["l.rest", bulk.SIDE, "l.batch"]


def entries_with(connection: Connection, hashes: list[Words]) -> Entries:
    """What the index has under hashes, of which there is one array a part."""
    words = [h.view(np.int64) for h in hashes]
    column = split_agreements.c.hash
    found = bulk.matching(connection, column, _FIELDS, np.concatenate(words))
    part = np.zeros(len(found), dtype=np.int64)
    for number in PARTS:
        part[np.isin(found[:, 0], words[number])] = number
    return Entries(
        part,
        found[:, 0].copy().view(np.uint64),
        found[:, 1].copy().view(np.uint64),
        found[:, 2].astype(np.int8),
        found[:, 3],
    )


@dataclass(frozen=True, eq=False)
class Found:
    """What the index has under the hashes of a batch's rows, and on which sides their equals."""

    entries: Entries
    copies: bulk.Integers  # shape (n,), see `known_copies`
    known: Mask  # whose district is known, shape (n,)

    @classmethod
    def of(cls, connection: Connection, rows: Fingerprints, known: Mask) -> "Found":
        """Look rows up."""
        entries = entries_with(connection, [rows.hashes[:, part] for part in PARTS])
        return cls(entries, known_copies(rows, entries), known)

    @property
    def counts(self) -> Mask:
        """Rows that count where they agree with others: all but a district delivered again."""
        counts: Mask = ~self.known | (self.copies == 0)
        return counts


@dataclass(frozen=True, eq=False)
class EqualRows:
    """Pairs of a row and a batch whose rows in the index include an equal one; shape (k,) each."""

    row: bulk.Integers
    batch: bulk.Integers


def equal_rows(connection: Connection, rows: Fingerprints) -> EqualRows:
    """Batches in which rows of the same inputs and label came, under whatever key.

    The index has a row of a known district only where its values changed, so a batch that
    repeats a district as it was is not among them.
    """
    same = AGREEMENTS[0]
    mine = agreement_words(same, rows.hashes[:, same.part], rows.rest[:, same.part])
    hashes = [rows.hashes[:, part] if part == same.part else _NONE for part in PARTS]
    found = entries_with(connection, hashes).of(same.part)
    theirs = agreement_words(same, found.hashes, found.rest)
    order = np.argsort(mine)
    low, high = (np.searchsorted(mine[order], theirs, side) for side in ("left", "right"))
    each = high - low
    begins = np.repeat(np.cumsum(each) - each, each)
    at = np.repeat(low, each) + np.arange(each.sum()) - begins
    return EqualRows(order[at], np.repeat(found.delivery, each))


_NONE = np.empty(0, dtype=np.uint64)


def append(
    connection: Connection,
    where: tuple[int, int],
    rows: Fingerprints,
    side: Sides,
    found: Found,
) -> None:
    """Add rows, but those of known districts of which the index has an equal on the same side.

    `where` is their generation and their batch. Of rows with the same hash the first count.
    """
    equal = np.where(side == NEITHER, found.copies > 0, found.copies & (side + 1) > 0)
    new = ~(found.known & equal)
    hashes, rest = rows.hashes[new].ravel(), rows.rest[new].ravel()
    sides = np.repeat(side[new], len(PARTS))
    order = np.argsort(hashes.view(np.int64), kind="stable")
    hashes, rest, sides = hashes[order], rest[order], sides[order]
    number = _numbers(hashes, found.entries.hashes)
    kept = number <= REDELIVERIES
    n = int(kept.sum())
    bulk.insert(
        connection,
        split_agreements,
        np.full(n, where[0]),
        hashes[kept].view(np.int64),
        number[kept],
        rest[kept].view(np.int64),
        bulk.stored_sides(sides[kept]),
        np.full(n, where[1]),
    )


def _numbers(hashes: Words, known: Words) -> bulk.Integers:
    """Numbers of rows under their hash, after those that are known; `hashes` ascend."""
    if not len(hashes):
        return np.empty(0, dtype=np.int64)
    begins = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    count = np.diff(np.concatenate([begins, [len(hashes)]]))
    number = np.arange(len(hashes)) - np.repeat(begins, count)
    if len(known):
        found, times = np.unique(known, return_counts=True)
        at = np.minimum(np.searchsorted(found, hashes), len(found) - 1)
        number += np.where(found[at] == hashes, times[at], 0)
    return number


def leaking_rows(store: Store, test: Fingerprints, train: Fingerprints) -> Mask:
    """Test rows that have a near-duplicate among training rows; shape (n,)."""
    met = meeting(test, train)
    shared = [test.hashes[in_test, part] for part, (in_test, _) in enumerate(met)]
    if not any(map(len, shared)):
        return np.zeros(len(test), dtype=np.bool_)
    with store.read() as connection:
        index = entries_with(connection, shared)
    return straddling(test, train, met, index)
