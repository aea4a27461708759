"""Expected rates of a model: its counts on the test rows of its own dataset version."""

import numpy as np
import pandas as pd

from housing import schema
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.monitoring.live_error import Counts, LabelledPredictions, counted
from housing.store.data import datasets
from housing.store.database.engine import Store

REFERENCE_ROWS = 20_000
"""Training rows that current ones are compared with; of more, every k-th."""


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


def of(store: Store, served: LoadedModel) -> Counts:
    """Expected counts of a model, read from the store."""
    return of_test_rows(served, sides(store, served.version)[1])
