"""The near-duplicate index: finds the near-duplicates of a row among all rows ever split.

`training.fingerprints` defines agreements. The index only grows: a withdrawn batch or a corrected
value may return. Equal rows on one side are listed once, with one word for each batch that has
them under another key. A look-up costs the rows of the new batch: a hash shared by many rows lists
the first ones, and stores only the words of agreements of the others, once per side.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.array_types import Mask
from housing.keys import among
from housing.store.database import bulk
from housing.store.database.engine import Store
from housing.store.database.tables import near_duplicate_index, value_frequencies
from housing.training.chance import CHANCE, Frequencies
from housing.training.fingerprints import (
    AGREEMENTS,
    NEITHER,
    PARTS,
    SAME,
    VALUES,
    Fingerprints,
    Sides,
    Words,
    agreement_words,
    words_of,
)
from housing.training.near_duplicates import (
    IndexedRows,
    bits_of,
    near_duplicates_in_training,
    shared_hashes,
)

LISTED = 64
"""Rows listed under one hash; further rows are found by their words."""

_CHUNK = 1_000_000
"""Entries that are put in order at a time: tens of millions at once would be gigabytes."""

_FIELDS = ["l.number", "l.rest", "l.side", "l.batch"]


# --- looking up -----------------------------------------------------------------------------


def look_up(connection: Connection, rows: Fingerprints) -> IndexedRows:
    """Entries of the index that may agree with the rows."""
    listed = _matching(connection, rows.hashes.ravel())
    listed = listed[listed[:, 1] >= 0]
    hashes = listed[:, 0].copy().view(np.uint64)
    part = np.zeros(len(listed), dtype=np.int64)
    for number in PARTS:
        part[among(hashes, rows.hashes[:, number])] = number
    full = hashes[listed[:, 1] == LISTED - 1]
    beside = [np.empty(0, np.uint64)]
    for agreement in AGREEMENTS if len(full) else ():  # of rows whose hash has a full list
        own = np.flatnonzero(among(rows.hashes[:, agreement.part], full))
        beside.append(words_of(agreement, rows.take(own)))
    words = _matching(connection, np.concatenate(beside))
    return _known(part, listed, words[words[:, 1] < 0])


def _known(part: bulk.Integers, listed: bulk.Integers, words: bulk.Integers) -> IndexedRows:
    return IndexedRows(
        part,
        listed[:, 0].copy().view(np.uint64),
        listed[:, 2].copy().view(np.uint64),
        listed[:, 3].astype(np.int8),
        listed[:, 4],
        words[:, 0].copy().view(np.uint64),
        words[:, 3].astype(np.int8),
        words[:, 4],
    )


def equal_rows(connection: Connection, rows: Fingerprints) -> tuple[bulk.Integers, bulk.Integers]:
    """Pairs of a row and a batch with rows of equal inputs and label, under any key; shape (k,).

    A row with a known key is indexed again only if its values changed, so a batch that repeats it
    unchanged is not found.
    """
    mine = words_of(SAME, rows)
    found = _matching(connection, np.concatenate([rows.hashes[:, SAME.part], mine]))
    listed, words = found[found[:, 1] >= 0], found[found[:, 1] < 0]
    known = _known(np.full(len(listed), SAME.part), listed, words)
    theirs = np.concatenate([agreement_words(SAME, known.hashes, known.rest), known.words])
    batch = np.concatenate([known.batch, known.word_batch])
    indexed = pd.DataFrame({"word": theirs, "batch": batch})
    pairs = pd.DataFrame({"word": mine, "row": np.arange(len(mine))}).merge(indexed, on="word")
    return pairs["row"].to_numpy(), pairs["batch"].to_numpy()


def used_near_duplicates(
    connection: Connection, rows: Fingerprints, batches: Collection[int]
) -> Mask:
    """Rows that equal an indexed row of some batches, or are a near-duplicate of one; shape (n,).

    The index also has the former values of corrected rows and those of batches taken out since.
    """
    known = look_up(connection, rows).of(list(batches))
    counts = frequencies(connection)
    found = np.zeros(len(rows), dtype=np.bool_)
    for agreement in AGREEMENTS:
        hit = np.flatnonzero(known.sides(agreement, words_of(agreement, rows)))
        one = np.ones(len(hit), dtype=np.int64)  # of the rows that agree is counted
        expected = counts.expected(agreement, rows.buckets[hit], one)
        found[hit if agreement == SAME else hit[expected < CHANCE]] = True
    return found


def _matching(connection: Connection, words: Words) -> bulk.Integers:
    column = near_duplicate_index.c.hash
    if not len(words):
        return np.empty((0, 1 + len(_FIELDS)), dtype=np.int64)
    return bulk.matching(connection, column, _FIELDS, words.view(np.int64))


def frequencies(connection: Connection) -> Frequencies:
    """Number of independent split rows with each value."""
    found = Frequencies.none()
    for row in connection.execute(sa.select(value_frequencies)):
        if row.name in VALUES:
            found.counts[VALUES.index(row.name)] = row.counts
    return found


# --- adding ---------------------------------------------------------------------------------


def append(
    connection: Connection,
    where: tuple[int, int],
    rows: Fingerprints,
    side: Sides,
    known: IndexedRows,
    fresh: Mask,
) -> None:
    """Add rows that have no equal on the same side in the index.

    `where` is their generation and batch. `fresh` (n,) marks rows with new keys: if the index
    has an equal of one, it records the batch. The first rows of each hash are listed.
    """
    new, again = _new_and_again(rows, side, known)
    again = again[fresh[again]]
    words, of = [words_of(SAME, rows.take(again))], [side[again]]
    rows, side = rows.take(new), side[new]
    listed = []
    for part in PARTS:
        number = _numbers(rows.hashes[:, part], known.hashes[known.part == part])
        fits, beside = (np.flatnonzero(chosen) for chosen in (number < LISTED, number >= LISTED))
        hashes, rest = (w[fits, part].view(np.int64) for w in (rows.hashes, rows.rest))
        listed.append((hashes, number[fits], rest, side[fits]))
        for agreement in (a for a in AGREEMENTS if a.part == part and len(beside)):
            own = words_of(agreement, rows.take(beside))
            unknown = known.sides(agreement, own) & bits_of(side[beside]) == 0
            words.append(own[unknown])
            of.append(side[beside][unknown])
    listed.append(_as_listed(np.concatenate(words), np.concatenate(of), where[1]))
    _insert(connection, where, [np.concatenate(column) for column in zip(*listed, strict=True)])


def _insert(connection: Connection, where: tuple[int, int], columns: list[np.ndarray]) -> None:
    """Append entries to the index, in ascending order of their hashes: the quickest to insert."""
    order = np.argsort(columns[0])
    generation, batch = (np.broadcast_to(n, _CHUNK) for n in where)
    for start in range(0, len(order), _CHUNK):
        own = order[start : start + _CHUNK]
        some = [generation[: len(own)], *(column[own] for column in columns), batch[: len(own)]]
        bulk.insert(connection, near_duplicate_index, *some)


def _new_and_again(
    rows: Fingerprints, side: Sides, known: IndexedRows
) -> tuple[bulk.Integers, bulk.Integers]:
    """Positions of rows without an equal in the index, and of those with one.

    Only the first of equal rows counts. Equals are on the same side; on any side for a row used
    on neither.
    """
    same, bit = words_of(SAME, rows), bits_of(side)
    first = np.sort(np.unique(same ^ bit.astype(np.uint64), return_index=True)[1])
    theirs = known.sides(SAME, same[first])
    new = theirs & np.where(side[first] == NEITHER, theirs, bit[first]) == 0
    return first[new], first[~new]


def _as_listed(
    words: Words, side: Sides, batch: int
) -> tuple[bulk.Integers, bulk.Integers, bulk.Integers, Sides]:
    """Words as columns of the index, once with each side; the number encodes batch and side."""
    found = pd.DataFrame({"word": words.view(np.int64), "side": side}).drop_duplicates()
    words_once, side = found["word"].to_numpy(), found["side"].to_numpy()
    number = -bits_of(side).astype(np.int64) - 8 * batch
    return words_once, number, np.zeros_like(number), side


def _numbers(hashes: Words, known: Words) -> bulk.Integers:
    """Number of each row under its hash, in row order, after the known ones."""
    own = pd.Series(hashes)
    number = own.groupby(own, sort=False).cumcount()
    if len(known):
        number += own.map(pd.Series(known).value_counts()).fillna(0).astype(np.int64)
    return np.asarray(number, dtype=np.int64)


def record_frequencies(connection: Connection, found: Frequencies) -> None:
    """Replace the recorded frequencies."""
    connection.execute(sa.delete(value_frequencies))
    rows = [
        {"name": name, "counts": counts.tolist()}
        for name, counts in zip(VALUES, found.counts, strict=True)
    ]
    connection.execute(value_frequencies.insert(), rows)


# --- the leak proof -------------------------------------------------------------------------


def leaking_rows(store: Store, test: Fingerprints, train: Fingerprints) -> Mask:
    """Test rows that have a near-duplicate among training (or other) rows; shape (n,)."""
    met = shared_hashes(test, train)
    if not any(in_test.any() for in_test, _ in met):
        return np.zeros(len(test), dtype=np.bool_)
    return near_duplicates_in_training(test, train, met, store.query(frequencies))
