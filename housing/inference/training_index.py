"""Index of the training rows: nearest ones, distances to them, their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from housing.array_types import Floats, Integers
from housing.inference.columns import Columns
from housing.schema import FEATURES, LOCATION


def positions(columns: Columns) -> Floats:
    """Where each row lies, in the location's unit, shape (n, 2); one point without a location."""
    if LOCATION is None:
        return np.zeros((len(columns[FEATURES[0]]), 2))
    return LOCATION.flat(*(columns[name] for name in LOCATION.columns))


@dataclass(frozen=True)
class TrainingIndex:
    """Training rows, m of them; one without a location."""

    columns: Columns
    values: Floats  # of the target, shape (m,)
    nearby: Floats | None  # typical out-of-fold residual around each, in the target's unit

    @cached_property
    def tree(self) -> Any:
        """A k-d tree over the positions; built at first use."""
        return cKDTree(positions(self.columns))

    def nearby_at(self, nearest: Integers) -> Floats:
        """Typical residual around the training rows with these numbers."""
        if self.nearby is None:
            raise ValueError("this index has no residuals")
        return self.nearby[nearest]

    def nearest(self, location: Sequence[float], count: int) -> list[tuple[int, float]]:
        """Numbers and distances of the training rows near a location, nearest first.

        `location` has the coordinates in the location's order.
        """
        assert LOCATION is not None
        xy = LOCATION.flat(*(np.array([coordinate]) for coordinate in location))
        away, which = self.tree.query(xy, k=min(count, len(self.values)))
        return list(zip(np.ravel(which).tolist(), np.ravel(away).tolist(), strict=True))


def distances(index: TrainingIndex, columns: Columns) -> tuple[Integers, Floats]:
    """Number of each row's nearest training row, and its distance; shape (n,) each."""
    away, nearest = index.tree.query(positions(columns))
    return nearest, away
