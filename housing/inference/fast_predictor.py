"""The same predictions without frames: one row in a few milliseconds, batches in bulk.

A predictor reads a fitted model's own arrays once. It knows pipelines whose features
`features.arrays` can compute, alone, as a mean behind shared features, and as a mean of whole
pipelines; any other model predicts itself. Predictions equal those of `model.predict(frame)` to
1e-9, which a test holds and `agrees` checks where a model is loaded; those beyond the target's
declared range are set to its limit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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
from housing.array_types import Floats, Integers, Mask
from housing.features.arrays import CATEGORIES, NUMBERS, ArrayFeatures
from housing.features.neighbours import in_threads
from housing.features.space_filling_curve import along_curve
from housing.inference.columns import Columns, columns_of_frame, frame_of
from housing.training.fit import models_of
from housing.training.lineage import feature_steps
from housing.training.workers import one_thread

TOLERANCE = 1e-9
"""Relative; sums in another order differ in their last bits."""

FEW = 16
"""Rows up to which all trees are walked side by side; of more, tree by tree over binned rows."""

CHUNK_ROWS = 8192
CHECKED_ROWS = 100
"""Rows of which the fast and the plain way are compared before the fast one is trusted."""


def predictor(model: Any, threads: int = 1) -> "Predictor":
    """The fastest predictor of a fitted model; `threads` share a batch."""
    return Predictor(model, _parts(model), threads)


def checked_predictor(model: Any, rows: pd.DataFrame, threads: int = 1) -> "Predictor":
    """The fastest predictor, or the model itself if they disagree on some rows."""
    fast = predictor(model, threads)
    return fast if fast.parts and fast.agrees(rows) else Predictor(model)


def mean_of(members: Floats) -> Floats:
    """The prediction, shape (n,), from those of a mean's models, shape (models, n)."""
    return schema.in_range(members.mean(axis=0))


def predict_members(model: Any, frame: pd.DataFrame) -> Floats:
    """What each model of a mean predicts of a frame's rows, shape (models, n); of one: (1, n).

    As they are: only their mean (`mean_of`) is held in the target's range.
    """
    return checked_predictor(model, frame.iloc[:CHECKED_ROWS]).each(columns_of_frame(frame))


@dataclass(frozen=True, eq=False)
class ModelGroup:
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


def _parts(model: Any) -> tuple[ModelGroup, ...]:
    """A model's pipelines by what they share; none where one cannot be read."""
    last = model[-1] if isinstance(model, Pipeline) and len(model.steps) > 1 else model
    if isinstance(last, VotingRegressor) and last.weights is not None:
        return ()
    if isinstance(model, VotingRegressor):
        found = [_parts(each) for each in model.estimators_]
        return tuple(part for parts in found for part in parts) if all(found) else ()
    features = None if last is model else ArrayFeatures.of(model[:-1])
    if features is None:
        return ()
    models = tuple(models_of(last))
    boosted = all(_has_plain_trees(each) for each in models)
    trees = (Trees.of(models), BinnedTrees.of(models)) if boosted else (None, None)
    return (ModelGroup(features, models, *trees),)


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
    """Predicts with one fitted model."""

    model: Any
    parts: tuple[ModelGroup, ...] = ()  # none: the model predicts itself
    threads: int = 1

    def predict(self, columns: Columns) -> Floats:
        """Values of the target in its range, shape (n,); KeyError where a column is missing."""
        if not self.parts:
            own = np.asarray(self.model.predict(frame_of(columns)), dtype=np.float64)
            return schema.in_range(own)
        if len(columns[schema.FEATURES[0]]) > FEW:
            return mean_of(self.each(columns))
        numbers, categories = split_columns(columns)
        total = np.zeros(len(numbers))
        for part in self.parts:
            total += part.mean(part.features.compute(numbers, categories)) * len(part.models)
        return schema.in_range(total / sum(len(part.models) for part in self.parts))

    def each(self, columns: Columns) -> Floats:
        """Predictions of each model of a mean, shape (models, n); one model is a mean of itself."""
        if not self.parts:
            return _each(self.model, frame_of(columns))
        predicted = np.empty(
            (sum(len(part.models) for part in self.parts), len(columns[schema.FEATURES[0]]))
        )

        def fill(part: ModelGroup, first: int, rows: Integers, values: Floats) -> None:
            predicted[first : first + len(part.models), rows] = part.each(values)

        self._each_block(columns, fill)
        return predicted

    def features(self, columns: Columns) -> list[Floats]:
        """The features, shape (n, features), that each of the model's different pipelines has."""
        if not self.parts:
            return [
                np.asarray(steps.transform(frame_of(columns)), dtype=np.float64)
                for steps in feature_steps(self.model)
            ]
        found: dict[int, list[tuple[Integers, Floats]]] = {}

        def keep(_: ModelGroup, first: int, rows: Integers, values: Floats) -> None:
            found.setdefault(first, []).append((rows, values))

        self._each_block(columns, keep)
        wholes = []
        for _, blocks in sorted(found.items()):
            order = np.argsort(np.concatenate([rows for rows, _ in blocks]))
            wholes.append(np.concatenate([values for _, values in blocks])[order])
        return wholes

    def _each_block(self, columns: Columns, work: Callable[..., None]) -> None:
        """Call `work` with each part, the number of its first model, rows, and their features."""
        numbers, categories = split_columns(columns)
        # Rows that are near each other are worked on together; `along_curve` says why.
        order = along_curve(numbers[:, _COORDINATES])

        def work_on(start: int) -> None:
            rows, first = order[start : start + CHUNK_ROWS], 0
            for part in self.parts:
                work(part, first, rows, part.features.compute(numbers[rows], categories[rows]))
                first += len(part.models)

        in_threads(work_on, range(0, len(order), CHUNK_ROWS), self.threads)

    def agrees(self, frame: pd.DataFrame) -> bool:
        """Whether it predicts what the model does for these rows, all at once and the first few."""
        columns = columns_of_frame(frame)
        with one_thread():  # of hundreds of trees each, waking others takes longer than they save
            theirs = schema.in_range(np.asarray(self.model.predict(frame[list(schema.FEATURES)])))
            return all(
                np.allclose(
                    self.predict({name: values[:n] for name, values in columns.items()}),
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


def split_columns(columns: Columns) -> tuple[Floats, Floats]:
    """Numbers, shape (n, numbers), and codes of categories, shape (n, categories)."""
    empty = np.empty((len(columns[schema.FEATURES[0]]), 0))
    numbers = np.column_stack([empty, *(columns[name] for name in NUMBERS)])
    return numbers, np.column_stack([empty, *(columns[name] for name in CATEGORIES)])


@dataclass(frozen=True, eq=False)
class Trees:
    """All trees of a mean of boosted models, one node after the other; a leaf leads to itself."""

    baseline: float
    roots: Integers
    feature: Integers
    threshold: Floats
    gap_left: Mask  # where a row goes whose feature is a gap
    left: Integers
    right: Integers
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
class BinnedTrees:
    """Boosted models for many rows: scikit-learn's loops, over bytes in place of numbers.

    A block of rows stays in the processor's cache while all trees are walked.
    """

    mappers: tuple[Any, ...]  # scikit-learn's, by which a value becomes a byte; the different ones
    models: tuple[tuple[int, float, tuple[Any, ...]], ...]  # number of its mapper, baseline, trees

    @classmethod
    def of(cls, models: Sequence[Any]) -> "BinnedTrees":
        """Read fitted HistGradientBoostingRegressors without categorical splits."""
        mappers: list[Any] = []
        read = []
        for model in models:
            own = model._bin_mapper
            index = next((i for i, each in enumerate(mappers) if _same(each, own)), len(mappers))
            mappers += [own] if index == len(mappers) else []
            read.append((index, _baseline(model), tuple(tree for (tree,) in model._predictors)))
        return cls(tuple(mappers), tuple(read))

    def each(self, X: Floats) -> Floats:
        """Predictions of each model, shape (models, n)."""
        binned = [np.ascontiguousarray(mapper.transform(X)) for mapper in self.mappers]
        predicted = np.empty((len(self.models), len(X)))
        for values, (index, baseline, trees) in zip(predicted, self.models, strict=True):
            values[:] = baseline
            for tree in trees:
                values += tree.predict_binned(
                    binned[index], self.mappers[index].missing_values_bin_idx_, 1
                )
        return predicted


def _same(one: Any, other: Any) -> bool:
    """Whether two mappers have the same edges."""
    return all(map(np.array_equal, one.bin_thresholds_, other.bin_thresholds_))


def _baseline(model: Any) -> float:
    return float(np.ravel(model._baseline_prediction)[0])
