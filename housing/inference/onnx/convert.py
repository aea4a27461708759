"""Converts fitted models, and asks the converted ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto

from housing import schema
from housing.inference.columns import Columns
from housing.inference.onnx.features import MISSING, Text
from housing.inference.onnx.graph import Graph, NoOnnxForm
from housing.inference.onnx.models import predicted
from housing.schema import CATALOGUE, CATEGORIES, FEATURES

Floats = npt.NDArray[np.float64]

OUTPUT = schema.unused_name("prediction")

ROWS_AT_ONCE = 250
"""Rows that are asked together: neighbours are found by all distances to the training rows."""


def to_onnx(model: Any, facts: Mapping[str, str] | None = None, *, in_range: bool = False) -> bytes:
    """A fitted model as a graph from the table's columns to the target, in float64.

    Each feature is an input of shape (rows, 1): a float64 number, NaN where there is none, or a
    category as text, "" where there is none. The output `OUTPUT` has shape (rows,), in the target's
    unit; with `in_range` those beyond the target's declared range are set to its limit, as in
    service. `facts` are stored beside it. Raises NoOnnxForm.
    """
    graph = Graph()
    table = {name: _input(graph, name) for name in FEATURES}
    try:
        result = predicted(model, table)
        if in_range:
            target = CATALOGUE[schema.TARGET]
            result = result if target.minimum is None else np.maximum(result, target.minimum)
            result = result if target.maximum is None else np.minimum(result, target.maximum)
    except NoOnnxForm:
        raise
    except Exception as error:  # whatever a function of arrays raises that is given tensors
        raise NoOnnxForm(f"{type(error).__name__}: {error}") from error
    data: bytes = graph.finished(result, OUTPUT, facts or {}).SerializeToString()
    return data


def _input(graph: Graph, name: str) -> Any:
    if name not in CATEGORIES:
        return graph.input(name, TensorProto.DOUBLE)
    text = graph.input(name, TensorProto.STRING)
    return Text(graph, text.name, text.shape)


class OnnxModel:
    """A converted model: predictions by ONNX Runtime, in one thread."""

    def __init__(self, data: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )

    def predict(self, columns: Columns) -> Floats:
        """Values of the target, shape (n,)."""
        given, n = (
            {name: _given(name, columns[name]) for name in FEATURES},
            len(columns[FEATURES[0]]),
        )
        used = {each.name for each in self._session.get_inputs()}
        parts = [
            self._session.run(
                [OUTPUT],
                {k: v[start : start + ROWS_AT_ONCE] for k, v in given.items() if k in used},
            )[0]
            for start in range(0, n, ROWS_AT_ONCE)
        ]
        return np.concatenate([np.empty(0), *parts])


def _given(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column as an input, shape (n, 1)."""
    if name not in CATEGORIES:
        return np.asarray(values, dtype=np.float64)[:, None]
    texts = np.array([*CATALOGUE[name].categories, MISSING], dtype=object)  # -1 is the last
    found: npt.NDArray[Any] = texts[values][:, None]
    return found
