"""Errors of models: expected, on the test rows of their own dataset, and live, by later labels.

Not every logged prediction has its location on record, so intervals of live error assume what
alarms assume: errors of neighbours are correlated, and `design_effect` rows count as one.
"""

from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.evaluation.conformal import coverage_of
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.monitoring.live_error import Counts, LabelledPredictions, counted
from housing.records import Interval
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.runs import labelled as recorded

REFERENCE_ROWS = 20_000
"""Training rows that current ones are compared with; of more, every k-th."""

CONFIDENCE = 0.95


def sides(store: Store, version: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows (thinned) and test rows of a dataset version."""
    frame = datasets.read(store, version)
    train = datasets.training_rows(frame)
    return train[:: -(-len(train) // REFERENCE_ROWS)], datasets.test_rows(frame)


def labelled(frame: pd.DataFrame, found: Predictions) -> LabelledPredictions:
    """Rows with their label and the predictions of a model."""
    actual = frame[schema.TARGET].to_numpy(np.float64)
    return LabelledPredictions(actual, found.predicted, found.lower, found.upper)


def of_test_rows(served: LoadedModel, test: pd.DataFrame) -> Counts:
    """Expected counts, from the test rows of the model's own dataset version."""
    return counted(labelled(test, served.predictions(columns_of_frame(test))))


def live_errors(
    connection: Connection, withdrawn: Collection[str], design_effect: float
) -> tuple[dict[str, Any], ...]:
    """RMSE and coverage of each model whose labels count as two independent rows or more; labels of
    withdrawn batches do not count."""
    return tuple(
        {
            "model": f"m{row.model}",
            "shadow": bool(row.shadow),
            "rows": row.rows,
            "rmse": asdict(_rmse(row, row.rows / design_effect)),
            "covered": asdict(_covered(row, design_effect)) if row.with_interval else None,
            "first": row.first.isoformat(),
            "last": row.last.isoformat(),
        }
        for row in recorded.error_sums(connection, withdrawn)
        if row.rows >= 2 * design_effect
    )


def _rmse(row: Row[Any], n: float) -> Interval:
    """As `evaluation.metrics.measure` computes it for `n` independent rows, from sums."""
    mean = row.squares / row.rows
    variance = max(row.fourth_powers / row.rows - mean**2, 0.0) / (n - 1)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * variance**0.5
    value, lower, upper = np.sqrt(np.maximum([mean, mean - half, mean + half], 0.0)).tolist()
    return Interval(value, lower, upper, CONFIDENCE)


def _covered(row: Row[Any], design_effect: float) -> Interval:
    found = coverage_of(row.inside / design_effect, row.with_interval / design_effect)
    return replace(found, value=row.inside / row.with_interval)
