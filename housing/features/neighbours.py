"""Finds the training rows around a row: transformers that store training rows and labels.

Leak-free by construction: a row never sees a training row with the very same inputs, and so never
its own label, be it in `fit_transform`, in `transform` or in the server. Training rows with the
same inputs are one row with their mean label, so hiding one hides all. A row that was
trained on is therefore predicted like any other: from its neighbours. In cross-validation the
labels of the other folds are all that `fit` is given.

The same by any implementation: inputs count as float32, so that last bits decide nothing; the
nearest rows are the exact ones; and the search space leaves no ties between distinct rows, save by
chance (`_search_space`).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from housing.array_types import Floats, Integers
from housing.features.rounding import to_float32
from housing.features.space_filling_curve import along_curve
from housing.features.statistics import GROUPS, NEAREST, Neighbourhood, weighted_mean

CHUNK_ROWS = 1024
"""Rows of a chunk: it bounds memory, and changes no number."""

LEAF_ROWS = 32
"""Training rows in a leaf of the search tree: faster than scipy's 10 in many dimensions."""

SEPARATION = 1e-4
"""Distance, in the coordinates' unit, of two rows at one place whose covariates' sums differ by 1:
the more alike is the nearer one."""


COMPARED = 3
"""Covariates by which similar rows are found; the others only tell rows apart."""


class NeighbourTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the training rows and their labels, and finds the nearest ones of any row.

    Columns: two coordinates (one, where there are but two columns), then covariates, of
    which the first must be a logarithm that labels grow with. Fitted attributes are plain:
    `n_coordinates_`, here d; `rows_` (m, d + c), distinct and standardised; `labels_` (m,);
    `mean_` and `deviation_` (c,).
    """

    n_jobs: int | None = None

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the rows, shape (n, d + c), and their labels, shape (n,)."""
        X, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            y_numeric=True,
            ensure_min_samples=2,
            ensure_min_features=2,
        )
        X = to_float32(X)
        self.n_coordinates_ = min(2, X.shape[1] - 1)
        self.mean_ = X[:, self.n_coordinates_ :].mean(axis=0)
        deviation = X[:, self.n_coordinates_ :].std(axis=0)
        self.deviation_ = np.where(deviation > 0, deviation, 1.0)
        self.rows_, self.labels_ = _distinct(self._standardised(X), np.asarray(y, np.float64))
        self._tree = self._build_tree()
        return self

    def _standardised(self, X: Floats) -> Floats:
        """Coordinates as they are, the first covariate centred, the others standardised."""
        covariates = X[:, self.n_coordinates_ :] - self.mean_
        covariates[:, 1:] /= self.deviation_[1:]
        return np.hstack([X[:, : self.n_coordinates_], covariates])

    def _search_space(self, rows: Floats) -> Floats:
        """Coordinates of rows in the space in which distance is measured; two distinct rows are
        apart, save by chance."""
        raise NotImplementedError

    def _build_tree(self) -> cKDTree:
        return cKDTree(self._search_space(self.rows_), leafsize=LEAF_ROWS, balanced_tree=False)

    def _index(self) -> cKDTree:
        """Rebuilt where a stored model is loaded: a tree is no plain array."""
        if "_tree" not in self.__dict__:
            self._tree = self._build_tree()
        return self._tree

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_tree", None)
        return state

    def _k_nearest(self, rows: Floats, k: int) -> tuple[Integers, Floats]:
        """Training rows nearest to each row, and how far, shape (n, k); never the row itself.

        Where there are fewer than k, the farthest is repeated.
        """
        wanted = min(k + 1, len(self.rows_))
        ranks = [*range(1, wanted + 1)]
        distance, index = self._index().query(self._search_space(rows), k=ranks)
        who, where = np.nonzero(distance == 0)
        same = (self.rows_[index[who, where]] == rows[who]).all(axis=1)
        itself = np.full(len(rows), wanted)
        itself[who[same]] = where[same]
        # From the row itself on, each column is the one behind it.
        column = np.arange(wanted - 1)
        column = column + (column >= itself[:, None])
        column = column[:, np.minimum(np.arange(k), wanted - 2)]
        return np.take_along_axis(index, column, axis=1), np.take_along_axis(distance, column, 1)

    def transform(self, X: Any) -> Floats:
        """Features of each row, shape (n, features); NaN where it has no neighbour but itself."""
        check_is_fitted(self)
        return self.neighbour_features(validate_data(self, X, dtype=np.float64, reset=False))

    def neighbour_features(self, X: Floats) -> Floats:
        """`transform` of what is known to be float64 without gaps, shape (n, d + c)."""
        X = to_float32(X)
        features = np.full((len(X), len(self.get_feature_names_out())), np.nan)
        if len(self.rows_) < 2:
            return features
        if len(X) <= CHUNK_ROWS:  # to start a thread takes longer than a row
            return self._features(self._standardised(X))
        order = along_curve(X[:, : self.n_coordinates_])

        def fill(start: int) -> None:
            chunk = order[start : start + CHUNK_ROWS]
            features[chunk] = self._features(self._standardised(X[chunk]))

        self._index()  # once, before threads ask for it
        in_threads(fill, range(0, len(X), CHUNK_ROWS), self.n_jobs or 1)
        return features

    def _features(self, rows: Floats) -> Floats:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def in_threads(function: Callable[[int], None], items: Iterable[int], threads: int) -> None:
    """Call `function` with each item; with one thread, or for one item, in this one."""
    items = list(items)
    if min(threads, len(items)) <= 1:
        for item in items:
            function(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, items))


def _distinct(rows: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Each distinct row once, in order of first sight, with the mean of its labels."""
    frame = pd.DataFrame(rows)
    if not frame.duplicated().any():
        return rows, labels
    twins = frame.groupby(list(frame), sort=False).ngroup().to_numpy()
    first = np.unique(twins, return_index=True)[1]
    means: Floats = np.bincount(twins, weights=labels) / np.bincount(twins)
    return rows[first], means


class NeighbourStatistics(NeighbourTransformer):
    """Statistics of the labels and covariates of the nearest training rows.

    groups: names of `statistics.GROUPS`.
    n_jobs: threads that share the rows; the numbers are the same.
    """

    def __init__(
        self, groups: tuple[str, ...] | list[str] = tuple(GROUPS), n_jobs: int | None = None
    ) -> None:
        self.groups = groups
        self.n_jobs = n_jobs

    def _search_space(self, rows: Floats) -> Floats:
        p = self.n_coordinates_
        return np.column_stack([rows[:, :p], rows[:, p:].sum(axis=1) * SEPARATION])

    def _features(self, rows: Floats) -> Floats:
        index, distance = self._k_nearest(rows, NEAREST)
        return self.statistics(distance, self.labels_[index], self.rows_[index], rows)

    def statistics(self, distance: Floats, label: Floats, theirs: Floats, own: Floats) -> Floats:
        """Features of rows (n, d + c) and their neighbours, (n, NEAREST) or with columns after."""
        near = Neighbourhood(distance, label, theirs, own, self.n_coordinates_)
        return np.hstack([GROUPS[name].function(near) for name in self.groups])

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """One name a feature."""
        check_is_fitted(self)
        covariates = self.rows_.shape[1] - self.n_coordinates_
        names = [name for group in self.groups for name in GROUPS[group].names(covariates)]
        return np.array(names, dtype=object)


class SimilarRows(NeighbourTransformer):
    """Labels of the training rows that are nearest in coordinates and covariates together.

    The first `COMPARED` covariates count. With all of them the nearest rows take longer to find,
    and predictions are no better.

    scale: standard deviations of a covariate that count as much as one unit of the coordinates.
    count: rows that are used.
    n_jobs: threads that share the rows; the numbers are the same.
    """

    def __init__(self, scale: float = 10, count: int = 15, n_jobs: int | None = None) -> None:
        self.scale = scale
        self.count = count
        self.n_jobs = n_jobs

    def _search_space(self, rows: Floats) -> Floats:
        p = self.n_coordinates_
        last = min(p + COMPARED, self.rows_.shape[1]) - 1
        weights = np.where(np.arange(last, self.rows_.shape[1]) == last, 1.0, SEPARATION)
        others = (rows[:, last:] * weights).sum(axis=1)
        return np.column_stack([rows[:, :p] * self.scale, rows[:, p:last], others])

    def _features(self, rows: Floats) -> Floats:
        index, distance = self._k_nearest(rows, self.count)
        return self.statistics(distance, self.labels_[index])

    def statistics(self, distance: Floats, label: Floats) -> Floats:
        """Features of rows by the distance and label of their neighbours, (n, count) each."""
        weight = 1 / (distance + 0.1)
        return np.column_stack(
            [weighted_mean(label, weight), label[:, :5].mean(axis=1), label.std(axis=1)]
        )

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """One name a feature."""
        check_is_fitted(self)
        return np.array(similar_names(self.scale), dtype=object)


def similar_names(scale: float) -> list[str]:
    """Names of the features of `SimilarRows`."""
    return [f"similar_label_{what}_{scale:g}" for what in ("weighted", "mean_5", "std")]
