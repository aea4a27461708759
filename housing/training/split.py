"""Which side a district falls on: decided once, stratified, and independent of all but its key.

Pure arithmetic on columns; the ledger that remembers the sides is `store.split`. Within a
stratum the test side gets exactly as many of the new districts as bring its share nearest to
the target, lowest keyed hash first - so a batch's row order, the machine and the batches of
other strata do not matter, and a side once given is never asked for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.keys import Keys, keyed_hash
from housing.schema import STRATA


@dataclass(frozen=True)
class StratumCount:
    """Districts that a stratum has ever had, and how many of them are on the test side."""

    keys: int
    test_keys: int


@dataclass(frozen=True)
class SplitRule:
    """Share of districts on the test side, and the seed of the order in which they are taken."""

    test_share: float
    seed: int


def strata(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Stratum of each row as one code, shape (n,): the groups of `schema.STRATA` crossed."""
    code = np.zeros(len(frame), dtype=np.int64)
    for grouping in STRATA:
        code = code * len(grouping.names()) + grouping.codes(frame)
    return code


def stratum_name(code: int) -> str:
    """A stratum as people read it."""
    parts = []
    for grouping in reversed(STRATA):
        code, level = divmod(code, len(grouping.names()))
        parts.append(f"{grouping.column} {grouping.names()[level]}")
    return ", ".join(reversed(parts))


def assign(
    keys: Keys,
    stratum: npt.NDArray[np.int64],
    seen: Mapping[int, StratumCount],
    rule: SplitRule,
) -> npt.NDArray[np.bool_]:
    """Sides of districts never seen before: True is test; shape (n,).

    `keys` (n,) must be distinct and new, `stratum` (n,) their strata, `seen` what each stratum
    already has.
    """
    rank = keyed_hash(keys, rule.seed)
    order = np.lexsort((keys, rank, stratum))
    present, start, count = np.unique(stratum[order], return_index=True, return_counts=True)
    quota = np.array(
        [
            _quota(seen.get(int(s)), int(n), rule.test_share)
            for s, n in zip(present, count, strict=True)
        ],
        dtype=np.int64,
    )
    place_in_stratum = np.arange(len(keys)) - np.repeat(start, count)
    test = np.empty(len(keys), dtype=np.bool_)
    test[order] = place_in_stratum < np.repeat(quota, count)
    return test


def _quota(seen: StratumCount | None, new: int, share: float) -> int:
    """How many of `new` districts go to the test side; ties of rounding go to training."""
    before = seen or StratumCount(0, 0)
    wanted = np.ceil(share * (before.keys + new) - 0.5) - before.test_keys
    return int(np.clip(wanted, 0, new))


def counts(stratum: npt.NDArray[np.int64], test: npt.NDArray[np.bool_]) -> dict[int, StratumCount]:
    """How many districts, and how many on the test side, each stratum got."""
    present, inverse = np.unique(stratum, return_inverse=True)
    total = np.bincount(inverse, minlength=len(present))
    tested = np.bincount(inverse, weights=test, minlength=len(present)).astype(np.int64)
    return {
        int(code): StratumCount(int(n), int(t))
        for code, n, t in zip(present, total, tested, strict=True)
    }
