"""Rows, features and monitoring windows as Parquet, for programs that know nothing of this one.

Beside each table there is a data dictionary. Not here: models (`export`).
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from housing import schema
from housing.errors import NotPossible
from housing.inference.columns import columns_of_frame
from housing.inference.fast_predictor import checked_predictor
from housing.keys import KEY_COLUMN
from housing.operations.export import must_be_free, write_all
from housing.operations.predict import champion_of
from housing.records import Json
from housing.store.data import batches, datasets
from housing.store.data.datasets import SIDE_COLUMN
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.models import artifacts, registry
from housing.store.runs import monitor_windows
from housing.training.lineage import definitions

DICTIONARY = "dictionary.json"
KEY, SIDE = schema.unused_name("key"), schema.unused_name("side")


def export_dataset(
    store: Store, version: int, folder: Path, *, features: bool = False, model: int | None = None
) -> list[Path]:
    """Write the rows of a version and, with `features`, what a model computes of them.

    `model` is the champion if left out. NotPossible where the folder is in use.
    """
    must_be_free(folder)
    frame = datasets.read(store, version)
    simulated = store.query(batches.any_simulated, version)
    names = {KEY_COLUMN: KEY, SIDE_COLUMN: SIDE}
    rows = frame.assign(**{SIDE_COLUMN: np.where(frame[SIDE_COLUMN], "test", "training")})
    rows = rows[[*names, *schema.CATALOGUE]].rename(columns=names)
    content = {"rows.parquet": _parquet(rows)}
    dictionary: dict[str, Any] = {
        "dataset": f"v{version}",
        "problem": schema.PROBLEM.name,
        "simulated": simulated,
        "unused_rows": datasets.unused_rows(store, version),
        "rows.parquet": _columns(),
    }
    if features:
        chosen = champion_of(store, "Exporting features") if model is None else model
        computed, defined = _features(store, chosen, frame)
        content["features.parquet"] = _parquet(computed)
        dictionary |= {"model": f"m{chosen}", "features.parquet": [_KEY_FACTS, *defined]}
    return _write(folder, content, dictionary)


def export_windows(store: Store, folder: Path) -> list[Path]:
    """Write every window of the monitor, and a row for each of its signals."""
    must_be_free(folder)
    found = store.query(monitor_windows.every)
    plain = ("source", "promotion", "rows", "labelled", "recorded_at")
    windows, signals = [], []
    for row in found:
        window = {"window": row.id, "model": f"m{row.model}"}
        facts = {name: row._mapping[name] for name in plain}
        texts = {name: json.dumps(row._mapping[name]) for name in ("errors", "actions")}
        windows.append({**window, **facts, **texts})
        signals += [{**window, "recorded_at": row.recorded_at, **signal} for signal in row.signals]
    tables = {"windows.parquet": windows, "signals.parquet": signals}
    content = {
        name: _parquet(pd.DataFrame(rows, columns=list(WINDOWS[name])))
        for name, rows in tables.items()
    }
    return _write(folder, content, WINDOWS)


WINDOWS: Json = {
    "windows.parquet": {
        "window": "number of the window",
        "model": "champion of the window",
        "source": "what was read: predictions, labels, batches or clock",
        "promotion": "entry of the promotion log that made the model champion",
        "rows": "rows read",
        "labelled": "rows of these whose label has arrived",
        "recorded_at": "UTC",
        "errors": "live error by model, JSON",
        "actions": "alerts, and what was started, JSON",
    },
    "signals.parquet": {
        "window": "the window that it belongs to",
        "model": "champion of the window",
        "recorded_at": "UTC",
        "name": "a column, or what is measured",
        "label": "the name for people; the name itself if empty",
        "kind": "drift, predictions, error, upstream, stale or rejected",
        "fired": "whether it is beyond its limit",
        "alarm": "whether that is an alarm",
        "rows": "rows that were measured",
        "effect": "what is compared with the limit, if it is a figure",
        "limit": "limit of the effect",
        "q_value": "chance of such an effect without a change, over all columns together",
        "message": "the figures in words",
    },
}
"""The columns of both tables, which are also the data dictionary."""


def _features(
    store: Store, model: int, frame: pd.DataFrame
) -> tuple[pd.DataFrame, list[Mapping[str, Any]]]:
    """The features of a model with the rows' keys, as the prediction service computes them."""
    row = store.query(registry.model, model)
    fitted = artifacts.get_model(store, row.artifact)
    defined = definitions(fitted)
    if not defined:
        why = "it computes no features before its model. Export without --features."
        raise NotPossible(what=f"Exporting the features of m{model}", why=why)
    golden = to_frame(get_table(store, row.golden))
    blocks = checked_predictor(fitted, golden).features(columns_of_frame(frame))
    names = [feature.name for feature in defined]
    computed = pd.DataFrame(np.hstack(blocks), columns=names)
    computed.insert(0, KEY, frame[KEY_COLUMN].to_numpy())
    return computed, [asdict(feature) for feature in defined]


_KEY_FACTS: Json = {"name": KEY, "definition": "identity of the row, the same in every version"}


def _columns() -> list[Mapping[str, Any]]:
    """The data dictionary of rows, from the problem's table."""
    side = {"name": SIDE, "definition": "training or test; permanent"}
    return [
        _KEY_FACTS,
        side,
        *(
            {**asdict(column), "role": "target" if name == schema.TARGET else "feature"}
            for name, column in schema.CATALOGUE.items()
        ),
    ]


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _write(folder: Path, content: Mapping[str, bytes], dictionary: Json) -> list[Path]:
    text = json.dumps(dictionary, indent=2, ensure_ascii=False) + "\n"
    whole = {**content, DICTIONARY: text.encode()}
    write_all(folder.resolve(), whole)
    return [folder / name for name in whole]
