"""Which agreements of rows chance explains: by the frequencies of values, not by how many agree.

Chance explains an agreement if unrelated rows would often share it. Were the columns independent,
a row would agree by chance with as many rows as the product of the frequencies of its values, times
the number of rows. Columns are dependent and agree more often, so one expected row in a thousand
counts as chance. In a table of fine values the product is smaller by many orders of magnitude,
whatever the number of copies of a row: copies do not count in the frequencies.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from housing.array_types import Floats, Integers
from housing.training.fingerprints import BUCKETS, VALUES, Agreement

CHANCE = 1e-3
"""Rows expected to share an agreement from which on chance explains it."""

CERTAIN = CHANCE / 10
"""The same for rows whose sides are given: frequencies change a little as rows are added, and an
agreement by chance at the time of the split is no leak afterwards."""


@dataclass(frozen=True, eq=False)
class Frequencies:
    """How many independent rows have each value, by buckets of values; shape (10, 4096)."""

    counts: Integers

    @classmethod
    def none(cls) -> "Frequencies":
        """Of no rows."""
        return cls(np.zeros((len(VALUES), BUCKETS), dtype=np.int64))

    def plus(self, buckets: npt.NDArray[np.uint16]) -> "Frequencies":
        """With more rows, given as their buckets, shape (n, 10)."""
        new = [np.bincount(column, minlength=BUCKETS) for column in buckets.T]
        return Frequencies(self.counts + np.array(new))

    def expected(
        self,
        agreement: Agreement,
        buckets: npt.NDArray[np.uint16],
        own: Integers,
    ) -> Floats:
        """Rows that would share an agreement by chance; shape (m,), as `buckets` (m, 10) and `own`.

        `own` are the rows that do share it and are counted in the frequencies: they are no evidence
        about chance and are left out.
        """
        rows = np.maximum(self.counts[0].sum() - own, 0).astype(np.float64)
        product: Floats = rows.copy()
        for place, name in enumerate(VALUES):
            if name != agreement.left_out:
                count = np.maximum(self.counts[place, buckets[:, place]] - own, 0)
                product *= count / np.maximum(rows, 1)
        return product
