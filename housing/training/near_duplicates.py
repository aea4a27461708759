"""Near-duplicates on the same side of the split: which rows are tied, and what follows of it.

What near-duplicates are is in `training.fingerprints`. Ties are pairwise: no row is tied to
another by way of a third.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.training.fingerprints import (
    AGREEMENTS,
    NEITHER,
    PARTS,
    TEST,
    TRAIN,
    Agreement,
    Entries,
    Fingerprints,
    Mask,
    Sides,
    Words,
    agreement_words,
    common_hashes,
    common_words,
    entries,
    joined,
)

# --- ties of a batch ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ties:
    """Which rows of a batch share rare agreements, with one another or with the index.

    `row` and `group` (k,) are the pairs of a row and a rare agreement that it has; `sides` (g,)
    what the index has of each: bit 0 for training, bit 1 for test.
    """

    row: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]
    sides: npt.NDArray[np.int64]


def known_copies(rows: Fingerprints, index: Entries) -> npt.NDArray[np.int64]:
    """Sides on which the index has rows equal to these; shape (n,): 0 none, bits 0 training,
    1 test, 2 neither.
    """
    same, own = AGREEMENTS[0], index.of(AGREEMENTS[0].part)
    theirs, of = np.unique(agreement_words(same, own.hashes, own.rest), return_inverse=True)
    mine = agreement_words(same, rows.hashes[:, same.part], rows.rest[:, same.part])
    if not len(theirs):
        return np.zeros(len(rows), dtype=np.int64)
    bits = np.zeros(len(theirs), dtype=np.int64)
    np.bitwise_or.at(bits, of, np.array([1, 2, 4])[own.side])
    at = np.minimum(np.searchsorted(theirs, mine), len(theirs) - 1)
    return np.where(theirs[at] == mine, bits[at], 0)


def ties(rows: Fingerprints, counts: Mask, index: Entries, delivery: int) -> Ties:
    """The ties of a batch. `counts` (n,) are the rows that count among those that agree."""
    row, group, sides, groups = [_NONE], [_NONE], [_NONE], 0
    for part in PARTS:
        stored = index.of(part)
        mine = _shared(rows.hashes[:, part], stored.hashes)
        if not len(mine):
            continue
        own = entries(rows.take(mine), part, np.full(len(mine), NEITHER, np.int8), delivery)
        counted = joined([stored, own.take(counts[mine])])
        crowded = common_hashes(counted)
        use = ~np.isin(own.hashes, crowded)
        mine, own = mine[use], own.take(use)
        stored, counted = (e.take(~np.isin(e.hashes, crowded)) for e in (stored, counted))
        for agreement in (a for a in AGREEMENTS if a.part == part):
            words = agreement_words(agreement, own.hashes, own.rest)
            shared, of = _rare_groups(agreement, words, stored, counted)
            tied = of >= 0
            row.append(mine[tied])
            group.append(of[tied] + groups)
            sides.append(shared)
            groups += len(shared)
    return Ties(np.concatenate(row), np.concatenate(group), np.concatenate(sides))


_NONE = np.empty(0, dtype=np.int64)


def _shared(hashes: Words, stored: Words) -> npt.NDArray[np.int64]:
    """Positions of rows whose hash another row or the index has too."""
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice) and not len(stored):
        return _NONE
    return np.flatnonzero(np.isin(hashes, np.concatenate([twice, stored])))


def _rare_groups(
    agreement: Agreement, words: Words, stored: Entries, counted: Entries
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sides that the index has of each rare group of two or more; the group of each row, or -1."""
    theirs = agreement_words(agreement, stored.hashes, stored.rest)
    everything = np.concatenate([words, theirs])
    found, of, count = np.unique(everything, return_inverse=True, return_counts=True)
    rare = (count > 1) & ~np.isin(found, common_words(agreement, counted))
    sides = np.zeros(len(found), dtype=np.int64)
    np.bitwise_or.at(sides, of[len(words) :], np.array(_BITS)[stored.side])
    number = np.where(rare, np.cumsum(rare) - 1, -1)
    return sides[rare], number[of[: len(words)]]


_BITS = (1, 2, 0)  # of TRAIN, TEST and, as the last, NEITHER
_OF_BITS = (NEITHER, TRAIN, TEST, NEITHER)  # none, one side, the other, both


def settled(tied: Ties, side: Sides, known: Mask, rank: Words) -> Sides:
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
            seen |= sides[group]
        if turn[i] == 0:
            own = NEITHER if own != NEITHER and seen & ~_BITS[own] else own
        elif seen:
            own = _OF_BITS[seen]
        if own != NEITHER:
            for group in mine:
                sides[group] |= _BITS[own]
        side[rows[i]] = own
    return side


def index_sides(tied: Ties, n: int) -> npt.NDArray[np.int64]:
    """Sides that the index ties each row to; shape (n,): bit 0 training, bit 1 test."""
    bits = np.zeros(n, dtype=np.int64)
    np.bitwise_or.at(bits, tied.row, tied.sides[tied.group])
    return bits


# --- the leak proof -------------------------------------------------------------------------


Met = list[tuple[Mask, Mask]]


def meeting(test: Fingerprints, train: Fingerprints) -> Met:
    """For each hash, the rows of either side whose hash the other side has too."""
    found = []
    for part in PARTS:
        ours, theirs = test.hashes[:, part], train.hashes[:, part]
        in_train = pd.Series(theirs).isin(ours).to_numpy()  # a hash table: numpy would sort
        found.append((np.isin(ours, theirs[in_train]), in_train))
    return found


def straddling(test: Fingerprints, train: Fingerprints, met: Met, index: Entries) -> Mask:
    """Test rows that have a near-duplicate in training; shape (n,).

    `met` is their `meeting`, and `index` what the split has under these hashes: whether an
    agreement is rare is for it to say, since here may be a part of the rows alone.
    """
    found = np.zeros(len(test), dtype=np.bool_)
    for part, (in_test, in_train) in enumerate(met):
        known = index.of(part)
        crowded = common_hashes(known)
        in_test = in_test & ~np.isin(test.hashes[:, part], crowded)
        rows = np.flatnonzero(in_test)
        for agreement in (a for a in AGREEMENTS if a.part == part):
            ours, theirs = (
                agreement_words(agreement, side.hashes[chosen, part], side.rest[chosen, part])
                for side, chosen in ((test, in_test), (train, in_train))
            )
            rare = ~np.isin(ours, common_words(agreement, known))
            found[rows[rare & np.isin(ours, theirs)]] = True
    return found
