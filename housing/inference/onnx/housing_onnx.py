"""Predictions of a model in ONNX form for MLflow's clients: `mlflow.pyfunc.load_model`.

This file is stored beside such a model there, so it needs ONNX Runtime, NumPy and pandas alone,
and nothing of this package. No pickle is involved.
"""

from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

ROWS_AT_ONCE = 250
"""Rows that are asked together: neighbours are found by all distances to the training rows."""


class OnnxPredictor:
    """A model: rows of the table's columns in, a frame of one column out."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """One prediction a row."""
        (output,) = self._session.get_outputs()
        given = {each.name: _column(model_input, each) for each in self._session.get_inputs()}
        found = [np.empty(0)]
        for start in range(0, len(model_input), ROWS_AT_ONCE):
            rows = {name: values[start : start + ROWS_AT_ONCE] for name, values in given.items()}
            found += self._session.run([output.name], rows)
        return pd.DataFrame({output.name: np.concatenate(found)}, index=model_input.index)


def _column(frame: pd.DataFrame, wanted: Any) -> Any:
    """A column as an input, shape (n, 1): text, "" where it is missing, or a number."""
    column = frame[wanted.name]
    if wanted.type == "tensor(string)":
        return column.astype(object).where(column.notna(), "").to_numpy(dtype=object)[:, None]
    return column.to_numpy(dtype=np.float64)[:, None]


def _load_pyfunc(path: str) -> OnnxPredictor:
    """What MLflow calls with the path of the file."""
    return OnnxPredictor(path)
