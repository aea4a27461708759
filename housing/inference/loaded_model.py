"""A loaded model: verified, warmed up, with its calibration; immutable.

A request uses one `LoadedModel` for all its rows, so no response mixes two models. Which one is
in use belongs in `serving.model_reloader`.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from sqlalchemy.engine import Row

from housing import schema
from housing.array_types import Floats, Integers, Mask
from housing.errors import BlobMissing, HousingError
from housing.inference.calibration import Calibration, build, group_matrix
from housing.inference.columns import Columns, columns_of
from housing.inference.fast_predictor import checked_predictor, mean_of, predict_members
from housing.inference.training_index import TrainingIndex, distances
from housing.keys import KEY_COLUMN, Keys
from housing.problem import MARK, significant
from housing.schema import CHALLENGER
from housing.store.data import batches, datasets
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.models import calibrations, onnx_copies, registry, searches
from housing.store.objects.deletion import is_dropped
from housing.store.queries import time as as_text
from housing.store.runs.predictions import PREDICTED

ROW = schema.WORDING.row
SIMULATED = (
    f"SIMULATED {schema.WORDING.rows.upper()}: this model was trained on simulated "
    f"{schema.WORDING.rows}, not on real {schema.WORDING.values}."
)

WARM_UP_CALLS = 5
"""Before a model is in use, so that no client waits for what is built at first use."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for n rows, shape (n,) each; limits are NaN where there is no interval."""

    predicted: Floats  # in the target's unit, as the limits
    lower: Floats
    upper: Floats
    outside: Mask  # values that no training row has, shape (n, features)
    far: Mask  # no training row is near
    distance: Floats  # to the nearest training row, in the location's unit; 0 without a location

    @property
    def extrapolates(self) -> Mask:
        """Rows unlike any training row."""
        return self.outside.any(axis=1) | self.far

    def rows(self, rows: slice | Integers) -> "Predictions":
        """The predictions of some of the rows."""
        return Predictions(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class LoadedModel:
    """A model and all that its predictions need."""

    model: int
    seq: int  # number of the promotion that made it champion; 0 for one that is not
    since: datetime
    trained_at: datetime
    version: int  # dataset
    simulated: bool  # trained on simulated rows
    model_facts: Mapping[str, Any]
    predict: Callable[[Columns], Floats]
    calibration: Calibration
    training_index: TrainingIndex
    onnx_copy: str = ""  # why it has no ONNX copy; "" where it has one
    artifact_error: str = ""  # why the ONNX copy predicts in place of the model's own artifact
    seconds: float = 0.0  # processor time of a prediction for one row

    @property
    def name(self) -> str:
        """Its id as shown to users, e.g. m7."""
        return f"m{self.model}"

    @property
    def notice(self) -> str:
        """That it was trained on simulated rows, and that its ONNX copy predicts; "" if neither."""
        return " ".join(filter(None, (SIMULATED if self.simulated else "", self.copy_notice)))

    @property
    def copy_notice(self) -> str:
        """That its ONNX copy predicts; "" if its own artifact does."""
        why = self.artifact_error
        return f"{self.name} predicts by its ONNX copy: {why}." if why else ""

    def predictions(self, columns: Columns) -> Predictions:
        """Predictions for rows that are valid by the catalogue."""
        predicted = self.predict(columns)
        nearest, away = distances(self.training_index, columns)
        interval = self.calibration.interval
        half = np.full(len(predicted), np.nan)
        if interval is not None:
            nearby = self.training_index.nearby_at(nearest)
            half = interval.half_width(predicted, nearby, group_matrix(columns))
        return Predictions(
            predicted=predicted,
            lower=schema.in_range(predicted - half),
            upper=schema.in_range(predicted + half),
            outside=self._outside(columns),
            far=away > self.calibration.far,
            distance=away,
        )

    def _outside(self, columns: Columns) -> Mask:
        rows = len(columns[schema.FEATURES[0]])
        outside = np.zeros((rows, len(schema.FEATURES)), dtype=np.bool_)
        for index, name in enumerate(schema.FEATURES):
            column, values = schema.CATALOGUE[name], columns[name]
            if name in schema.CATEGORIES:
                seen = self.calibration.seen[name]
                # The last entry is that of a missing value, whose code is -1.
                known = [*(category in seen for category in column.categories), column.nullable]
                outside[:, index] = ~np.array(known)[values]
            else:
                low, high = self.calibration.ranges.get(name, (np.inf, -np.inf))
                outside[:, index] = (values < low) | (values > high)
        return outside

    def warnings(self, row: Mapping[str, Any], predictions: Predictions, at: int) -> list[str]:
        """Why row `at` extrapolates; empty where it does not."""
        found = []
        for index in np.flatnonzero(predictions.outside[at]):
            name = schema.FEATURES[index]
            column, value = schema.CATALOGUE[name], row[name]
            if name in schema.CATEGORIES:
                found.append(f"no training {ROW} has {column.label} {value!r}")
                continue
            low, high = self.calibration.ranges.get(name, (np.inf, -np.inf))
            found.append(
                f"{column.label} {significant(value)} is outside what the model was trained on, "
                f"{significant(low)} to {significant(high)} {column.unit}"
            )
        if predictions.far[at] and schema.LOCATION:
            away = predictions.distance[at]
            shown = f"{away:,.0f}" if away >= 10 else f"{away:.2g}"
            found.append(f"the nearest training {ROW} is {shown} {schema.LOCATION.unit} away")
        return found


def load(store: Store, model: int, *, seq: int = 0, since: datetime | None = None) -> LoadedModel:
    """Load a model: check its signature and digest, replay its golden rows, warm it up.

    Corrupt or BlobMissing where the stored model is damaged or predicts other values than before;
    where the libraries have changed, its ONNX copy is loaded if it has one.
    """
    with store.read() as connection:
        row = registry.model(connection, model)
        metric = searches.metric_of(searches.get(connection, row.search))
        simulated = batches.any_simulated(connection, row.version)
        copy = onnx_copies.get(connection, model)
    found = onnx_copies.load_verified(store, row)
    golden = to_frame(get_table(store, row.golden))
    calibration, training_index = calibration_of(store, row, found.model)
    served = LoadedModel(
        model=model,
        seq=seq,
        since=since or row.created_at,
        trained_at=row.created_at,
        version=row.version,
        simulated=simulated,
        model_facts={
            "model": f"m{model}",
            "family": row.family,
            "dataset": f"v{row.version}",
            "train_rows": row.train_rows,
            "trained_at": as_text(row.created_at),
            "metric": metric,
            "cv_error": row.cv_error,
            "artifact": found.artifact,
        },
        predict=checked_predictor(found.model, golden).predict,
        calibration=calibration,
        training_index=training_index,
        onnx_copy=onnx_copies.NONE if copy is None else copy.reason,
        artifact_error=found.artifact_error,
    )
    return replace(served, seconds=_median_latency(served))


def _median_latency(served: LoadedModel) -> float:
    """Processor time of one row over WARM_UP_CALLS calls; the first call fills caches."""
    row = columns_of([served.calibration.typical])
    taken = []
    for _ in range(1 + WARM_UP_CALLS):
        began = time.thread_time()
        served.predictions(row)
        taken.append(time.thread_time() - began)
    return statistics.median(taken[1:])


# --- calibration ----------------------------------------------------------------------------

_FACTS = TypeAdapter(Calibration)
VALUE, NEARBY = f"{MARK}value", f"{MARK}nearby"
"""Columns of a stored training index besides the features; no feature has these names."""


def calibration_of(store: Store, model: Row[Any], fitted: Any) -> tuple[Calibration, TrainingIndex]:
    """The stored calibration of a model; it is computed and stored if there is none.

    A model that `reproduce --keep` brought back may have one whose training index was pruned.
    """
    with store.read() as connection:
        row = calibrations.get(connection, model.id)
    if row is None or is_dropped(store, row.training_index):
        calibration, index = _build(store, model, fitted)
        nearby = {} if index.nearby is None else {NEARBY: index.nearby}
        frame = pd.DataFrame({**index.columns, VALUE: index.values, **nearby})
        calibrations.put(store, model.id, _FACTS.dump_python(calibration, mode="json"), frame)
        return calibration, index
    table = get_table(store, row.training_index)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    values, residuals = columns.pop(VALUE), columns.pop(NEARBY, None)
    return _FACTS.validate_python(row.facts), TrainingIndex(columns, values, residuals)


def _build(store: Store, model: Row[Any], fitted: Any) -> tuple[Calibration, TrainingIndex]:
    frame = datasets.read(store, model.version)
    train, test = datasets.training_rows(frame), datasets.test_rows(frame)
    predicted = None
    if len(test):
        predicted = stored_predictions(store, model, test[KEY_COLUMN].to_numpy())
        if predicted is None:
            predicted = mean_of(predict_members(fitted, test))
    return build(train, out_of_fold(store, model, train), test, predicted, seed=model.seed)


def stored_predictions(store: Store, model: Row[Any], keys: Keys) -> Floats | None:
    """The model's predictions for test rows (n,) from its evaluation; None if they are not stored.

    Reading them saves minutes on a large table.
    """
    with store.read() as connection:
        judged = registry.newest_evaluation(connection, model.id)
    if judged is None or judged.version != model.version:
        return None
    try:
        table = get_table(store, judged.predictions, (KEY_COLUMN, CHALLENGER))
    except HousingError:
        return None
    if not np.array_equal(table[KEY_COLUMN].to_numpy(), keys):
        return None
    return np.asarray(table[CHALLENGER].to_numpy(), dtype=np.float64)


def out_of_fold(store: Store, model: Row[Any], train: pd.DataFrame) -> Floats | None:
    """Out-of-fold predictions of the training rows, in their order; None if there are none.

    For a large table the search stores those of a sample; the others are NaN.
    """
    digest = model.out_of_fold
    if digest is None:
        return None
    try:
        kept = get_table(store, digest).to_pandas().set_index(KEY_COLUMN)[PREDICTED]
    except BlobMissing:
        if is_dropped(store, digest):
            return None
        raise
    found = kept.reindex(train[KEY_COLUMN]).to_numpy(dtype=np.float64)
    return None if np.isnan(found).all() else found
