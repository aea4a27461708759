"""Models as ONNX graphs, made by `inference.onnx`: ONNX Runtime alone predicts with them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing import schema

Floats = npt.NDArray[np.float64]

OUTPUT = schema.unused_name("prediction")

MISSING = ""
"""A category that is not known, as text."""

ROWS_AT_ONCE = 250
"""Rows that are asked together: neighbours are found by all distances to the training rows."""


class OnnxModel:
    """A converted model: predictions by ONNX Runtime, in one thread."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime  # slow to import, and needed for few models

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )

    def predict(self, X: pd.DataFrame) -> Floats:
        """Values of the target for a frame of features, shape (n,)."""
        used = {each.name for each in self._session.get_inputs()}
        given = {name: _given(X[name], name) for name in schema.FEATURES if name in used}
        parts = [
            self._session.run(
                [OUTPUT], {k: v[start : start + ROWS_AT_ONCE] for k, v in given.items()}
            )[0]
            for start in range(0, len(X), ROWS_AT_ONCE)
        ]
        return np.concatenate([np.empty(0), *parts])


def _given(column: Any, name: str) -> npt.NDArray[Any]:
    """A column as an input, shape (n, 1)."""
    if name not in schema.CATEGORIES:
        numbers: npt.NDArray[np.float64] = column.to_numpy(dtype=np.float64)[:, None]
        return numbers
    texts: npt.NDArray[Any] = column.astype(object).where(column.notna(), MISSING).to_numpy()
    return texts[:, None]
