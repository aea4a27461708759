"""Models as ONNX graphs beside themselves: how far predictions are apart, size and time.

`python -m benchmarks onnx housing.csv`: each family with its defaults, fitted on the training side
of the reference split and asked about the whole table, by itself and by ONNX Runtime, one thread.
"""

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.reference import recipe
from housing import schema
from housing.inference.onnx.convert import to_onnx
from housing.store.models.onnx_format import OnnxModel
from housing.training.candidates import FAMILIES
from housing.training.workers import one_thread

GOAL = 1e-9
"""Largest relative difference of a prediction."""

SEED = 42


def compared(family: str, train: pd.DataFrame, table: pd.DataFrame) -> list[results.Row]:
    """One family on all rows of the table."""
    features = list(schema.FEATURES)
    with one_thread():
        model = FAMILIES[family].build(SEED).fit(train[features], train[schema.TARGET])
        began = time.process_time()
        expected = model.predict(table[features])
        theirs = time.process_time() - began
    data = to_onnx(model)
    asked = OnnxModel(data)
    began = time.process_time()
    found = asked.predict(table)
    ours = time.process_time() - began
    worst = float(np.max(np.abs(found / expected - 1)))
    per_row = 1e6 / len(table)
    return [
        results.Row(f"{family}: largest difference", worst, 0.0, "", worst <= GOAL, f"{GOAL:g}"),
        results.Row(f"{family}: a row", ours * per_row, theirs * per_row, "us"),
        results.Row(f"{family}: size", len(data) / 1e6, 0.0, "MB"),
    ]


def main() -> None:
    """Measure and print every installed family."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    table = pd.read_csv(reference_table(parser.parse_args()))
    train, _ = (side.astype(schema.dtypes()) for side in recipe.split(table))
    rows = []
    for family in FAMILIES:
        if FAMILIES[family].installed and not family.endswith("-slow"):
            print(f"{family} ...", flush=True)
            rows += compared(family, train, table.astype(schema.dtypes()))
            print(*map(results.line, rows[-3:]), sep="\n", flush=True)
    results.show("onnx", rows, "models as ONNX beside scikit-learn, on the whole table")
