"""Compares the rows of a delivery with those of the dataset: new, changed or unchanged.

A row is known by its key, and it is compared with the newest row of that key in the active dataset
and in the batches that wait to enter it. The split ledger answers whether a key has ever been
seen, so a delivery of new rows reads no segment.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.keys import KEY_COLUMN, Keys
from housing.store.data import datasets
from housing.store.data.segments import get_table, to_frame
from housing.store.database import bulk
from housing.store.database.engine import Store
from housing.training.fingerprints import VALUES, row_words

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowStatus:
    """Numbers of new, changed and unchanged rows, which add up to a delivery's accepted rows."""

    basis: tuple[int, ...]  # batches that they were compared with, in reading order
    new: int
    changed: int
    unchanged: int
    lacking: Mask = field(compare=False, repr=False)  # which rows are new or changed, shape (n,)

    @property
    def changes_nothing(self) -> bool:
        """Whether every row is in the dataset as it is."""
        return self.new == self.changed == 0

    @property
    def message(self) -> str:
        """The known rows in words; empty where there are none."""
        if not self.changed and not self.unchanged:
            return ""
        if self.changes_nothing:
            return "every accepted row is in the dataset as it is: no new version"
        corrections = f"{self.changed:,} correction{'s' * (self.changed != 1)}"
        return f"{self.new:,} new, {corrections}, {self.unchanged:,} known unchanged"


@dataclass(frozen=True)
class CurrentRows:
    """The rows of the dataset now, for one ingestion: the keys of each segment are read once."""

    store: Store
    keys: dict[str, Keys] = field(default_factory=dict)  # by digest of the segment

    def compare(self, frame: pd.DataFrame) -> RowStatus:
        """Compare accepted rows (catalogue columns and `key`, each key once) with the dataset's."""
        ours = frame[KEY_COLUMN].to_numpy()
        with self.store.read() as connection:
            basis = datasets.basis(connection)
            parts = datasets.parts(connection, basis)
            seen = np.isin(ours, bulk.known_sides(connection, ours)[0])
        left, changed = np.ones(len(ours), dtype=np.bool_), np.zeros(len(ours), dtype=np.bool_)
        for part in reversed(parts):  # the newest row of a key counts
            wanted = left if part.sides is None else left & seen
            if not wanted.any():
                continue
            hits = np.flatnonzero(np.isin(self._keys(part.segment), ours[wanted]))
            if len(hits):
                rows, differ = self._differing(part.segment, hits, frame)
                left[rows], changed[rows] = False, differ
        counts = int(left.sum()), int(changed.sum())
        return RowStatus(basis, *counts, len(ours) - sum(counts), left | changed)

    def _keys(self, segment: str) -> Keys:
        if segment not in self.keys:
            column = get_table(self.store, segment, (KEY_COLUMN,))[KEY_COLUMN]
            self.keys[segment] = column.to_numpy()
        return self.keys[segment]

    def _differing(
        self, segment: str, hits: npt.NDArray[np.int64], frame: pd.DataFrame
    ) -> tuple[npt.NDArray[np.int64], Mask]:
        """Rows of `frame` that the segment has at `hits`, and which of these differ there."""
        rows = pd.Index(frame[KEY_COLUMN]).get_indexer(self._keys(segment)[hits])
        theirs = to_frame(get_table(self.store, segment, VALUES).take(hits))
        return rows, row_words(frame.iloc[rows]) != row_words(theirs)
