"""Where the training districts are: distances to them, and what they cost.

Coordinates are laid flat (kilometres) around the middle of the table, which is exact to a few
per cent over a state: good enough to say near or far. Not here: what is done about a far place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from housing.inference.columns import Columns
from housing.schema import CATALOGUE, COORDINATES

Floats = npt.NDArray[np.float64]

KM_PER_DEGREE = 111.2
_LATITUDE = CATALOGUE[COORDINATES[1]]
_MIDDLE = ((_LATITUDE.minimum or 0.0) + (_LATITUDE.maximum or 0.0)) / 2
_SHRINK = float(np.cos(np.radians(_MIDDLE)))


def flat(longitude: Floats, latitude: Floats) -> Floats:
    """Degrees as kilometres east and north, shape (n, 2)."""
    return np.column_stack([longitude * _SHRINK, latitude]) * KM_PER_DEGREE


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

    def around(self, place: Sequence[float], count: int) -> list[tuple[int, float]]:
        """Numbers and distances (km) of the training districts nearest to a place, nearest first.

        `place` has the coordinates in catalogue order, degrees.
        """
        xy = flat(*(np.array([degrees]) for degrees in place))
        away, which = self.tree.query(xy, k=min(count, len(self.label)))
        return list(zip(np.ravel(which).tolist(), np.ravel(away).tolist(), strict=True))


def distances(index: TrainingIndex, columns: Columns) -> tuple[npt.NDArray[np.int64], Floats]:
    """Number of each row's nearest training district, and how far it is (km); shape (n,) each."""
    away, nearest = index.tree.query(flat(*(columns[name] for name in COORDINATES)))
    return nearest, away
