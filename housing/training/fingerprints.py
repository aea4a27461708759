"""What rows agree in: hashes that find near-duplicates.

Near-duplicates are two rows that agree in all values, the inputs and the label, but at most one.
Values count at the resolution of the catalogue, and a missing value is a value. What rows share
that agree in all values but one (or in all) is an agreement; whether chance explains it is for
`training.chance`. Rows have three hashes or more, each without some of the values, so that rows
that differ in one value share the hash without it; beside each hash are the values that it leaves
out. Pure arithmetic: `store.data.near_duplicate_lookup` remembers the hashes,
`training.near_duplicates` decides by them.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.array_types import Floats, Integers
from housing.keys import mix
from housing.schema import CATALOGUE, FEATURES, TARGET

Words = npt.NDArray[np.uint64]
Sides = npt.NDArray[np.int8]
TRAIN, TEST, NEITHER = 0, 1, -1

VALUES = (*FEATURES, TARGET)
"""Columns whose values are the content of a row; its key is not."""

BUCKET_BITS = 12
BUCKETS = 2**BUCKET_BITS
"""Into which the values of a column are dealt by their hash, to count how frequent they are."""

LEFT_OUT_AT_MOST = 8
"""Values that a hash leaves out: each is kept as 64 / 8 bits beside it."""

_MISSING = np.iinfo(np.int64).min
_WORD = 64


def _values(name: str) -> float:
    """How many values a column can take, where the catalogue has its resolution."""
    column = CATALOGUE[name]
    if column.kind == "category":
        return float(len(column.categories))
    if column.minimum is None or column.maximum is None or column.resolution is None:
        return 0.0
    return (column.maximum - column.minimum) / column.resolution


_FINE = max(FEATURES, key=_values)  # distinguishes most rows, so all hashes but one cover it
_OTHERS = tuple(name for name in FEATURES if name != _FINE)
_HASHES = max(2, -(-len(_OTHERS) // LEFT_OUT_AT_MOST))
LEFT_OUT: tuple[tuple[str, ...], ...] = (
    *filter(None, (_OTHERS[part::_HASHES] for part in range(_HASHES))),
    (_FINE, TARGET),
)
"""Values that each hash leaves out."""

PARTS = range(len(LEFT_OUT))


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What rows agree in: shape (n, hashes), one column a hash.

    `hashes` cover the values that are not left out; `rest` holds the left-out ones, each cut to
    64 / k bits where there are k of them. `buckets`, shape (n, values), are those of the values.
    """

    hashes: Words
    rest: Words
    buckets: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.hashes)

    def take(self, rows: npt.NDArray[Any]) -> "Fingerprints":
        """Some of the rows."""
        return Fingerprints(self.hashes[rows], self.rest[rows], self.buckets[rows])


def fingerprints(frame: pd.DataFrame) -> Fingerprints:
    """Fingerprints of rows with all inputs and the label; shape (n, hashes)."""
    words = {name: _words(frame, name) for name in VALUES}
    buckets = np.empty((len(frame), len(VALUES)), dtype=np.uint16)
    for place, word in enumerate(words.values()):
        buckets[:, place] = word >> np.uint64(_WORD - BUCKET_BITS)
    everything = sum(words.values(), np.zeros(len(frame), dtype=np.uint64))
    hashes = np.empty((len(frame), len(LEFT_OUT)), dtype=np.uint64)
    rest = np.zeros_like(hashes)
    for part, names in enumerate(LEFT_OUT):
        covered = everything.copy()
        width = _WORD // len(names)
        for field, name in enumerate(names):
            covered -= words[name]
            cut = words[name] >> np.uint64(_WORD - width)
            rest[:, part] |= cut << np.uint64(field * width)
        hashes[:, part] = mix(covered + np.uint64(part + 1))
    return Fingerprints(hashes, rest, buckets)


def row_words(frame: pd.DataFrame) -> Words:
    """One word for each row, the same for rows of equal inputs and label; shape (n,)."""
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in VALUES:
        total += _words(frame, name)
    return mix(total)


def _words(frame: pd.DataFrame, name: str) -> Words:
    """One pseudo-random word for each value of a column; shape (n,)."""
    column = CATALOGUE[name]
    if column.kind == "category":
        codes = frame[name].astype(pd.CategoricalDtype(list(column.categories))).cat.codes
        levels = np.array([_MISSING, *map(_salt, column.categories)], dtype=np.int64)
        steps = levels[codes.to_numpy() + 1]
    else:
        values = frame[name].to_numpy(dtype=np.float64)
        known = np.isfinite(values)
        steps = np.full(len(values), _MISSING, dtype=np.int64)
        steps[known] = _steps(values[known], column.resolution)
    salt = np.array([_salt(name)], dtype=np.int64).view(np.uint64)
    return mix(steps.view(np.uint64) ^ salt)


def _steps(values: Floats, resolution: float | None) -> Integers:
    """Numbers at their resolution; without one to the seven digits of a 32-bit number."""
    if resolution is None:
        short = values.astype(np.float32) + np.float32(0)  # one zero
        return short.view(np.int32).astype(np.int64)
    return np.rint(values / resolution).astype(np.int64)


def _salt(text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"agreement").digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True)
class Agreement:
    """All values but one (or all): the hash that covers most, and what counts of its rest."""

    part: int
    counts: int  # bits of the rest that must be equal
    left_out: str | None  # the column, or None for all values


def _agreements() -> tuple[Agreement, ...]:
    every = 2**_WORD - 1
    found = [Agreement(len(LEFT_OUT) - 1, every, None)]
    for part, names in enumerate(LEFT_OUT):
        width = _WORD // len(names)
        for field, name in enumerate(names):
            own = ((1 << width) - 1) << (field * width)
            found.append(Agreement(part, every ^ own, name))
    return tuple(found)


AGREEMENTS = _agreements()
SAME = AGREEMENTS[0]
"""That of rows which agree in all values."""


def agreement_words(agreement: Agreement, hashes: Words, rest: Words) -> Words:
    """One word a row, equal for rows that have this agreement; shape (n,)."""
    return mix(hashes ^ mix(rest & np.uint64(agreement.counts)))


def words_of(agreement: Agreement, rows: Fingerprints) -> Words:
    """The same of rows; shape (n,)."""
    return agreement_words(agreement, rows.hashes[:, agreement.part], rows.rest[:, agreement.part])
