"""Keeps near-duplicates on the same side of the split: which rows are tied, and their sides.

What near-duplicates are is in `training.fingerprints`, and which agreements chance explains in
`training.chance`; all others tie the rows that share them, however many. Ties are pairwise: no row
is tied to another by way of a third.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from housing.array_types import Integers, Mask
from housing.keys import among
from housing.training.chance import CERTAIN, CHANCE, Frequencies
from housing.training.fingerprints import (
    AGREEMENTS,
    NEITHER,
    PARTS,
    SAME,
    TEST,
    TRAIN,
    Agreement,
    Fingerprints,
    Sides,
    Words,
    agreement_words,
    words_of,
)

_BITS = (1, 2, 4)  # of TRAIN, TEST and, as the last, NEITHER
_OF_BITS = (NEITHER, TRAIN, TEST, NEITHER)  # none, one side, the other, both
_USED = _BITS[TRAIN] | _BITS[TEST]
_NONE = np.empty(0, dtype=np.int64)


def bits_of(side: Sides) -> Integers:
    """Sides as bits: 1 training, 2 test, 4 neither; shape (n,)."""
    return np.array(_BITS)[side]


# --- known rows ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class IndexedRows:
    """What the index has of rows: some under one of their hashes, and some under their agreements.

    `part` to `batch` are of the former, `words` to `word_batch` of the latter.
    """

    part: Integers
    hashes: Words
    rest: Words
    side: Sides
    batch: Integers
    words: Words
    word_side: Sides
    word_batch: Integers

    def of(self, batches: list[int]) -> "IndexedRows":
        """What the index has of some batches."""
        row, word = np.isin(self.batch, batches), np.isin(self.word_batch, batches)
        return IndexedRows(
            self.part[row],
            self.hashes[row],
            self.rest[row],
            self.side[row],
            self.batch[row],
            self.words[word],
            self.word_side[word],
            self.word_batch[word],
        )

    def sides(self, agreement: Agreement, wanted: Words) -> Integers:
        """Sides on which the index has rows with these words, as bits; shape (n,), 0 for none."""
        own = self.part == agreement.part
        listed = agreement_words(agreement, self.hashes[own], self.rest[own])
        theirs, of = np.unique(np.concatenate([listed, self.words]), return_inverse=True)
        if not len(theirs):
            return np.zeros(len(wanted), dtype=np.int64)
        bits = np.zeros(len(theirs), dtype=np.int64)
        np.bitwise_or.at(bits, of, bits_of(np.concatenate([self.side[own], self.word_side])))
        at = np.minimum(np.searchsorted(theirs, wanted), len(theirs) - 1)
        return np.where(theirs[at] == wanted, bits[at], 0)


# --- ties of a batch ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ties:
    """Which rows of a batch share agreements that chance does not explain.

    `row` and `group` (k,) are the pairs of a row and such an agreement that it has with others of
    the batch or of the index; `sides` (g,) what the index has of each, as bits.
    """

    row: Integers
    group: Integers
    sides: Integers


@dataclass(frozen=True, eq=False)
class _Groups:
    """Rows of a batch by what they have of one agreement: `row` and `group` (k,), the rest (g,)."""

    agreement: Agreement
    row: Integers
    group: Integers
    one: Integers  # of its rows
    sides: Integers

    def unexplained(self, rows: Fingerprints, counted: Mask, frequencies: Frequencies) -> Mask:
        """Groups that chance does not explain; shape (g,)."""
        own = np.bincount(self.group[counted[self.row]], minlength=len(self.one))
        own += self.sides > 0
        mask: Mask = frequencies.expected(self.agreement, rows.buckets[self.one], own) < CHANCE
        return mask

    def later(self, tied: Mask, position: Integers) -> Integers:
        """Rows of the tied groups but the first of each that the index does not have."""
        first = np.full(len(self.one), len(position))
        np.minimum.at(first, self.group, position[self.row])
        first[self.sides > 0] = -1
        return self.row[(tied[self.group]) & (position[self.row] > first[self.group])]


def ties(
    rows: Fingerprints, fresh: Mask, known: IndexedRows, before: Frequencies
) -> tuple[Ties, Frequencies]:
    """The ties of a batch, and the frequencies with its independent rows.

    `fresh` (n,) are the new rows. Of rows that are tied one counts, in whatever order
    they come, so the second pass is free of the copies that the first has found.
    """
    groups = list(_groups(rows, known))
    position = np.argsort(np.argsort(words_of(SAME, rows), kind="stable"), kind="stable")
    tied = [np.zeros(len(g.one), dtype=np.bool_) for g in groups]
    counted = fresh
    for _pass in range(2):
        after = before.plus(rows.buckets[counted])
        found = [g.unexplained(rows, counted, after) for g in groups]
        tied = [old | new for old, new in zip(tied, found, strict=True)]
        counted = fresh.copy()
        for g, mask in zip(groups, tied, strict=True):
            counted[g.later(mask, position)] = False
    return _joined(groups, tied), before.plus(rows.buckets[counted])


def _groups(rows: Fingerprints, known: IndexedRows) -> Iterator[_Groups]:
    """Rows that share an agreement with another row or the index, for each agreement."""
    for part in PARTS:
        mine = _shared(rows.hashes[:, part], known.hashes[known.part == part])
        for agreement in (a for a in AGREEMENTS if a.part == part and len(mine)):
            words = words_of(agreement, rows.take(mine))
            found, one, of, count = np.unique(
                words, return_index=True, return_inverse=True, return_counts=True
            )
            sides = known.sides(agreement, found)
            several = (count > 1) | (sides > 0)
            number = np.where(several, np.cumsum(several) - 1, -1)[of]
            rows_of = number >= 0
            yield _Groups(
                agreement, mine[rows_of], number[rows_of], mine[one[several]], sides[several]
            )


def _shared(hashes: Words, stored: Words) -> Integers:
    """Positions of rows whose hash another row or the index has too."""
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.flatnonzero(among(hashes, np.concatenate([twice, stored])))


def _joined(groups: list[_Groups], tied: list[Mask]) -> Ties:
    row, group, sides, total = [_NONE], [_NONE], [_NONE], 0
    for g, mask in zip(groups, tied, strict=True):
        number = np.where(mask, np.cumsum(mask) - 1 + total, -1)[g.group]
        row.append(g.row[number >= 0])
        group.append(number[number >= 0])
        sides.append(g.sides[mask])
        total += int(mask.sum())
    return Ties(np.concatenate(row), np.concatenate(group), np.concatenate(sides))


def assign_tied_sides(tied: Ties, side: Sides, known: Mask, rank: Words) -> Sides:
    """Sides that agree with the ties, from those that rows have or were drawn; shape (n,).

    Known rows first, then those that the index ties, then the others, those with most ties first
    and else in the order of `rank` (n,): a new row takes the side of what it is tied to, and no
    row is used that is tied to both. A known row keeps its side, or is not used.
    """
    side = side.copy()
    rows, count = np.unique(tied.row, return_counts=True)
    turn = np.where(known[rows], 0, np.where(index_sides(tied, len(side))[rows] > 0, 1, 2))
    size = np.bincount(tied.group, minlength=len(tied.sides))
    most = -np.bincount(tied.row, weights=size[tied.group], minlength=len(side))
    groups = np.split(tied.group[np.argsort(tied.row, kind="stable")], np.cumsum(count)[:-1])
    sides = tied.sides.tolist()
    for i in np.lexsort((rank[rows], most[rows], turn)).tolist():
        own, mine, seen = int(side[rows[i]]), groups[i].tolist(), 0
        for group in mine:
            seen |= sides[group] & _USED
        if turn[i] == 0:
            own = NEITHER if own != NEITHER and seen & ~_BITS[own] else own
        elif seen:
            own = _OF_BITS[seen]
        if own != NEITHER:
            for group in mine:
                sides[group] |= _BITS[own]
        side[rows[i]] = own
    return side


def index_sides(tied: Ties, n: int) -> Integers:
    """Sides that the index ties each row to; shape (n,): bit 0 training, bit 1 test."""
    bits = np.zeros(n, dtype=np.int64)
    np.bitwise_or.at(bits, tied.row, tied.sides[tied.group] & _USED)
    return bits


# --- the leak proof -------------------------------------------------------------------------


Met = list[tuple[Mask, Mask]]


def shared_hashes(test: Fingerprints, train: Fingerprints) -> Met:
    """For each hash, the rows of either side whose hash occurs on the other side too."""
    found = []
    for part in PARTS:
        ours, theirs = test.hashes[:, part], train.hashes[:, part]
        in_train = among(theirs, ours)
        found.append((among(ours, theirs[in_train]), in_train))
    return found


def near_duplicates_in_training(
    test: Fingerprints, train: Fingerprints, met: Met, frequencies: Frequencies
) -> Mask:
    """Test rows that have a near-duplicate in training; shape (n,).

    `met` is their `shared_hashes`. An agreement that chance explains is no leak: `frequencies` are
    those of all rows that the split has seen, as `test` and `train` may be a part of them.
    """
    found = np.zeros(len(test), dtype=np.bool_)
    for agreement in AGREEMENTS:
        in_test, in_train = met[agreement.part]
        rows = np.flatnonzero(in_test)
        ours, theirs = (
            words_of(agreement, side.take(np.flatnonzero(chosen)))
            for side, chosen in ((test, in_test), (train, in_train))
        )
        rows = rows[among(ours, theirs)]
        one = np.ones(len(rows), dtype=np.int64)  # of the group is counted
        expected = frequencies.expected(agreement, test.buckets[rows], one)
        found[rows[expected < CERTAIN]] = True
    return found
