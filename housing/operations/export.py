"""A stored model as a file for other programs, with what is needed to use it rightly.

skops only, so far: onnx and mlflow are refused with the reason, as what they would write could not
be checked here to give the same numbers.
"""

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson
import skops.io

from housing import schema
from housing.errors import NotPossible
from housing.inference.calibration import Calibration
from housing.inference.loaded_model import load
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.models import artifacts, registry
from housing.store.models.artifacts import PREDICTION, worst_difference
from housing.store.models.trusted_types import trusted_types
from housing.store.objects.filesystem import sync, write_page

REFUSED = {
    "onnx": "no converter that is installed keeps the numbers (skl2onnx cannot write histogram "
    "boosting). Export to skops, or ask the server",
    "mlflow": "MLflow is not installed, and its format is a pickle that anyone who can change it "
    "can run code by. Export to skops, or ask the server",
}
TOLERANCE = 1e-9
"""Relative; what was written is read back and must predict what the model does."""


def export(store: Store, model: int, kind: str, folder: Path) -> list[Path]:
    """Write a model into `folder`: the model, how to use it, rows to check it by.

    All of it or nothing. NotPossible for a kind that cannot be written honestly, or where the
    folder is in use.
    """
    if kind in REFUSED:
        raise NotPossible(what=f"Exporting m{model} to {kind}", why=f"{REFUSED[kind]}.")
    if kind != "skops":
        raise NotPossible(what=f"Exporting m{model} to {kind}", why="it is skops, onnx or mlflow.")
    if folder.exists() and not folder.is_dir():
        raise NotPossible(what=f"Writing into {folder}", why="it is a file. Name a folder.")
    if folder.exists() and any(folder.iterdir()):
        raise NotPossible(what=f"Writing into {folder}", why="it is not empty. Name another.")
    with store.read() as connection:
        row = registry.model(connection, model)
    fitted = artifacts.get_model(store, row.artifact)
    served = load(store, model)
    golden = to_frame(get_table(store, row.golden))
    data = skops.io.dumps(fitted)
    again = skops.io.loads(data, trusted=_types(data))
    rows = golden[list(schema.FEATURES)]
    worst = worst_difference(again.predict(rows), golden[PREDICTION].to_numpy())
    if not worst <= TOLERANCE:
        raise NotPossible(
            what=f"Exporting m{model}", why=f"read back it predicts otherwise (by {worst:.2g})."
        )
    facts = _facts(served.model_facts, served.calibration, _types(data))
    check = golden.rename(columns={PREDICTION: schema.unused_name("prediction")})
    contents = {
        "model.skops": data,
        "model.json": facts,
        "check.csv": check.to_csv(index=False).encode(),
    }
    _write_all(folder.resolve(), contents)
    return [folder / name for name in contents]


def _write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder at once, so that two exports never share one."""
    scratch = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        for name, content in contents.items():
            write_page(scratch / name, content)
        try:
            scratch.rename(folder)
        except OSError as error:
            why = f"it came into use meanwhile ({error.strerror}). Name another."
            raise NotPossible(what=f"Writing into {folder}", why=why) from error
        sync(folder.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _types(data: bytes) -> list[str]:
    """Types in the file that only this program trusts, not skops."""
    found = skops.io.get_untrusted_types(data=data)
    trusted = trusted_types()
    return [name for name in found if name in trusted]


def _facts(facts: object, calibration: Calibration, types: list[str]) -> bytes:
    content = {
        "model": facts,
        "features": [
            {"name": n, "unit": schema.CATALOGUE[n].unit,
             "categories": list(schema.CATALOGUE[n].categories)} for n in schema.FEATURES
        ],
        "target": {"name": schema.TARGET, "unit": schema.CATALOGUE[schema.TARGET].unit},
        "trusted_types": types,
        "interval": None if calibration.interval is None else vars(calibration.interval),
        "how": "skops.io.load('model.skops', trusted=trusted_types).predict(frame of features); "
        "types of this project need its package. check.csv has rows and what must come out.",
    }  # fmt: skip
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)
