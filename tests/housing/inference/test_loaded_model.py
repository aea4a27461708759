"""A loaded model: the fast predictor agrees with the model, intervals are from real residuals."""

import numpy as np
import pytest

from housing import schema
from housing.inference.calibration import build
from housing.inference.columns import columns_of_frame, frame_of
from housing.inference.fast_predictor import checked_predictor
from housing.inference.loaded_model import load, out_of_fold, stored_predictions
from housing.keys import KEY_COLUMN
from housing.problems.california.simulated.scenarios import simulate
from housing.store.data import datasets
from housing.store.data.datasets import SIDE_COLUMN
from housing.store.database.engine import Store
from housing.store.database.tables import calibrations
from housing.store.models import artifacts, registry
from housing.store.objects.blobs import name_of
from housing.training.candidates import FAMILIES

FEATURES = list(schema.FEATURES)


def test_the_default_family_is_asked_the_fast_way_with_equal_numbers() -> None:
    table = simulate(600, 0)
    model = FAMILIES["boosting"].build(0)
    model.set_params(model__max_iter=10).fit(table[FEATURES], table[schema.TARGET])
    rows = simulate(50, 0, day=1)[FEATURES]
    rows.loc[3, next(c.name for c in schema.COLUMNS if c.nullable)] = np.nan
    fast = checked_predictor(model, rows)
    assert fast.parts
    assert fast.predict(columns_of_frame(rows)) == pytest.approx(model.predict(rows), rel=1e-9)


def test_columns_and_frames_are_the_same_rows() -> None:
    frame = simulate(30, 3)[FEATURES]
    again = frame_of(columns_of_frame(frame))
    assert again.equals(frame)


def test_the_interval_is_fitted_on_the_residuals_that_the_search_kept(own_store: Store) -> None:
    served = load(own_store, 2)
    assert served.calibration.interval is not None
    answers = served.predictions(columns_of_frame(simulate(50, 0, day=1)))
    assert (answers.lower <= answers.predicted).all()
    assert (answers.predicted <= answers.upper).all()
    covered = served.calibration.coverage
    assert covered is not None
    assert covered.lower <= 0.9 <= covered.upper


def test_a_model_without_stored_residuals_has_no_interval_and_gives_the_reason(
    own_store: Store,
) -> None:
    with own_store.read() as connection:
        row = registry.model(connection, 2)
    frame = datasets.read(own_store, row.version)
    train, test = frame[~frame[SIDE_COLUMN]], frame[frame[SIDE_COLUMN]]
    known = out_of_fold(own_store, row, train)
    assert known is not None
    assert len(known) == len(train)
    calibration, _ = build(train, None, test, None)
    assert calibration.interval is None
    assert "not stored" in calibration.no_interval_reason


def test_stored_predictions_equal_the_models_and_their_loss_costs_only_time(
    own_store: Store,
) -> None:
    with own_store.read() as connection:
        row = registry.model(connection, 2)
        judged = registry.newest_evaluation(connection, 2)
    assert judged is not None
    frame = datasets.read(own_store, row.version)
    test = frame[frame[SIDE_COLUMN]]
    keys = test[KEY_COLUMN].to_numpy()
    kept = stored_predictions(own_store, row, keys)
    model = artifacts.get_model(own_store, row.artifact)
    np.testing.assert_allclose(kept, model.predict(test[FEATURES]), rtol=1e-9)
    assert stored_predictions(own_store, row, keys[1:]) is None
    here = load(own_store, 2).calibration
    own_store.blobs.remove(name_of(judged.predictions, "parquet"))
    assert stored_predictions(own_store, row, keys) is None
    with own_store.write() as connection:
        connection.execute(calibrations.delete())
    assert load(own_store, 2).calibration.coverage == here.coverage


def test_the_interval_of_a_large_table_uses_a_sample_of_residuals(own_store: Store) -> None:
    with own_store.read() as connection:
        row = registry.model(connection, 2)
    frame = datasets.read(own_store, row.version)
    train = frame[~frame[SIDE_COLUMN]].reset_index(drop=True)
    test = frame[frame[SIDE_COLUMN]].reset_index(drop=True)
    predicted = out_of_fold(own_store, row, train)
    assert predicted is not None
    answers = stored_predictions(own_store, row, test[KEY_COLUMN].to_numpy())
    whole, _ = build(train, predicted, test, answers)
    unknown = np.arange(len(train)) % 2 == 1
    some = np.where(unknown, np.nan, predicted)
    half, training_index = build(train, some, test, answers)
    assert whole.interval is not None
    assert half.interval is not None
    assert half.interval.rows == (~unknown).sum()
    assert half.train_rows == len(train)
    assert training_index.nearby is not None
    assert np.isfinite(training_index.nearby).all(), "every training row has a nearby residual"
    assert half.coverage is not None
    assert abs(half.coverage.value - whole.coverage.value) < 0.1
