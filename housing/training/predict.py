"""The same predictions without frames: one row in a few milliseconds, batches in bulk.

A predictor reads a fitted model's own arrays once. It knows pipelines of `neighbourhood` with
histogram boosting, alone or as a mean; any other model is asked as it is. Its answers are those of
`model.predict(frame)` to 1e-9, which a test holds and `agrees` checks where a model is loaded.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.pipeline import Pipeline

from housing import schema
from housing.features.derived import COVARIATES, compute, inputs_of
from housing.features.preprocess import ROW_GROUPS, has_groups

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]

TOLERANCE = 1e-9
"""Relative; sums in another order differ in their last bits."""

FEW = 16
"""Rows up to which all trees are walked side by side; for more, scikit-learn's loop is faster."""

CHUNK_ROWS = 8192


def predictor(model: Any, threads: int = 1) -> "Predictor":
    """The fastest way there is to ask a fitted model; `threads` share the features of a batch."""
    if isinstance(model, Pipeline) and has_groups(model["preprocess"]):
        features = Features.of(model["preprocess"])
        last = model[-1]
        estimators = last.estimators_ if isinstance(last, VotingRegressor) else [last]
        boosted = all(isinstance(each, HistGradientBoostingRegressor) for each in estimators)
        return Predictor(model, features, Trees.of(estimators) if boosted else None, threads)
    return Predictor(model, None, None, threads)


@dataclass(frozen=True, eq=False)
class Predictor:
    """Answers for one fitted model."""

    model: Any
    features: "Features | None"
    trees: "Trees | None"
    threads: int = 1

    def predict(self, columns: Columns) -> Floats:
        """Prices in US dollars, shape (n,), of rows given column by column (schema.FEATURES).

        A gap is None or NaN, a category is its text. KeyError where a column is missing, ValueError
        where a value is no number.
        """
        if self.features is None:
            return np.asarray(self.model.predict(as_frame(columns)), dtype=np.float64)
        values = self._features(self.features, columns)
        if self.trees is not None and len(values) <= FEW:
            return self.trees.predict(values)
        return np.asarray(self.model[-1].predict(values), dtype=np.float64)

    def _features(self, features: "Features", columns: Columns) -> Floats:
        numbers, categories = split_columns(columns)
        chunks = [slice(i, i + CHUNK_ROWS) for i in range(0, len(numbers), CHUNK_ROWS)]
        if len(chunks) <= 1 or self.threads == 1:
            return np.vstack([features.compute(numbers[c], categories[c]) for c in chunks])
        with ThreadPoolExecutor(self.threads) as pool:
            parts = pool.map(lambda c: features.compute(numbers[c], categories[c]), chunks)
            return np.vstack(list(parts))

    def agrees(self, frame: pd.DataFrame) -> bool:
        """Whether it says of these rows what the model does, of many at once and of a few."""
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


NUMBERS = tuple(name for name in schema.FEATURES if name in schema.NUMBERS)
CATEGORIES = schema.CATEGORIES


def split_columns(columns: Columns) -> tuple[Floats, npt.NDArray[Any]]:
    """Numbers, shape (n, numbers), gaps as NaN; categories as objects, shape (n, categories)."""
    numbers = [np.asarray(columns[name], dtype=np.float64) for name in NUMBERS]
    categories = [np.asarray(columns[name], dtype=object) for name in CATEGORIES]
    return np.column_stack(numbers), np.column_stack(categories)


def as_frame(columns: Columns) -> pd.DataFrame:
    """The frame that a model is given: typed as after validation."""
    frame = pd.DataFrame({name: list(columns[name]) for name in schema.FEATURES})
    return frame.astype(schema.dtypes(schema.FEATURES))


@dataclass(frozen=True, eq=False)
class Features:
    """A fitted `neighbourhood`, step by step on plain arrays."""

    levels: tuple[npt.NDArray[Any], ...]  # of each category column
    groups: tuple[tuple[str, npt.NDArray[np.int64]], ...]  # group -> places of its inputs
    near_inputs: npt.NDArray[np.int64]
    fill: Floats  # of the covariates' gaps
    looks: tuple[Any, ...]  # fitted transformers

    @classmethod
    def of(cls, preprocess: Any) -> "Features":
        """Read a fitted preprocessing step."""
        parts = preprocess.named_transformers_
        kept = [name for name in ROW_GROUPS if parts.get(name, "drop") != "drop"]
        near = parts["near"]
        looks = tuple(t for _, t in near["look"].transformer_list if t != "drop")
        return cls(
            tuple(np.asarray(levels, dtype=object) for levels in parts["category"].categories_),
            tuple((name, _places(inputs_of(ROW_GROUPS[name]))) for name in kept),
            _places(inputs_of(COVARIATES)),
            np.asarray(near["fill"].statistics_, dtype=np.float64),
            looks,
        )

    def compute(self, numbers: Floats, categories: npt.NDArray[Any]) -> Floats:
        """Features, shape (n, features), of numbers (n, numbers) and categories (n, categories)."""
        hot = [
            (categories[:, [i]] == levels).astype(np.float64)
            for i, levels in enumerate(self.levels)
        ]
        own = [compute(numbers[:, places], ROW_GROUPS[name]) for name, places in self.groups]
        near = []
        if self.looks:
            covariates = compute(numbers[:, self.near_inputs], COVARIATES)
            covariates = np.where(np.isnan(covariates), self.fill, covariates)
            near = [look.looked_up(covariates) for look in self.looks]
        return np.hstack([numbers, *hot, *own, *near])


def _places(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([NUMBERS.index(name) for name in names], dtype=np.int64)


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
            baseline=float(np.mean([np.ravel(model._baseline_prediction)[0] for model in models])),
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
