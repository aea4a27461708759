"""A stored model as a file for other programs, with what is needed to use it rightly.

skops needs this project's package, onnx needs ONNX Runtime alone, web a browser alone.
"""

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import skops.io

from housing import schema
from housing.errors import NotPossible
from housing.inference.calibration import Calibration
from housing.inference.loaded_model import load
from housing.inference.onnx.convert import to_onnx
from housing.operations.public_model import PublicModel, public_model
from housing.operations.web_page import page_files, runtime_files
from housing.settings import load_settings
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.models import artifacts, registry
from housing.store.models.artifacts import PREDICTION, worst_difference
from housing.store.models.onnx_format import OnnxModel
from housing.store.models.trusted_types import trusted_types
from housing.store.objects.filesystem import sync, write_page

Floats = npt.NDArray[np.float64]

KINDS = ("skops", "onnx", "web")
HOW = {
    "skops": "skops.io.load('model.skops', trusted=trusted_types).predict(frame of features); "
    "types of this project need its package. check.csv has rows and what must come out. The "
    "service sets a prediction below the target's minimum, or above its maximum, to that limit.",
    "onnx": "onnxruntime.InferenceSession('model.onnx').run(None, inputs): each feature is an "
    "input of shape (rows, 1), numbers as float64 (NaN where missing), categories as text (empty "
    "where missing). check.csv has rows and what must come out. A prediction below the target's "
    "minimum, or above its maximum, is set to that limit, as by the service.",
    "web": "Open index.html in a browser; no server and no network are needed. check.csv has rows "
    "and what must come out.",
}
HOLDS_LABELS = (
    "A model that finds nearest rows holds the training rows and their target values: it is for "
    "those who may see them. --public exports one without."
)
TOLERANCE = 1e-9
"""Relative; what was written is read back and must predict what the model does."""


@dataclass(frozen=True)
class Exported:
    """The files that were written, and what the model holds of its training rows."""

    files: list[Path]
    notice: str


def export(
    store: Store,
    model: int,
    kind: str,
    folder: Path,
    *,
    public: bool = False,
    runtime: Path | None = None,
) -> Exported:
    """Write a model into `folder`: the model, how to use it, rows to check it by.

    With `public` a model without target values of training rows (`public_model`); `runtime` is the
    folder of onnxruntime-web. All of it or nothing. NotPossible for a kind that cannot be written
    honestly, or where the folder is in use.
    """
    if kind not in KINDS:
        raise NotPossible(what=f"Exporting m{model} to {kind}", why="it is skops, onnx or web.")
    must_be_free(folder)
    if public and kind == "skops":
        why = "only onnx and web are written for the public."
        raise NotPossible(what=f"Exporting m{model} to skops", why=why)
    needed = runtime_files(runtime) if kind == "web" else {}
    row = store.query(registry.model, model)
    fitted = artifacts.get_model(store, row.artifact)
    served = load(store, model)
    golden = to_frame(get_table(store, row.golden))
    rows = golden[list(schema.FEATURES)]
    found = PublicModel(fitted, message=HOLDS_LABELS)
    if public:
        found = public_model(store, load_settings(), row, fitted)
    fitted, left_out, notice = found.model, found.left_out, found.message
    if left_out:
        golden = golden.assign(**{PREDICTION: fitted.predict(rows)})
    data, again = _as_skops(fitted, rows) if kind == "skops" else as_onnx(fitted, model, rows)
    if kind != "skops":
        golden[PREDICTION] = schema.in_range(golden[PREDICTION].to_numpy())
    worst = worst_difference(again, golden[PREDICTION].to_numpy())
    if not worst <= TOLERANCE:
        raise NotPossible(
            what=f"Exporting m{model}", why=f"read back it predicts otherwise (by {worst:.2g})."
        )
    types = _types(data) if kind == "skops" else []
    # The interval is that of the stored model.
    calibration = replace(served.calibration, interval=None) if left_out else served.calibration
    about = {**served.model_facts, **({"left_out": left_out} if left_out else {})}
    facts = _facts(about, calibration, types, f"{HOW[kind]} {notice}")
    check = golden.rename(columns={PREDICTION: schema.unused_name("prediction")})
    files = {f"model.{kind}": data}
    if kind == "web":
        files = page_files(served, data, found.error, needed)
    contents = {
        **files,
        "model.json": facts,
        "check.csv": check.to_csv(index=False).encode(),
    }
    write_all(folder.resolve(), contents)
    return Exported([folder / name for name in contents], notice)


def _as_skops(fitted: Any, rows: pd.DataFrame) -> tuple[bytes, Floats]:
    """A model's bytes, and what it predicts once they are read."""
    data: bytes = skops.io.dumps(fitted)
    return data, skops.io.loads(data, trusted=_types(data)).predict(rows)


def as_onnx(fitted: Any, model: int, rows: pd.DataFrame) -> tuple[bytes, Floats]:
    """A model as ONNX, and what it predicts once it is read; NoOnnxForm where there is none."""
    facts = {"model": f"m{model}", "target_unit": schema.UNIT}
    data = to_onnx(fitted, facts, in_range=True)
    return data, OnnxModel(data).predict(rows)


def must_be_free(folder: Path) -> None:
    """NotPossible where a folder that is to be written is in use."""
    if folder.exists() and not folder.is_dir():
        raise NotPossible(what=f"Writing into {folder}", why="it is a file. Name a folder.")
    if folder.exists() and any(folder.iterdir()):
        raise NotPossible(what=f"Writing into {folder}", why="it is not empty. Name another.")


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder at once, so that two exports never share one."""
    scratch = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        for name, content in contents.items():
            write_page(scratch / name, content)
        try:
            scratch.rename(folder)
        except OSError as error:
            why = f"it is not empty any more ({error.strerror}). Name another."
            raise NotPossible(what=f"Writing into {folder}", why=why) from error
        sync(folder.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _types(data: bytes) -> list[str]:
    """Types in the file that only this program trusts, not skops."""
    found = skops.io.get_untrusted_types(data=data)
    trusted = trusted_types()
    return [name for name in found if name in trusted]


def _facts(facts: object, calibration: Calibration, types: list[str], how: str) -> bytes:
    target = schema.CATALOGUE[schema.TARGET]
    content = {
        "model": facts,
        "features": [
            {"name": n, "unit": schema.CATALOGUE[n].unit,
             "categories": list(schema.CATALOGUE[n].categories)} for n in schema.FEATURES
        ],
        "target": {"name": schema.TARGET, "unit": target.unit, "minimum": target.minimum,
                   "maximum": target.maximum},
        "trusted_types": types,
        "interval": None if calibration.interval is None else vars(calibration.interval),
        "how": how,
    }  # fmt: skip
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)
