"""Numbers rounded to float32: last bits, which another library or unit may change, decide nothing.

Trees cut between two training values however near each other they are; unrounded, they learn the
noise of arithmetic.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer

from housing.array_types import Floats


def to_float32(values: npt.ArrayLike) -> Floats:
    """Values with float32's 24 significant bits, as float64; infinite beyond float32's range."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32).astype(np.float64)


class RoundedColumns(ColumnTransformer):  # type: ignore[misc]
    """A ColumnTransformer whose features are rounded to float32."""

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Floats:
        """Fit all transformers; rounded features of X, shape (n, features)."""
        return to_float32(super().fit_transform(X, y, **params))

    def transform(self, X: Any, **params: Any) -> Floats:
        """Rounded features of X, shape (n, features)."""
        return to_float32(super().transform(X, **params))
