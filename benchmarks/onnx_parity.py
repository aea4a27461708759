"""Models as ONNX graphs beside themselves: how far predictions are apart, size and time.

`python -m benchmarks onnx housing.csv`: each family with its defaults, fitted on the training side
of the reference split and asked about the whole table, by itself and by ONNX Runtime, one thread.

The default family also with its numbers (of trees and neighbours) rounded to float16 and to int8:
each column of an array gets a scale from its least to its largest value, thresholds one for each
feature. ONNX Runtime adds up trees in float32 or float64 only, so the rounded numbers are stored as
float64, and the size of the smaller file is computed.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import numpy_helper

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.reference import recipe
from housing import schema
from housing.array_types import Floats
from housing.inference.onnx.convert import to_onnx
from housing.store.models.onnx_format import OnnxModel
from housing.training.candidates import FAMILIES
from housing.training.workers import one_thread

GOAL = 1e-9
"""Largest relative difference of a prediction."""

SEED = 42

DEFAULT = "boosting"


LEAST = 100
"""Numbers of an array from which on it is rounded."""


def _float16(shares: Floats) -> Floats:
    return shares.astype(np.float16).astype(np.float64)


def _int8(shares: Floats) -> Floats:
    return np.round(shares * 127) / 127


ROUNDED: Mapping[str, tuple[Callable[[Floats], Floats], int]] = {
    "float16": (_float16, 2),
    "int8": (_int8, 1),
}
"""How to round numbers from -1 to 1, and the bytes of each then."""


def _scaled(values: Floats, how: Callable[[Floats], Floats]) -> Floats:
    """The numbers of one column, rounded as shares of its range."""
    middle, half = (values.max() + values.min()) / 2, np.ptp(values) / 2
    return middle + how((values - middle) / half) * half if half else values


def rounded(data: bytes, how: Callable[[Floats], Floats]) -> tuple[bytes, int]:
    """The graph with its numbers rounded, and how many these are."""
    model = onnx.load_from_string(data)
    count = 0

    def replace(tensor: onnx.TensorProto, parts: Sequence[Any]) -> None:
        nonlocal count
        values = numpy_helper.to_array(tensor).copy()
        for part in parts:
            values[part] = _scaled(values[part], how)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        count += values.size

    for each in model.graph.initializer:
        shape = tuple(each.dims)
        if each.data_type == onnx.TensorProto.DOUBLE and np.prod(shape) >= LEAST:
            matrix = len(shape) > 1 and min(shape) > 1
            replace(each, [np.s_[:, i] for i in range(shape[1])] if matrix else [np.s_[:]])
    for node in model.graph.node:
        if node.op_type == "TreeEnsemble":
            found = {each.name: each for each in node.attribute}
            feature = np.array(found["nodes_featureids"].ints)
            replace(found["nodes_splits"].t, [feature == each for each in np.unique(feature)])
            replace(found["leaf_weights"].t, [np.s_[:]])
    return model.SerializeToString(), count


def in_fewer_bits(data: bytes, test: pd.DataFrame) -> list[results.Row]:
    """Error and size of a model with numbers of fewer bits, beside float64."""

    def error(of: bytes) -> float:
        return float(np.sqrt(np.mean((OnnxModel(of).predict(test) - test[schema.TARGET]) ** 2)))

    exact, rows = error(data), []
    for name, (how, size) in ROUNDED.items():
        changed, count = rounded(data, how)
        smaller = len(data) - (8 - size) * count
        rows += [
            results.Row(f"{DEFAULT} in {name}: test RMSE", error(changed), exact, schema.UNIT),
            results.Row(f"{DEFAULT} in {name}: size", smaller / 1e6, len(data) / 1e6, "MB"),
        ]
    return rows


def compared(
    family: str, train: pd.DataFrame, test: pd.DataFrame, table: pd.DataFrame
) -> list[results.Row]:
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
    rows = [
        results.Row(f"{family}: largest difference", worst, 0.0, "", worst <= GOAL, f"{GOAL:g}"),
        results.Row(f"{family}: a row", ours * per_row, theirs * per_row, "us"),
        results.Row(f"{family}: size", len(data) / 1e6, 0.0, "MB"),
    ]
    return rows + (in_fewer_bits(data, test) if family == DEFAULT else [])


def main() -> None:
    """Measure and print every installed family."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    table = pd.read_csv(reference_table(parser.parse_args()))
    train, test = (side.astype(schema.dtypes()) for side in recipe.split(table))
    rows = []
    for family in FAMILIES:
        if FAMILIES[family].installed and not family.endswith("-slow"):
            print(f"{family} ...", flush=True)
            found = compared(family, train, test, table.astype(schema.dtypes()))
            print(*map(results.line, found), sep="\n", flush=True)
            rows += found
    results.show("onnx", rows, "models as ONNX beside scikit-learn, on the whole table")
