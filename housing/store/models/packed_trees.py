"""Boosted trees as a few long arrays: hundreds of small ones take most of a model's loading.

A model is stored with `PackedTrees` in place of the trees of each histogram booster in it, and gets
the trees back when it is loaded. Whatever else a model holds stays the same object.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

_TREES = "_predictors"
_ARRAYS = ("nodes", "binned_left_cat_bitsets", "raw_left_cat_bitsets")


class PackedTrees:
    """Trees in rounds (one of each round for a regression), their arrays one after the other."""

    def __init__(self, rounds: Sequence[Sequence[TreePredictor]]) -> None:
        trees = [tree for trees in rounds for tree in trees]
        self.trees_in_round = np.array([len(trees) for trees in rounds])
        self.arrays = [np.concatenate([getattr(t, name) for t in trees]) for name in _ARRAYS]
        self.lengths = [np.array([len(getattr(t, name)) for t in trees]) for name in _ARRAYS]

    def unpacked(self) -> list[list[TreePredictor]]:
        """The trees, whose arrays are views."""
        parts = zip(*map(_split, self.arrays, self.lengths), strict=True)
        trees = (TreePredictor(*arrays) for arrays in parts)
        return [[next(trees) for _ in range(number)] for number in self.trees_in_round]


def _split(array: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
    ends = np.cumsum(lengths)
    return [array[end - size : end] for end, size in zip(ends, lengths, strict=True)]


def pack(model: Any) -> Any:
    """The model with its trees packed; the given one is left as it is."""
    return _with_trees(model, lambda trees: PackedTrees(trees) if trees else trees, {})


def unpack(model: Any) -> Any:
    """The model with its trees as scikit-learn has them."""
    return _with_trees(model, lambda t: t.unpacked() if isinstance(t, PackedTrees) else t, {})


def _with_trees(part: Any, change: Callable[[Any], Any], known: dict[int, Any]) -> Any:
    """A copy of estimators and of what holds them; `known` keeps shared ones shared."""
    if id(part) in known:
        return known[id(part)]
    new: Any = part
    if isinstance(part, BaseEstimator):
        new = known[id(part)] = object.__new__(type(part))
        for name, value in vars(part).items():
            kept = change(value) if name == _TREES else _with_trees(value, change, known)
            new.__dict__[name] = kept
    elif isinstance(part, dict):
        new = known[id(part)] = type(part)()
        new.update({key: _with_trees(value, change, known) for key, value in part.items()})
    elif type(part) is list:
        new = known[id(part)] = []
        new.extend(_with_trees(value, change, known) for value in part)
    elif type(part) is tuple:
        new = known[id(part)] = tuple(_with_trees(value, change, known) for value in part)
    return new
