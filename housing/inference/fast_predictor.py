"""The same predictions without frames: one row in a few milliseconds, batches in bulk.

A predictor reads a fitted model's own arrays once. It knows pipelines whose features
`features.arrays` can compute, alone, as a mean behind shared features, and as a mean of whole
pipelines; any other model is asked as it is. Its answers are those of `model.predict(frame)` to
1e-9, which a test holds and `agrees` checks where a model is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn._loss.link import IdentityLink
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.pipeline import Pipeline

from housing import schema
from housing.features.arrays import CATEGORIES, NUMBERS, ArrayFeatures
from housing.features.neighbours import in_threads
from housing.features.space_filling_curve import along_curve
from housing.training.fit import models_of
from housing.training.workers import one_thread

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]

TOLERANCE = 1e-9
"""Relative; sums in another order differ in their last bits."""

FEW = 16
"""Rows up to which all trees are walked side by side; of more, tree by tree over binned rows."""

CHUNK_ROWS = 8192
CHECKED_ROWS = 100
"""Rows of which the fast and the plain way are compared before the fast one is trusted."""


def predictor(model: Any, threads: int = 1) -> "Predictor":
    """The fastest way there is to ask a fitted model; `threads` share a batch."""
    return Predictor(model, _parts(model) or (), threads)


def predict_members(model: Any, frame: pd.DataFrame, threads: int = 1) -> Floats:
    """What each model of a mean predicts of a frame's rows, shape (models, n); one model: (1, n).

    The fast way, unless it disagrees with the model on the first rows.
    """
    fast = predictor(model, threads)
    if not fast.parts or not fast.agrees(frame.iloc[:CHECKED_ROWS]):
        return _each(model, frame[list(schema.FEATURES)])
    return fast.each({name: frame[name].to_numpy() for name in schema.FEATURES})


@dataclass(frozen=True, eq=False)
class Part:
    """Models that share their features."""

    features: ArrayFeatures
    models: tuple[Any, ...]
    trees: "Trees | None"  # of boosted models
    binned: "BinnedTrees | None"

    def mean(self, values: Floats) -> Floats:
        """Mean of the models on a few rows of features."""
        if self.trees is not None:
            return self.trees.predict(values)
        found: Floats = np.mean([_predict(model, values) for model in self.models], axis=0)
        return found

    def each(self, values: Floats) -> Floats:
        """Each model on rows of features, shape (models, n)."""
        if self.binned is not None:
            return self.binned.each(values)
        return np.array([_predict(model, values) for model in self.models], dtype=np.float64)


def _parts(model: Any) -> tuple[Part, ...] | None:
    """A model's pipelines by what they share; None where one cannot be read."""
    if isinstance(model, VotingRegressor):
        found = [_parts(each) for each in model.estimators_]
        if model.weights is not None or any(part is None for part in found):
            return None
        return tuple(part for parts in found if parts is not None for part in parts)
    if not isinstance(model, Pipeline) or len(model.steps) < 2:
        return None
    last = model[-1]
    if isinstance(last, VotingRegressor) and last.weights is not None:
        return None
    features = ArrayFeatures.of(model[:-1])
    if features is None:
        return None
    models = tuple(models_of(last))
    boosted = all(_has_plain_trees(each) for each in models)
    trees = (Trees.of(models), BinnedTrees.of(models)) if boosted else (None, None)
    return (Part(features, models, *trees),)


def _has_plain_trees(model: Any) -> bool:
    """Whether a model is the sum of its trees, and they cut at numbers alone."""
    return (
        type(model) is HistGradientBoostingRegressor
        and isinstance(model._loss.link, IdentityLink)
        and model.is_categorical_ is None
    )


def _predict(model: Any, values: Floats) -> Floats:
    """A model on rows of features; of a few, a forest without threads, which cost more."""
    if not isinstance(model, RandomForestRegressor | ExtraTreesRegressor) or len(values) > FEW:
        return np.asarray(model.predict(values), dtype=np.float64)
    total, narrow = np.zeros(len(values)), values.astype(np.float32)
    for tree in model.estimators_:
        total += tree.tree_.predict(narrow).ravel()
    return total / len(model.estimators_)


@dataclass(frozen=True, eq=False)
class Predictor:
    """Answers for one fitted model."""

    model: Any
    parts: tuple[Part, ...] = ()  # none: the model is asked as it is
    threads: int = 1

    def predict(self, columns: Columns) -> Floats:
        """Values of the target, shape (n,), for rows given column by column (schema.FEATURES).

        A gap is None or NaN, a category is its text. KeyError where a column is missing, ValueError
        where a value is no number.
        """
        if not self.parts:
            return np.asarray(self.model.predict(as_frame(columns)), dtype=np.float64)
        if len(columns[schema.FEATURES[0]]) > FEW:
            mean: Floats = self.each(columns).mean(axis=0)
            return mean
        numbers, categories = split_columns(columns)
        total = np.zeros(len(numbers))
        for part in self.parts:
            total += part.mean(part.features.compute(numbers, categories)) * len(part.models)
        return total / sum(len(part.models) for part in self.parts)

    def each(self, columns: Columns) -> Floats:
        """What each model of a mean predicts, shape (models, n); one model is a mean of itself."""
        if not self.parts:
            return _each(self.model, as_frame(columns))
        numbers, categories = split_columns(columns)
        predicted = np.empty((sum(len(part.models) for part in self.parts), len(numbers)))
        # Rows that are near each other are worked on together; `along_curve` says why.
        order = along_curve(numbers[:, _COORDINATES])

        def answer(start: int) -> None:
            rows, first = order[start : start + CHUNK_ROWS], 0
            for part in self.parts:
                values = part.features.compute(numbers[rows], categories[rows])
                predicted[first : first + len(part.models), rows] = part.each(values)
                first += len(part.models)

        in_threads(answer, range(0, len(order), CHUNK_ROWS), self.threads)
        return predicted

    def agrees(self, frame: pd.DataFrame) -> bool:
        """Whether it says of these rows what the model does, of many at once and of a few."""
        with one_thread():  # of hundreds of trees each, waking others takes longer than they save
            theirs = np.asarray(self.model.predict(frame[list(schema.FEATURES)]))
            return all(
                np.allclose(
                    self.predict({name: frame[name].to_numpy()[:n] for name in schema.FEATURES}),
                    theirs[:n],
                    rtol=TOLERANCE,
                    atol=0,
                )
                for n in (len(frame), FEW)
            )


def _each(model: Any, X: pd.DataFrame) -> Floats:
    """Each model of a mean on a frame; features that they share are computed once."""
    if isinstance(model, Pipeline) and isinstance(model[-1], VotingRegressor):
        values = model[:-1].transform(X)
        return np.array([each.predict(values) for each in model[-1].estimators_], np.float64)
    return np.array([each.predict(X) for each in models_of(model)], dtype=np.float64)


_COORDINATES = [NUMBERS.index(name) for name in schema.COORDINATES]


def split_columns(columns: Columns) -> tuple[Floats, npt.NDArray[Any]]:
    """Numbers, shape (n, numbers), gaps as NaN; categories as objects, shape (n, categories)."""
    rows = len(columns[schema.FEATURES[0]])
    numbers = np.empty((rows, len(NUMBERS)))
    categories = np.empty((rows, len(CATEGORIES)), dtype=object)
    for array, names in ((numbers, NUMBERS), (categories, CATEGORIES)):
        for index, name in enumerate(names):
            array[:, index] = columns[name]
    return numbers, categories


def as_frame(columns: Columns) -> pd.DataFrame:
    """The frame that a model is given: typed as after validation."""
    frame = pd.DataFrame({name: columns[name] for name in schema.FEATURES})
    return frame.astype(schema.dtypes(schema.FEATURES))


@dataclass(frozen=True, eq=False)
class Trees:
    """All trees of a mean of boosted models, one node after the other; a leaf leads to itself."""

    baseline: float
    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: Floats
    gap_left: npt.NDArray[np.bool_]  # where a row goes whose feature is a gap
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    value: Floats
    depth: int

    @classmethod
    def of(cls, models: Sequence[Any]) -> "Trees":
        """Read fitted HistGradientBoostingRegressors without categorical splits."""
        nodes = [tree.nodes for model in models for (tree,) in model._predictors]
        roots = np.cumsum([0, *(len(each) for each in nodes[:-1])])
        whole = np.concatenate(nodes)
        leaf = whole["is_leaf"].astype(bool)
        first = np.repeat(roots, [len(each) for each in nodes])
        itself = np.arange(len(whole))
        return cls(
            baseline=float(np.mean([_baseline(model) for model in models])),
            roots=roots,
            feature=np.where(leaf, 0, whole["feature_idx"]).astype(np.int64),
            threshold=whole["num_threshold"].astype(np.float64),
            gap_left=whole["missing_go_to_left"].astype(bool),
            left=np.where(leaf, itself, first + whole["left"]),
            right=np.where(leaf, itself, first + whole["right"]),
            value=np.where(leaf, whole["value"], 0.0) / len(models),
            depth=int(whole["depth"].max()),
        )

    def predict(self, X: Floats) -> Floats:
        """Predictions of rows, shape (n,): all trees at once, a level a step."""
        rows = np.arange(len(X))[:, None]
        node = np.broadcast_to(self.roots, (len(X), len(self.roots)))
        for _ in range(self.depth):
            x = X[rows, self.feature[node]]
            left = np.where(np.isnan(x), self.gap_left[node], x <= self.threshold[node])
            node = np.where(left, self.left[node], self.right[node])
        total: Floats = self.value[node].sum(axis=1) + self.baseline
        return total


@dataclass(frozen=True, eq=False)
class HistogramBins:
    """Where a model's trees may cut: a bin a feature is one byte a row in place of eight."""

    edges: tuple[Floats, ...]  # of each feature, ascending; a bin holds its upper edge
    gap: int  # the bin of a value that is not there

    @classmethod
    def of(cls, model: Any) -> "HistogramBins":
        """Read them from a fitted HistGradientBoostingRegressor."""
        mapper = model._bin_mapper
        edges = tuple(np.asarray(each, dtype=np.float64) for each in mapper.bin_thresholds_)
        return cls(edges, int(mapper.missing_values_bin_idx_))

    def same(self, other: "HistogramBins") -> bool:
        """Whether a row has the same bins by both."""
        return self.gap == other.gap and all(map(np.array_equal, self.edges, other.edges))

    def of_rows(self, X: Floats) -> npt.NDArray[np.uint8]:
        """The bin of each value, shape (n, features)."""
        found = np.empty(X.shape, dtype=np.uint8)
        for place, edges in enumerate(self.edges):
            values = X[:, place]
            found[:, place] = np.where(
                np.isnan(values), self.gap, np.searchsorted(edges, values, side="left")
            )
        return found


@dataclass(frozen=True, eq=False)
class BinnedModel:
    """The trees of one boosted model."""

    bins: int  # which of the bins of `BinnedTrees`
    baseline: float
    trees: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class BinnedTrees:
    """Boosted models for many rows: scikit-learn's loops, over bytes in place of numbers.

    A block of rows stays in the processor's cache while all trees are asked.
    """

    bins: tuple[HistogramBins, ...]  # models with the same share them
    models: tuple[BinnedModel, ...]

    @classmethod
    def of(cls, models: Sequence[Any]) -> "BinnedTrees":
        """Read fitted HistGradientBoostingRegressors without categorical splits."""
        distinct: list[HistogramBins] = []
        read = []
        for model in models:
            bins = HistogramBins.of(model)
            place = next((i for i, each in enumerate(distinct) if each.same(bins)), len(distinct))
            distinct += [bins] if place == len(distinct) else []
            trees = tuple(tree for (tree,) in model._predictors)
            read.append(BinnedModel(place, _baseline(model), trees))
        return cls(tuple(distinct), tuple(read))

    def each(self, X: Floats) -> Floats:
        """Predictions of each model, shape (models, n)."""
        binned = [bins.of_rows(X) for bins in self.bins]
        said = np.empty((len(self.models), len(X)))
        for values, model in zip(said, self.models, strict=True):
            values[:] = model.baseline
            for tree in model.trees:
                values += tree.predict_binned(binned[model.bins], self.bins[model.bins].gap, 1)
        return said


def _baseline(model: Any) -> float:
    return float(np.ravel(model._baseline_prediction)[0])
