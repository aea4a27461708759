"""CatBoost as the search and the store need a regressor; needs the extra `catboost`.

Its trees are symmetric: all nodes of a level ask the same question, so a row's leaf is a number of
as many bits as the tree has levels, and many rows are predicted at once.
"""

from typing import Any, Self

import numpy as np
from catboost import CatBoostRegressor

from housing.array_types import Floats


class SymmetricTrees(CatBoostRegressor):  # type: ignore[misc]
    """CatBoost on one thread. The bytes of a fitted model depend on its rows and parameters alone.

    CatBoost stores the time of the fit, a random identifier and the folder with each model; no
    prediction uses them, so they are deleted.
    """

    def fit(self, X: Any, y: Any, **options: Any) -> Self:
        """Fit on features, shape (rows, columns), and the target, shape (rows,)."""
        super().fit(X, y, **options)
        described = self.get_metadata()
        for name in list(described):
            del described[name]
        return self

    def predict(self, X: Any, *unused: Any, **options: Any) -> Floats:
        """Predictions, shape (rows,), on one thread unless `thread_count` is given."""
        found = super().predict(X, *unused, **{"thread_count": 1, **options})
        return np.asarray(found, dtype=np.float64)
