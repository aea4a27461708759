"""How the rows of a delivery stand to the rows that the dataset has: new, changed or the same.

A row is known by its key, and it is compared with the newest row of that key in the active dataset
and in the batches that wait to enter it. The split ledger answers whether a key has ever been
seen, so a delivery of new rows reads no segment.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.keys import Keys
from housing.store import bulk, datasets
from housing.store.engine import Store
from housing.store.segments import KEY_COLUMN, get_table, to_frame
from housing.store.tables import batches, split_parts

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Standing:
    """Rows of a delivery by how they stand; they add up to its accepted rows."""

    basis: tuple[int, ...]  # batches that they were compared with, in reading order
    new: int
    changed: int
    unchanged: int

    @property
    def says_nothing(self) -> bool:
        """Whether every row is in the dataset as it is."""
        return self.new == self.changed == 0

    @property
    def sentence(self) -> str:
        """The known rows in words; empty where there are none."""
        if not self.changed and not self.unchanged:
            return ""
        if self.says_nothing:
            return "every accepted row is in the dataset as it is: no new version"
        return f"{self.new:,} new, {self.changed:,} corrections, {self.unchanged:,} known unchanged"


def compare(store: Store, frame: pd.DataFrame) -> Standing:
    """Compare accepted rows (catalogue columns and `key`, each key once) with the present ones."""
    keys = frame[KEY_COLUMN].to_numpy()
    with store.read() as connection:
        basis = datasets.basis(connection)
        parts = _parts(connection, basis)
        seen = np.isin(keys, bulk.known_sides(connection, keys)[0])
    left, changed = np.ones(len(keys), dtype=np.bool_), 0
    for part in reversed(parts):  # the newest row of a key counts
        wanted = left if part.sides is None else left & seen
        if not wanted.any():
            continue
        rows, differ = _differing(store, part.segment, frame, wanted)
        left[rows] = False
        changed += int(differ.sum())
    new = int(left.sum())
    return Standing(basis, new, changed, len(keys) - new - changed)


def _parts(connection: Connection, basis: tuple[int, ...]) -> list[Row[Any]]:
    """Segment of each batch and its sides, which are None while its keys are in no ledger."""
    query = (
        sa.select(batches.c.id, batches.c.segment, split_parts.c.sides)
        .join(split_parts, split_parts.c.batch == batches.c.id, isouter=True)
        .where(batches.c.id.in_(basis))
    )
    found = {row.id: row for row in connection.execute(query)}
    return [found[batch] for batch in basis]


def _differing(
    store: Store, segment: str, frame: pd.DataFrame, wanted: Mask
) -> tuple[npt.NDArray[np.int64], Mask]:
    """Which of the wanted rows of `frame` the segment has, and which of these differ there."""
    there: Keys = get_table(store, segment, (KEY_COLUMN,))[KEY_COLUMN].to_numpy()
    keys = frame[KEY_COLUMN].to_numpy()
    hits = np.flatnonzero(np.isin(there, keys[wanted]))
    if not len(hits):
        return hits, np.zeros(0, dtype=np.bool_)
    order = np.argsort(keys)
    rows = order[np.searchsorted(keys, there[hits], sorter=order)]
    names = list(schema.CATALOGUE)
    theirs = to_frame(get_table(store, segment, names).take(hits))
    ours = frame[names].iloc[rows]
    differ = np.zeros(len(rows), dtype=np.bool_)
    for name in names:
        differ |= ~_equal(ours[name], theirs[name])
    return rows, differ


def _equal(ours: pd.Series, theirs: pd.Series) -> Mask:
    if isinstance(theirs.dtype, pd.CategoricalDtype):
        codes = ours.astype(theirs.dtype).cat.codes.to_numpy()
        return np.asarray(codes == theirs.cat.codes.to_numpy(), dtype=np.bool_)
    a, b = ours.to_numpy(), theirs.to_numpy()
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)), dtype=np.bool_)
