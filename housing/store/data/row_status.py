"""Compares the rows of a delivery with those of the dataset: new, changed or unchanged.

A row is known by its key, and it is compared with the newest row of that key in the active dataset
and in the batches that wait to enter it. The split ledger answers whether a key has ever been
seen, so a delivery of new rows reads no segment.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.array_types import Mask
from housing.keys import KEY_COLUMN, Keys, among
from housing.store.data import datasets
from housing.store.data.parts import Part, read
from housing.store.data.parts import parts as parts_of
from housing.store.data.segments import to_frame
from housing.store.database import bulk
from housing.store.database.engine import Store
from housing.training.fingerprints import VALUES, row_words


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
    """The rows of the dataset now, for one ingestion: the keys of each part are read once."""

    store: Store
    keys: dict[Part, Keys] = field(default_factory=dict)

    def compare(self, frame: pd.DataFrame) -> RowStatus:
        """Compare accepted rows (catalogue columns and `key`, each key once) with the dataset's."""
        ours = frame[KEY_COLUMN].to_numpy()
        with self.store.read() as connection:
            basis = datasets.basis(connection)
            parts = parts_of(connection, basis)
            seen = among(ours, bulk.known_sides(connection, ours)[0])
        left, changed = np.ones(len(ours), dtype=np.bool_), np.zeros(len(ours), dtype=np.bool_)
        for part in reversed(parts):  # the newest row of a key counts
            wanted = left & seen if part.is_split else left
            if not wanted.any():
                continue
            keys = self._keys(part)
            hits = np.flatnonzero(among(keys, ours[wanted]))
            hits = hits[~pd.Series(keys[hits]).duplicated(keep="last").to_numpy()]
            if len(hits):
                rows, differ = self._differing(part, hits, frame)
                left[rows], changed[rows] = False, differ
        counts = int(left.sum()), int(changed.sum())
        return RowStatus(basis, *counts, len(ours) - sum(counts), left | changed)

    def _keys(self, part: Part) -> Keys:
        if part not in self.keys:
            self.keys[part] = read(self.store, part, (KEY_COLUMN,))[KEY_COLUMN].to_numpy()
        return self.keys[part]

    def _differing(
        self, part: Part, hits: npt.NDArray[np.int64], frame: pd.DataFrame
    ) -> tuple[npt.NDArray[np.int64], Mask]:
        """Rows of `frame` that the part has at `hits`, and which of these differ there."""
        rows = pd.Index(frame[KEY_COLUMN]).get_indexer(self._keys(part)[hits])
        theirs = to_frame(read(self.store, part, VALUES).take(hits))
        return rows, row_words(frame.iloc[rows]) != row_words(theirs)
