"""Converts fitted models, and keeps the copies of those about to be promoted.

`store.models.onnx_format` asks the converted ones.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto
from sqlalchemy.engine import Row

from housing import schema
from housing.errors import HousingError
from housing.inference.onnx.features import Text
from housing.inference.onnx.graph import Graph, NoOnnxForm
from housing.inference.onnx.models import predicted
from housing.schema import CATALOGUE, CATEGORIES, FEATURES
from housing.store.database.engine import Store
from housing.store.models import artifacts, onnx_copies
from housing.store.models.onnx_format import OUTPUT, OnnxModel

MOST_ROWS = 200_000
"""Training rows up to which a copy is made: of more, neighbours by all distances take too long."""


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
        raise NoOnnxForm(why=f"{type(error).__name__}: {error}") from error
    data: bytes = graph.finished(result, OUTPUT, facts or {}).SerializeToString()
    return data


def _input(graph: Graph, name: str) -> Any:
    if name not in CATEGORIES:
        return graph.input(name, TensorProto.DOUBLE)
    text = graph.input(name, TensorProto.STRING)
    return Text(graph, text.name, text.shape)


def store_copy(store: Store, row: Row[Any], fitted: Any) -> str:
    """Store the ONNX copy of a model; returns why there is none, or "".

    It must reproduce the golden predictions. Nothing that fails here stops a promotion.
    """
    reason, copy = "", None
    if row.train_rows > MOST_ROWS:
        reason = f"{row.train_rows:,} training rows are more than {MOST_ROWS:,}"
    else:
        try:
            data = to_onnx(fitted, {"artifact": row.artifact, "target_unit": schema.UNIT})
            artifacts.replay_golden(
                store, row.golden, lambda X: OnnxModel(data).predict(X[list(schema.FEATURES)])
            )
            copy = artifacts.put_onnx(store, data)
        except HousingError as error:
            reason = str(error.facts.get("why", error)).rstrip(".")
        except Exception as error:  # noqa: BLE001 - a model is promoted without its copy
            reason = f"{type(error).__name__}: {error}"
    onnx_copies.put(store, row.id, copy, reason and f"there is none: {reason}")
    return reason
