"""Which side a row falls on: decided once, stratified, by its key and its near-duplicates.

Pure arithmetic on columns; `store.data.split` records the sides. Within a
stratum the lowest keyed hashes go to the test side, as many as keep its share at the target, so a
batch's row order, the machine and the batches of other strata do not matter. Near-duplicates
(`training.near_duplicates`) are on one side, and a side once given stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from housing.array_types import Integers, Mask
from housing.keys import Keys, keyed_hash, mix
from housing.schema import CATALOGUE, TABLE
from housing.training.fingerprints import NEITHER, TEST, TRAIN, Sides
from housing.training.near_duplicates import Ties, assign_tied_sides, index_sides


@dataclass(frozen=True)
class StratumCount:
    """Rows of a stratum that have a side, and how many of them are on the test side."""

    keys: int
    test_keys: int


@dataclass(frozen=True)
class SplitRule:
    """Share of rows on the test side, and the seed of the order in which they are taken."""

    test_share: float
    seed: int


def strata(frame: pd.DataFrame) -> Integers:
    """Stratum of each row as one code, shape (n,): the groups of `Table.strata` crossed."""
    code = np.zeros(len(frame), dtype=np.int64)
    for grouping in TABLE.strata:
        code = code * len(grouping.names()) + grouping.codes(frame)
    return code


def stratum_name(code: int) -> str:
    """The name of a stratum in reports."""
    parts = []
    for grouping in reversed(TABLE.strata):
        code, level = divmod(code, len(grouping.names()))
        parts.append(f"{CATALOGUE[grouping.column].label} {grouping.names()[level]}")
    return ", ".join(reversed(parts))


def assign(
    keys: Keys,
    stratum: Integers,
    seen: Mapping[int, StratumCount],
    rule: SplitRule,
) -> Mask:
    """Sides of rows never seen before: True is test; shape (n,).

    `keys` (n,) must be distinct and new, `stratum` (n,) their strata, `seen` what each stratum
    already has.
    """
    rank = keyed_hash(keys, rule.seed)
    order = np.lexsort((keys, rank, stratum))
    present, start, count = np.unique(stratum[order], return_index=True, return_counts=True)
    uniform = mix(rank[order][start] + np.uint64(1)) / 2.0**64  # of the keys alone
    quota = np.array(
        [
            _quota(seen.get(int(s)), int(n), rule.test_share, float(u))
            for s, n, u in zip(present, count, uniform, strict=True)
        ],
        dtype=np.int64,
    )
    place_in_stratum = np.arange(len(keys)) - np.repeat(start, count)
    test = np.empty(len(keys), dtype=np.bool_)
    test[order] = place_in_stratum < np.repeat(quota, count)
    return test


def _quota(seen: StratumCount | None, new: int, share: float, u: float) -> int:
    """How many of `new` rows go to the test side; `u` in [0, 1) decides the rounding.

    Of what the stratum lacks, a quarter of the first row is made up for, and all beyond it.
    Would all be, then of rows that come one by one each fifth were a test row: always the
    Friday's, where there is one a working day.
    """
    before = seen or StratumCount(0, 0)
    lacking = share * before.keys - before.test_keys
    lacking -= 0.75 * np.clip(lacking, -1.0, 1.0)
    return int(np.clip(np.floor(share * new + lacking + u), 0, new))


@dataclass(frozen=True, eq=False)
class BatchRows:
    """Rows of a batch; shape (n,) each. `recorded` is the side that a known key has."""

    keys: Keys
    stratum: Integers
    known: Mask
    recorded: Sides


def split_rows(
    rows: BatchRows, tied: Ties, seen: Mapping[int, StratumCount], rule: SplitRule
) -> Sides:
    """The side of each row of a batch, shape (n,): TEST, TRAIN, or NEITHER for one not to be used.

    A known row keeps its side and a new one takes that of its near-duplicate; a row with
    near-duplicates on both sides is used on neither. The other new rows are drawn.
    """
    in_index = index_sides(tied, len(rows.keys))
    side = np.where(rows.known, rows.recorded, NEITHER).astype(np.int8)
    side[~rows.known & (in_index == 1)] = TRAIN
    side[~rows.known & (in_index == 2)] = TEST
    drawn = ~rows.known & (in_index == 0)
    fixed = ~rows.known & ~drawn & (side != NEITHER)
    seen = added(seen, counts(rows.stratum[fixed], side[fixed] == TEST))
    test = assign(rows.keys[drawn], rows.stratum[drawn], seen, rule)
    side[drawn] = np.where(test, TEST, TRAIN)
    # Another order than the draw's: else of two rows the likelier test row would lead.
    return assign_tied_sides(tied, side, rows.known, mix(keyed_hash(rows.keys, rule.seed)))


def added(
    one: Mapping[int, StratumCount], other: Mapping[int, StratumCount]
) -> dict[int, StratumCount]:
    """Both counts together, stratum by stratum."""
    none = StratumCount(0, 0)
    pairs = {code: (one.get(code, none), other.get(code, none)) for code in {*one, *other}}
    return {
        code: StratumCount(a.keys + b.keys, a.test_keys + b.test_keys)
        for code, (a, b) in pairs.items()
    }


def counts(stratum: Integers, test: Mask) -> dict[int, StratumCount]:
    """How many rows, and how many on the test side, each stratum got."""
    present, inverse = np.unique(stratum, return_inverse=True)
    total = np.bincount(inverse, minlength=len(present))
    tested = np.bincount(inverse, weights=test, minlength=len(present)).astype(np.int64)
    return {
        int(code): StratumCount(int(n), int(t))
        for code, n, t in zip(present, total, tested, strict=True)
    }
