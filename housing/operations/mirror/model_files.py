"""The files of a model there: its ONNX form, and what MLflow's clients load it by.

The description is written by hand and comes last: without it nothing there can be loaded.
"""

import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.engine import Row

from housing import schema
from housing.inference.columns import columns_of_frame, frame_of, row_at
from housing.inference.onnx import housing_onnx
from housing.inference.onnx.graph import NoOnnxForm
from housing.operations.export import TOLERANCE, as_onnx
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.models import artifacts
from housing.store.models.artifacts import PREDICTION, worst_difference
from housing.store.models.onnx_format import OUTPUT

MODEL, DESCRIPTION = "model.onnx", "MLmodel"
EXAMPLE, EXAMPLE_ROWS = "input_example.json", 3
CODE = "code"
LIBRARIES = ("onnxruntime", "numpy", "pandas")


def model_files(store: Store, model: Row[Any]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes, in the order in which they are written; NoOnnxForm where there are none."""
    golden = to_frame(get_table(store, model.golden))
    rows = golden[list(schema.FEATURES)]
    yield MODEL, _onnx(store, model, golden)
    loader = Path(housing_onnx.__file__)
    yield f"{CODE}/{loader.name}", loader.read_bytes()
    columns = columns_of_frame(rows.head(EXAMPLE_ROWS))
    values = [[*row_at(columns, at).values()] for at in range(len(frame_of(columns)))]
    yield EXAMPLE, orjson.dumps({"columns": [*schema.FEATURES], "data": values})
    pins = [f"{name}=={version(name)}" for name in LIBRARIES]
    yield "requirements.txt", "\n".join(pins).encode()
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    yield "python_env.yaml", orjson.dumps(environment)  # JSON is YAML
    yield DESCRIPTION, orjson.dumps(_description(model, loader.stem), option=orjson.OPT_INDENT_2)


def _onnx(store: Store, model: Row[Any], golden: Any) -> bytes:
    """The model as ONNX, checked against its stored predictions; NoOnnxForm where they differ."""
    fitted = artifacts.get_model(store, model.artifact)
    data, again = as_onnx(fitted, model.id, golden[list(schema.FEATURES)])
    worst = worst_difference(again, schema.in_range(golden[PREDICTION].to_numpy()))
    if not worst <= TOLERANCE:
        raise NoOnnxForm(why=f"it predicts otherwise, by {worst:.2g}")
    return data


def _description(model: Row[Any], loader: str) -> dict[str, Any]:
    """The file `MLmodel`: how to load the model, and the columns in and out."""
    inputs = [
        _column(name, "string" if name in schema.CATEGORIES else "double")
        for name in schema.FEATURES
    ]
    return {
        "flavors": {
            "python_function": {
                "loader_module": loader,
                "code": CODE,
                "data": MODEL,
                "env": {"virtualenv": "python_env.yaml"},
                "python_version": platform.python_version(),
            },
        },
        "metadata": {"housing.id": f"m{model.id}", "target_unit": schema.UNIT},
        "saved_input_example_info": {
            "artifact_path": EXAMPLE, "type": "dataframe", "pandas_orient": "split",
        },
        "signature": {
            "inputs": orjson.dumps(inputs).decode(),
            "outputs": orjson.dumps([_column(OUTPUT, "double")]).decode(),
        },
        "utc_time_created": f"{model.created_at:%Y-%m-%d %H:%M:%S.%f}",
    }  # fmt: skip


def _column(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": True}
