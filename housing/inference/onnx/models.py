"""ONNX forms of fitted models, by class; a model of another class is added to `MODELS`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn._loss.link import IdentityLink, LogLink
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from housing.array_types import Floats, Integers, Mask
from housing.inference.onnx.features import picked, smallest, squared_distances, transformed
from housing.inference.onnx.graph import DOUBLE, NoOnnxForm, Tensor, rounded

BRANCH_LEQ, SUM, NO_TRANSFORM = 0, 1, 0
"""Codes of ai.onnx.ml's TreeEnsemble."""


def predicted(fitted: Any, values: Any) -> Any:
    """What a fitted model predicts of features (rows, columns) or of the table's columns: (rows,).

    Raises NoOnnxForm with the name of a class that has no form.
    """
    for kind in type(fitted).__mro__:
        if form := MODELS.get(_name(kind)):
            return form(fitted, values)
    raise NoOnnxForm(why=f"{type(fitted).__name__} has none")


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree, its root first, by node; a row whose value is at most the threshold goes left."""

    leaf: Mask
    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    gap_left: Mask  # where a gap goes
    value: Floats  # of a leaf


def sum_of_trees(trees: Sequence[Tree], values: Any, divisor: float = 1.0) -> Any:
    """The sum of the leaves in which a row ends, over a divisor; shape (rows,)."""
    stumps = [_with_branch(tree) for tree in trees]
    leaf = np.concatenate([tree.leaf for tree in stumps])
    first = np.cumsum([0, *(len(tree.leaf) for tree in stumps)])
    # Leaves and branches are numbered apart, each in the order of the nodes.
    number = np.where(leaf, np.cumsum(leaf), np.cumsum(~leaf)) - 1

    def branches(name: str) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = np.concatenate([getattr(tree, name) for tree in stumps])[~leaf]
        return found

    starts = np.repeat(first[:-1], np.diff(first))[~leaf]
    left, right = branches("left") + starts, branches("right") + starts
    weights = np.concatenate([tree.value for tree in stumps])[leaf] / divisor
    found = values.graph.node(
        "TreeEnsemble", [values], (None, 1), domain="ai.onnx.ml",
        n_targets=1, aggregate_function=SUM, post_transform=NO_TRANSFORM,
        tree_roots=number[first[:-1]],
        nodes_featureids=branches("feature").astype(np.int64),
        nodes_splits=branches("threshold").astype(np.float64),
        nodes_modes=np.full(len(left), BRANCH_LEQ, dtype=np.uint8),
        nodes_missing_value_tracks_true=branches("gap_left").astype(np.int64),
        nodes_truenodeids=number[left], nodes_trueleafs=leaf[left].astype(np.int64),
        nodes_falsenodeids=number[right], nodes_falseleafs=leaf[right].astype(np.int64),
        leaf_targetids=np.zeros(len(weights), dtype=np.int64), leaf_weights=weights,
    )  # fmt: skip
    return found[:, 0]


def _with_branch(tree: Tree) -> Tree:
    """The tree; of one leaf, as a branch with two, since a root is a branch in ONNX."""
    if len(tree.leaf) > 1:
        return tree
    value = np.repeat(tree.value[:1], 3)
    zero, leaf = np.zeros(3, dtype=np.int64), np.array([False, True, True])
    return Tree(leaf, zero, np.zeros(3), zero + 1, zero + 2, leaf, value)


def _boosted(fitted: HistGradientBoostingRegressor, values: Any) -> Any:
    if fitted.is_categorical_ is not None:
        raise NoOnnxForm(why="boosting that splits by categories has none")
    trees = []
    for (predictor,) in fitted._predictors:
        nodes = predictor.nodes
        trees.append(Tree(
            nodes["is_leaf"].astype(bool), nodes["feature_idx"], nodes["num_threshold"],
            nodes["left"].astype(np.int64), nodes["right"].astype(np.int64),
            nodes["missing_go_to_left"].astype(bool), nodes["value"],
        ))  # fmt: skip
    raw = sum_of_trees(trees, values) + float(np.ravel(fitted._baseline_prediction)[0])
    if isinstance(fitted._loss.link, IdentityLink):
        return raw
    if isinstance(fitted._loss.link, LogLink):
        return np.exp(raw)
    raise NoOnnxForm(why=f"boosting with {type(fitted._loss.link).__name__} has none")


def _grown(estimators: Sequence[DecisionTreeRegressor], values: Any) -> Any:
    """The mean of scikit-learn's trees, which read float32."""
    trees = []
    for each in estimators:
        tree = each.tree_
        trees.append(Tree(
            tree.children_left < 0, tree.feature, tree.threshold, tree.children_left,
            tree.children_right, tree.missing_go_to_left.astype(bool), tree.value[:, 0, 0],
        ))  # fmt: skip
    return sum_of_trees(trees, rounded(values), len(trees))


def _light(fitted: Any, values: Any) -> Any:
    """LightGBM, whose own text has all digits of its numbers."""
    dumped = fitted.booster_.dump_model()
    if dumped["average_output"] or dumped["num_class"] != 1:
        raise NoOnnxForm(why="LightGBM with averaged trees or classes has none")
    return sum_of_trees([_read(each["tree_structure"]) for each in dumped["tree_info"]], values)


def _read(root: Any) -> Tree:
    nodes, places = [root], dict[int, tuple[int, int]]()
    for at, node in enumerate(nodes):
        if "leaf_value" not in node:
            places[at] = len(nodes), len(nodes) + 1
            nodes += [node["left_child"], node["right_child"]]
    leaf = np.array(["leaf_value" in node for node in nodes])
    for node in nodes:
        if "leaf_value" not in node and (
            node["decision_type"] != "<=" or node["missing_type"] == "Zero"
        ):
            raise NoOnnxForm(why="LightGBM with categories, or zeros as gaps, has none")
    return Tree(
        leaf,
        np.array([node.get("split_feature", 0) for node in nodes], dtype=np.int64),
        np.array([node.get("threshold", 0.0) for node in nodes], dtype=np.float64),
        np.array([places.get(at, (0, 0))[0] for at in range(len(nodes))], dtype=np.int64),
        np.array([places.get(at, (0, 0))[1] for at in range(len(nodes))], dtype=np.int64),
        np.array([_gap_goes_left(node) for node in nodes]),
        np.array([node.get("leaf_value", 0.0) for node in nodes], dtype=np.float64),
    )


def _gap_goes_left(node: Any) -> bool:
    """Where there was no gap in training, LightGBM reads a gap as 0."""
    if "leaf_value" in node:
        return False
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    return bool(node["threshold"] >= 0)


def _symmetric(fitted: Any, values: Any) -> Any:
    """CatBoost, whose question k of a tree gives bit k of a leaf's number; it reads float32."""
    with TemporaryDirectory() as folder:
        written = Path(folder) / "model.json"
        fitted.save_model(str(written), format="json")
        dumped = json.loads(written.read_text())
    described = dumped["features_info"]
    if described.get("categorical_features") or "oblivious_trees" not in dumped:
        raise NoOnnxForm(
            why="CatBoost with categories, or with trees that are not symmetric, has none"
        )
    gap_left = [each["nan_value_treatment"] != "AsTrue" for each in described["float_features"]]
    trees = [_of_levels(each, gap_left) for each in dumped["oblivious_trees"]]
    scale, (bias,) = dumped["scale_and_bias"]
    return sum_of_trees(trees, rounded(values)) * float(scale) + float(bias)


def _of_levels(dumped: Any, gap_left: Sequence[bool]) -> Tree:
    """A symmetric tree, its nodes by level; the last question comes first, so that a leaf's place
    in the last level is its number."""
    splits = list(reversed(dumped["splits"] or ()))
    level = np.repeat(np.arange(len(splits) + 1), 2 ** np.arange(len(splits) + 1))
    leaf, at = level == len(splits), np.arange(len(level))
    feature = np.array([split["float_feature_index"] for split in splits] + [0], dtype=np.int64)
    border = np.array([split["border"] for split in splits] + [0.0], dtype=np.float64)
    value = np.zeros(len(level))
    value[leaf] = dumped["leaf_values"]
    gaps = np.array(gap_left)[feature[level]]
    return Tree(leaf, feature[level], border[level], 2 * at + 1, 2 * at + 2, gaps, value)


def _linear(fitted: Any, values: Any) -> Any:
    coefficients = np.ravel(fitted.coef_).astype(np.float64)
    return (values @ coefficients[:, None])[:, 0] + float(np.ravel(fitted.intercept_)[0])


def _vectors(fitted: SVR, values: Any) -> Any:
    if fitted.kernel != "rbf":
        raise NoOnnxForm(why=f"support vectors with the kernel {fitted.kernel} have none")
    squares = squared_distances(values, fitted.support_vectors_)
    kernel: Any = np.exp(squares * -float(fitted._gamma))
    weights = np.asarray(fitted.dual_coef_, dtype=np.float64).T
    return (kernel @ weights)[:, 0] + float(fitted.intercept_[0])


def _nearest(fitted: KNeighborsRegressor, values: Any) -> Any:
    if fitted.effective_metric_ not in ("euclidean", "manhattan") or callable(fitted.weights):
        raise NoOnnxForm(why=f"nearest rows by {fitted.effective_metric_} have none")
    if fitted.effective_metric_ == "euclidean":
        found, index = smallest(squared_distances(values, fitted._fit_X), fitted.n_neighbors)
        distance: Any = np.sqrt(found)
    else:
        distance, index = smallest(_manhattan(values, fitted._fit_X), fitted.n_neighbors)
    label = picked(np.ravel(fitted._y).astype(np.float64), index)
    if fitted.weights == "uniform":
        return label.mean(axis=1)
    # A row at no distance is the only one that counts.
    zero = distance == 0.0
    any_zero = zero.cast(DOUBLE).max(axis=1, keepdims=True) > 0.0
    weight: Any = np.where(any_zero, zero.cast(DOUBLE), 1.0 / np.where(zero, 1.0, distance))
    return (label * weight).sum(axis=1) / weight.sum(axis=1)


def _manhattan(rows: Any, points: Floats) -> Any:
    total: Any = 0.0
    for axis in range(points.shape[1]):
        total = np.abs(rows[:, [axis]] - points[:, axis][None, :]) + total
    return total


def _constant(fitted: DummyRegressor, values: Any) -> Any:
    some = next(iter(values.values())) if isinstance(values, dict) else values
    rows = some.graph.node("Shape", [some], (1,), start=0, end=1)
    value = np.ravel(fitted.constant_)[:1].astype(np.float64)
    return some.graph.node("ConstantOfShape", [rows], (None,), value=value)


def _of_other_target(fitted: TransformedTargetRegressor, values: Any) -> Any:
    """The model's prediction, back on the target's own scale."""
    found, scale = predicted(fitted.regressor_, values), fitted.transformer_
    if isinstance(scale, StandardScaler):
        scaled = found * (1.0 if scale.scale_ is None else float(scale.scale_[0]))
        return scaled + (float(scale.mean_[0]) if scale.with_mean else 0.0)
    if isinstance(scale, FunctionTransformer):
        if scale.inverse_func is None:
            return found
        return scale.inverse_func(found, **(scale.inv_kw_args or {}))
    raise NoOnnxForm(why=f"a target scaled by {type(scale).__name__} has none")


def _mean(fitted: VotingRegressor, values: Any) -> Any:
    if fitted.weights is not None:
        raise NoOnnxForm(why="a mean with weights has none")
    total: Any = 0.0
    for each in fitted.estimators_:
        total = predicted(each, values) + total
    return total / float(len(fitted.estimators_))


def _steps(fitted: Pipeline, values: Any) -> Any:
    for _, step in fitted.steps[:-1]:
        values = transformed(step, values)
    return predicted(fitted[-1], values)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


MODELS: dict[str, Callable[[Any, Any], Tensor]] = {
    _name(Pipeline): _steps,
    _name(VotingRegressor): _mean,
    _name(TransformedTargetRegressor): _of_other_target,
    _name(HistGradientBoostingRegressor): _boosted,
    _name(RandomForestRegressor): lambda fitted, values: _grown(fitted.estimators_, values),
    _name(ExtraTreesRegressor): lambda fitted, values: _grown(fitted.estimators_, values),
    _name(DecisionTreeRegressor): lambda fitted, values: _grown([fitted], values),
    "lightgbm.sklearn.LGBMRegressor": _light,
    "catboost.core.CatBoostRegressor": _symmetric,
    _name(LinearRegression): _linear,
    _name(Ridge): _linear,
    _name(SVR): _vectors,
    _name(KNeighborsRegressor): _nearest,
    _name(DummyRegressor): _constant,
}
"""By full name, as a library need not be installed."""
