"""An ONNX graph under construction, whose tensors NumPy's functions take as they take arrays.

A function of arrays that is called with tensors adds its operations to the graph: the ONNX form of
a feature is its NumPy form. What has no operation here raises `NoOnnxForm` and names itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from housing.errors import NotPossible

OPSET, TREES_OPSET, IR = 21, 5, 10
"""Versions of the standard operators (strings can be compared since 19), of the machine-learning
ones (trees in float64 since 5) and of the file format."""

BATCH = "rows"
DOUBLE, FLOAT, INT64 = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64


class NoOnnxForm(NotPossible):
    """A part of a model has no ONNX form."""

    template = "A model as ONNX is refused: {why}."


class Graph:
    """Nodes and constants of a graph; `finished` is the model."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[bytes, str] = {}
        self._initializers: list[TensorProto] = []
        self._inputs: dict[str, int] = {}

    def input(self, name: str, kind: int) -> "Tensor":
        """A column of the rows, shape (rows, 1)."""
        self._inputs[name] = kind
        return Tensor(self, name, (None, 1))

    def node(
        self, operator: str, inputs: Sequence[Any], shape: "Shape", domain: str = "", **given: Any
    ) -> "Tensor":
        """The first output of an operator; see `nodes`."""
        return self.nodes(operator, inputs, (shape,), domain, **given)[0]

    def nodes(
        self, operator: str, inputs: Sequence[Any], shapes: Sequence["Shape"], domain: str = "",
        **given: Any,
    ) -> "list[Tensor]":  # fmt: skip
        """The outputs of an operator; arrays among its inputs become constants."""
        names = [f"t{len(self._nodes)}_{i}" for i in range(len(shapes))]
        node = helper.make_node(operator, [self.name_of(x) for x in inputs], names, domain=domain)
        node.attribute.extend(_attribute(name, value) for name, value in given.items())
        self._nodes.append(node)
        return [Tensor(self, name, shape) for name, shape in zip(names, shapes, strict=True)]

    def name_of(self, value: Any) -> str:
        """The name of a tensor, or of a constant that is added."""
        if isinstance(value, Tensor):
            return value.name
        array = np.asarray(value)
        proto = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape))
        key = proto.SerializeToString()
        if key not in self._constants:
            self._constants[key] = proto.name = f"c{len(self._constants)}"
            self._initializers.append(proto)
        return self._constants[key]

    def finished(self, result: "Tensor", name: str, facts: Mapping[str, str]) -> ModelProto:
        """The model, whose output is `name`."""
        self._nodes.append(helper.make_node("Identity", [result.name], [name]))
        inputs = [
            helper.make_tensor_value_info(column, kind, [BATCH, 1])
            for column, kind in self._inputs.items()
        ]
        shape = [BATCH if size is None else size for size in result.shape]
        output = helper.make_tensor_value_info(name, DOUBLE, shape)
        graph = helper.make_graph(self._nodes, "model", inputs, [output], self._initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR)
        helper.set_model_props(model, dict(facts))
        return model


def _attribute(name: str, value: Any) -> AttributeProto:
    """Arrays of whole numbers at once: checking millions of them one by one takes minutes."""
    if isinstance(value, np.ndarray) and value.dtype == np.int64:
        found = AttributeProto(name=name, type=AttributeProto.INTS)
        found.ints.extend(value.tolist())
        return found
    if isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value)
    made: AttributeProto = helper.make_attribute(name, value)
    return made


Shape = tuple[int | None, ...]
"""None is the number of rows."""


class Tensor(NDArrayOperatorsMixin):
    """A value of a graph, which can be computed with as if it were an array."""

    def __init__(self, graph: Graph, name: str, shape: Shape) -> None:
        self.graph, self.name, self.shape = graph, name, shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> "Tensor":
        form = _UFUNCS.get(ufunc)
        if method != "__call__" or options or form is None:
            raise NoOnnxForm(why=f"numpy.{ufunc.__name__} has none here")
        found: Tensor = form(self.graph, *inputs)
        return found

    def __array_function__(self, function: Any, _types: Any, given: Any, options: Any) -> "Tensor":
        form = _FUNCTIONS.get(function)
        if form is None:
            raise NoOnnxForm(why=f"numpy.{function.__name__} has none here")
        found: Tensor = form(self.graph, *given, **options)
        return found

    def __array__(self, *_: Any, **__: Any) -> npt.NDArray[Any]:
        raise NoOnnxForm(why="a value of each row is asked for while the graph is built")

    def __getitem__(self, where: Any) -> "Tensor":
        """Numbers, lists of numbers, slices and None, one an axis."""
        wanted = where if isinstance(where, tuple) else (where,)
        found, axis = self, 0
        new: list[int] = []  # axes that None adds, counted in the result
        place = 0
        for each in wanted:
            if each is None:
                new.append(place)
                place += 1
                continue
            found = found._taken(each, axis)
            if not isinstance(each, int | np.integer):
                axis, place = axis + 1, place + 1
        if not new:
            return found
        shape = list(found.shape)
        for at in new:
            shape.insert(at, 1)
        return self.graph.node("Unsqueeze", [found, np.array(new)], tuple(shape))

    def _taken(self, which: Any, axis: int) -> "Tensor":
        before, size, after = self.shape[:axis], self.shape[axis], self.shape[axis + 1 :]
        if isinstance(which, slice) and which == slice(None):
            return self
        if isinstance(which, slice) and size is not None:
            which = list(range(size))[which]
        if isinstance(which, slice | Tensor) or size is None:
            raise NoOnnxForm(why="a choice among rows has none here")
        index = np.asarray(which, dtype=np.int64)
        index = np.where(index < 0, index + size, index).astype(np.int64)
        return self.graph.node("Gather", [self, index], (*before, *index.shape, *after), axis=axis)

    def _reduced(self, operator: str, axis: int, keepdims: bool) -> "Tensor":
        axis %= self.ndim
        rest = (*self.shape[:axis], *([1] * keepdims), *self.shape[axis + 1 :])
        return self.graph.node(operator, [self, np.array([axis])], rest, keepdims=int(keepdims))

    def sum(self, axis: int, keepdims: bool = False) -> "Tensor":
        """As of an array."""
        return self._reduced("ReduceSum", axis, keepdims)

    def mean(self, axis: int, keepdims: bool = False) -> "Tensor":
        """As of an array."""
        return self._reduced("ReduceMean", axis, keepdims)

    def min(self, axis: int, keepdims: bool = False) -> "Tensor":
        """As of an array."""
        return self._reduced("ReduceMin", axis, keepdims)

    def max(self, axis: int, keepdims: bool = False) -> "Tensor":
        """As of an array."""
        return self._reduced("ReduceMax", axis, keepdims)

    def std(self, axis: int) -> "Tensor":
        """As of an array."""
        away = self - self.mean(axis, keepdims=True)
        found: Tensor = _elementwise("Sqrt")(self.graph, (away * away).mean(axis))
        return found

    def transpose(self, *axes: int) -> "Tensor":
        """As of an array."""
        shape = tuple(self.shape[axis] for axis in axes)
        return self.graph.node("Transpose", [self], shape, perm=list(axes))

    def reshape(self, *shape: int) -> "Tensor":
        """As of an array; -1 is the number of rows."""
        known = tuple(None if size == -1 else size for size in shape)
        return self.graph.node("Reshape", [self, np.array(shape)], known)

    def cast(self, kind: int) -> "Tensor":
        """The same values as another type."""
        return self.graph.node("Cast", [self], self.shape, to=kind)


def rounded(values: Tensor) -> Tensor:
    """`features.rounding.to_float32`."""
    return values.cast(FLOAT).cast(DOUBLE)


def _shape_of(value: Any) -> Shape:
    return value.shape if isinstance(value, Tensor) else np.shape(value)


def _together(*shapes: Shape) -> Shape:
    """The shape of values that are broadcast against each other."""
    longest = max(map(len, shapes))
    padded = [(1,) * (longest - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(
        None if None in sizes else max(size for size in sizes if size is not None)
        for sizes in zip(*padded, strict=True)
    )


def _float(value: Any) -> npt.NDArray[Any]:
    array = np.asarray(value)
    return array if array.dtype.kind in "bfO" else array.astype(np.float64)


def _elementwise(operator: str) -> Callable[..., Tensor]:
    def form(graph: Graph, *values: Any) -> Tensor:
        given = [x if isinstance(x, Tensor) else _float(x) for x in values]
        return graph.node(operator, given, _together(*map(_shape_of, given)))

    return form


def _matmul(graph: Graph, left: Any, right: Any) -> Tensor:
    one, other = _shape_of(left), _shape_of(right)
    stacked = _together(one[:-2], other[:-2]) if len(one) + len(other) > 4 else ()
    return graph.node("MatMul", [left, right], (*stacked, one[-2], other[-1]))


def _concatenate(graph: Graph, parts: Sequence[Any], axis: int = 0) -> Tensor:
    shapes = [_shape_of(part) for part in parts]
    axis %= len(shapes[0])
    total = sum(shape[axis] or 0 for shape in shapes)
    shape = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
    return graph.node("Concat", parts, shape, axis=axis)


def _side_by_side(graph: Graph, parts: Sequence[Any]) -> Tensor:
    columns = [part[:, None] if part.ndim == 1 else part for part in parts]
    return _concatenate(graph, columns, axis=1)


def _einsum(graph: Graph, equation: str, *values: Tensor) -> Tensor:
    given, wanted = equation.split("->")
    sizes = {
        letter: size
        for letters, value in zip(given.split(","), values, strict=True)
        for letter, size in zip(letters, value.shape, strict=True)
    }
    return graph.node("Einsum", values, tuple(sizes[x] for x in wanted), equation=equation)


def _ones_like(graph: Graph, value: Tensor) -> Tensor:
    size = graph.node("Shape", [value], (value.ndim,))
    return graph.node("ConstantOfShape", [size], value.shape, value=np.ones(1))


def _solve(_: Graph, matrix: Any, right: Any) -> Any:
    """Gauss-Jordan without pivots, for positive definite matrices (rows, size, size)."""
    size = matrix.shape[1]
    both = np.concatenate([matrix, right], axis=2)
    for step in range(size):
        pivot = both[:, [step]] / both[:, [step], step][:, :, None]
        factor = both[:, :, step][:, :, None]
        keep = (np.arange(size) != step).astype(np.float64)[:, None]
        both = (both - factor * pivot) * keep + pivot * (1 - keep)
    return both[:, :, size:]


_UFUNCS: Mapping[Any, Callable[..., Any]] = {
    **{
        getattr(np, name): _elementwise(operator)
        for name, operator in {
            "add": "Add", "subtract": "Sub", "multiply": "Mul", "true_divide": "Div",
            "negative": "Neg", "absolute": "Abs", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
            "power": "Pow", "maximum": "Max", "minimum": "Min", "equal": "Equal",
            "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
            "greater_equal": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or",
            "logical_not": "Not", "bitwise_and": "And", "bitwise_or": "Or", "invert": "Not",
            "isnan": "IsNaN", "sin": "Sin", "cos": "Cos", "sign": "Sign", "floor": "Floor",
        }.items()
    },
    np.matmul: _matmul,
    np.square: lambda _, x: x * x,
    np.hypot: lambda _, x, y: np.sqrt(x * x + y * y),
}  # fmt: skip

_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.where: lambda graph, *values: _elementwise("Where")(graph, *values),
    np.column_stack: _side_by_side,
    np.hstack: _side_by_side,
    np.concatenate: _concatenate,
    np.clip: lambda _, x, low, high: np.minimum(np.maximum(x, low), high),
    np.einsum: _einsum,
    np.ones_like: _ones_like,
    np.linalg.solve: _solve,
    np.nan_to_num: lambda _, x, nan=0.0: np.where(np.isnan(x), nan, x),
}
