"""Transformers of coordinates that learn from the training rows.

Each learns in `fit` only, so that a cross-validation fold never sees the rows it is scored on.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from housing.array_types import Floats


class ClusterSimilarity(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """RBF similarity of each place to the centres of KMeans clusters.

    Shapes: (n, d) coordinates to (n, n_clusters_) similarities in [0, 1].

    n_clusters: how many centres; never more than there are rows.
    gamma: of the kernel exp(-gamma * squared distance); per squared unit of the coordinates.
    label_weights: weigh rows by their label, so that centres move to where labels are high.
    n_init: KMeans starts; the best one is used.

    Distances are summed coordinate by coordinate rather than through a matrix product, so a row
    gets the same value, to the bit, alone and in a batch.
    After Géron, Hands-On Machine Learning, chapter 2.
    """

    def __init__(
        self,
        n_clusters: int = 10,
        gamma: float = 1.0,
        label_weights: bool = False,
        n_init: int = 10,
        random_state: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.gamma = gamma
        self.label_weights = label_weights
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the centres; `y` (shape (n,), none negative) is used with `label_weights` only.

        Raises ValueError where labels are wanted and are missing or negative.
        """
        if self.label_weights:
            X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
            if y.min() < 0:
                raise ValueError("label_weights needs labels that are not negative")
        else:
            X = validate_data(self, X, dtype=np.float64)
        kmeans = KMeans(
            n_clusters=min(self.n_clusters, X.shape[0]),
            n_init=self.n_init,
            random_state=self.random_state,
        )
        kmeans.fit(X, sample_weight=y if self.label_weights else None)
        self.centers_: Floats = kmeans.cluster_centers_
        self.n_clusters_ = len(self.centers_)
        return self

    def transform(self, X: Any) -> Floats:
        """Similarity of each row to each centre, shape (n, n_clusters_)."""
        check_is_fitted(self)
        return self.similarities(validate_data(self, X, dtype=np.float64, reset=False))

    def similarities(self, X: Floats) -> Floats:
        """`transform` of what is known to be float64 without gaps, shape (n, d)."""
        similarity: Floats = cdist(X, self.centers_, "sqeuclidean")
        similarity *= -self.gamma
        np.exp(similarity, out=similarity)
        return similarity

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """One name a centre."""
        check_is_fitted(self)
        return np.array([f"cluster_{i}" for i in range(self.n_clusters_)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.required = self.label_weights
        tags.target_tags.positive_only = self.label_weights
        return tags
