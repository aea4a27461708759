"""Converts fitted models; `store.models.onnx_format` asks the converted ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from housing import schema
from housing.inference.onnx.features import Text
from housing.inference.onnx.graph import Graph, NoOnnxForm
from housing.inference.onnx.models import predicted
from housing.schema import CATALOGUE, CATEGORIES, FEATURES
from housing.store.models.onnx_format import OUTPUT


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
