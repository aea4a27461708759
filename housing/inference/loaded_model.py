"""A champion as it is served: checked, warmed, with its calibration; it answers and never changes.

One request uses one `Served` from its first row to its last, so no answer mixes two versions.
Which one is in force belongs in `follower`.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import TypeAdapter
from sqlalchemy.engine import Row
from threadpoolctl import threadpool_limits

from housing import schema
from housing.errors import HousingError
from housing.inference.calibration import Calibration, build, group_matrix, rows_of
from housing.inference.columns import NUMBER_FEATURES, Columns, columns_of, frame_of
from housing.inference.fast_predictor import predict_members
from housing.inference.fast_predictor import predictor as fast_predictor
from housing.inference.training_index import TrainingIndex, distances
from housing.keys import KEY_COLUMN, Keys
from housing.store.data import batches, datasets
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.models import artifacts, calibrations, registry
from housing.store.queries import time as as_text

Floats = npt.NDArray[np.float64]

WARM_ANSWERS = 5
"""Given before a model is served: nobody waits for what is built at first use."""


@dataclass(frozen=True)
class Predictions:
    """What is said of n rows, shape (n,) each; limits are NaN where there is no interval."""

    predicted: Floats  # US dollars
    lower: Floats
    upper: Floats
    outside: npt.NDArray[np.bool_]  # some field beyond what the model was trained on
    far: npt.NDArray[np.bool_]  # no training district is near
    kilometres: Floats  # to the nearest training district

    @property
    def extrapolates(self) -> npt.NDArray[np.bool_]:
        """Rows of which the model has seen nothing alike."""
        return self.outside | self.far


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model and all that its answers need."""

    model: int
    seq: int  # line of the ledger that made it champion; 0 for one that is not
    since: datetime
    trained_at: datetime
    artifact: str  # digest
    version: int  # dataset
    family: str
    simulated: bool  # trained on made-up rows
    model_facts: Mapping[str, Any]
    predict: Callable[[Columns], Floats]
    calibration: Calibration
    training_index: TrainingIndex
    seconds: float = 0.0  # processor time that an answer for one row takes

    @property
    def name(self) -> str:
        """As people see it."""
        return f"m{self.model}"

    def predictions(self, columns: Columns) -> Predictions:
        """Predict rows that are valid by the catalogue."""
        predicted = self.predict(columns)
        nearest, away = distances(self.training_index, columns)
        interval = self.calibration.interval
        half = np.full(len(predicted), np.nan)
        if interval is not None:
            nearby = self.training_index.nearby_at(nearest)
            half = interval.half_width(predicted, nearby, group_matrix(columns))
        return Predictions(
            predicted=predicted,
            lower=np.maximum(predicted - half, 0.0),  # no house has a negative price
            upper=predicted + half,
            outside=self._outside(columns),
            far=away > self.calibration.far_km,
            kilometres=away,
        )

    def _outside(self, columns: Columns) -> npt.NDArray[np.bool_]:
        rows = len(columns[schema.FEATURES[0]])
        outside = np.zeros(rows, dtype=np.bool_)
        for name in NUMBER_FEATURES:
            low, high = self.calibration.ranges.get(name, (np.inf, -np.inf))
            values = columns[name]
            outside |= (values < low) | (values > high)
        for name in schema.CATEGORIES:
            seen = self.calibration.seen[name]
            categories = schema.CATALOGUE[name].categories
            if len(seen) < len(categories):
                known = np.array([category in seen for category in categories])
                outside |= ~known[columns[name]]
        return outside

    def warnings(self, row: Mapping[str, Any], answers: Predictions, at: int) -> list[str]:
        """Why row `at` extrapolates, in words; empty for most rows."""
        if not answers.extrapolates[at]:
            return []
        found = []
        for name in schema.FEATURES:
            column, value = schema.CATALOGUE[name], row.get(name)
            if name in schema.CATEGORIES:
                if value not in self.calibration.seen[name]:
                    found.append(f"no training district has {column.label} {value!r}")
                continue
            low, high = self.calibration.ranges.get(name, (np.inf, -np.inf))
            if value is not None and not low <= value <= high:
                found.append(
                    f"{column.label} {value:g} is outside what the model was trained on, "
                    f"{low:g} to {high:g} {column.unit}"
                )
        if answers.far[at]:
            found.append(f"the nearest training district is {answers.kilometres[at]:.0f} km away")
        return found


def predictor(model: Any, golden: pd.DataFrame) -> Callable[[Columns], Floats]:
    """A fitted model as a function of columns: the fast way where there is one and it agrees."""
    fast = fast_predictor(model)
    if fast.parts and fast.agrees(golden):
        return lambda columns: fast.predict(_decode_categories(columns))
    return lambda columns: np.asarray(model.predict(frame_of(columns)), dtype=np.float64)


_WORDS = {
    name: np.array([*schema.CATALOGUE[name].categories, None], dtype=object)
    for name in schema.CATEGORIES
}


def _decode_categories(columns: Columns) -> Columns:
    """Categories as their texts; -1, no category, is the last of the words: None."""
    return {n: _WORDS[n][v] if n in _WORDS else v for n, v in columns.items()}


def load(store: Store, model: int, *, seq: int = 0, since: datetime | None = None) -> LoadedModel:
    """Load a model beside whatever is served: digest checked, golden rows replayed, warmed.

    Corrupt or BlobMissing where the stored model is not, or does not predict, what it did.
    """
    with store.read() as connection:
        row = registry.model(connection, model)
        members = datasets.get(connection, row.version).batches
        simulated = any(batches.get(connection, batch).simulated for batch in members)
    fitted = artifacts.get_model(store, row.artifact)
    features = list(schema.FEATURES)
    artifacts.replay_golden(store, row.golden, lambda X: fitted.predict(X[features]))
    predict = predictor(fitted, to_frame(get_table(store, row.golden)))
    calibration, training_index = calibration_of(store, row, fitted)
    served = LoadedModel(
        model=model,
        seq=seq,
        since=since or row.created_at,
        trained_at=row.created_at,
        artifact=row.artifact,
        version=row.version,
        family=row.family,
        simulated=simulated,
        model_facts=_facts(row),
        predict=predict,
        calibration=calibration,
        training_index=training_index,
    )
    return replace(served, seconds=_median_latency(served))


def _median_latency(served: LoadedModel) -> float:
    """How long one row takes, in the middle of a few; builds what is built at first use."""
    row = columns_of([typical_row(served.calibration)])
    taken = []
    for _ in range(1 + WARM_ANSWERS):
        began = time.thread_time()
        served.predictions(row)
        taken.append(time.thread_time() - began)
    return statistics.median(taken[1:])


def typical_row(calibration: Calibration) -> dict[str, Any]:
    """A district in the middle of the training rows: the form's defaults."""
    return dict(calibration.typical)


def _facts(row: Row[Any]) -> dict[str, Any]:
    return {
        "model": f"m{row.id}",
        "family": row.family,
        "dataset": f"v{row.version}",
        "train_rows": row.train_rows,
        "trained_at": as_text(row.created_at),
        "cv_rmse": row.cv_rmse,
        "artifact": row.artifact,
    }


# --- the calibration --------------------------------------------------------------------------

_FACTS = TypeAdapter(Calibration)
LABEL, NEARBY = "label", "nearby"
"""Columns of the kept training_index beside the features."""


def calibration_of(store: Store, model: Row[Any], fitted: Any) -> tuple[Calibration, TrainingIndex]:
    """The calibration of a model: the kept one, or made now and kept."""
    with store.read() as connection:
        row = calibrations.get(connection, model.id)
    if row is None:
        calibration, training_index = _made(store, model, fitted)
        facts = _FACTS.dump_python(calibration, mode="json")
        calibrations.put(store, model.id, facts, _as_frame(training_index))
        return calibration, training_index
    return _FACTS.validate_python(row.facts), _from_table(get_table(store, row.places))


def _as_frame(training_index: TrainingIndex) -> pd.DataFrame:
    nearby = {} if training_index.nearby is None else {NEARBY: training_index.nearby}
    return pd.DataFrame({**training_index.columns, LABEL: training_index.label, **nearby})


def _from_table(table: pa.Table) -> TrainingIndex:
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return TrainingIndex(
        columns={name: columns[name] for name in schema.FEATURES},
        label=columns[LABEL],
        nearby=columns.get(NEARBY),
    )


def _made(store: Store, model: Row[Any], fitted: Any) -> tuple[Calibration, TrainingIndex]:
    frame = datasets.read(store, model.version)
    train, test = datasets.training_rows(frame), datasets.test_rows(frame)
    predicted = None
    if len(test):
        predicted = stored_predictions(store, model, test[KEY_COLUMN].to_numpy())
        if predicted is None:
            predicted = predict_members(fitted, test).mean(axis=0)
    return build(
        rows_of(train, out_of_fold(store, model, train)),
        rows_of(test, predicted),
        seed=model.seed,
    )


def stored_predictions(store: Store, model: Row[Any], keys: Keys) -> Floats | None:
    """What the model said of these test rows (n,) when it was judged; None where that is not kept.

    Of a large table, asking again takes as long as a good part of the night.
    """
    with store.read() as connection:
        judged = registry.newest_evaluation(connection, model.id)
    if judged is None or judged.version != model.version:
        return None
    try:
        table = get_table(store, judged.predictions, (KEY_COLUMN, "challenger"))
    except HousingError:
        return None
    if not np.array_equal(table[KEY_COLUMN].to_numpy(), keys):
        return None
    answers: Floats = table["challenger"].to_numpy().astype(np.float64)
    return answers


def out_of_fold(store: Store, model: Row[Any], train: pd.DataFrame) -> Floats | None:
    """Out-of-fold predictions of the training rows, in their order; None where none were kept.

    Of a large table the search keeps those of a sample: the others are NaN.
    """
    digest = getattr(model, "oof", None)
    if digest is None:
        return None
    kept = get_table(store, digest).to_pandas().set_index(KEY_COLUMN)["predicted"]
    found = kept.reindex(train[KEY_COLUMN]).to_numpy(dtype=np.float64)
    return None if np.isnan(found).all() else found


def single_threaded() -> Any:
    """One thread a worker: workers are how a server uses several cores."""
    return threadpool_limits(limits=1)
