"""Index of the training districts: nearest ones, distances to them, their prices."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from housing.inference.columns import Columns
from housing.schema import COORDINATES, LOCATION

Floats = npt.NDArray[np.float64]


def flat(longitude: Floats, latitude: Floats) -> Floats:
    """Degrees as kilometres east and north, shape (n, 2)."""
    return LOCATION.flat(longitude, latitude) if LOCATION else np.zeros((len(longitude), 2))


@dataclass(frozen=True)
class TrainingIndex:
    """Training districts, m of them."""

    columns: Columns
    label: Floats  # US dollars, shape (m,)
    nearby: Floats | None  # typical out-of-fold residual around each, US dollars

    @cached_property
    def tree(self) -> Any:
        """A k-d tree over the flat coordinates; built at first use."""
        return cKDTree(flat(*(self.columns[name] for name in COORDINATES)))

    def nearby_at(self, nearest: npt.NDArray[np.int64]) -> Floats:
        """Typical residual around the training districts with these numbers."""
        if self.nearby is None:
            raise ValueError("this index has no residuals")
        return self.nearby[nearest]

    def nearest(self, location: Sequence[float], count: int) -> list[tuple[int, float]]:
        """Numbers and distances (km) of the training districts near a location, nearest first.

        `location` has the coordinates in catalogue order, degrees.
        """
        xy = flat(*(np.array([degrees]) for degrees in location))
        away, which = self.tree.query(xy, k=min(count, len(self.label)))
        return list(zip(np.ravel(which).tolist(), np.ravel(away).tolist(), strict=True))


def distances(index: TrainingIndex, columns: Columns) -> tuple[npt.NDArray[np.int64], Floats]:
    """Number of each row's nearest training district, and how far it is (km); shape (n,) each."""
    away, nearest = index.tree.query(flat(*(columns[name] for name in COORDINATES)))
    return nearest, away
