"""The prediction log: complete, bounded, empty if it is off, and joined with labels."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa

from housing import schema
from housing.errors import StoreUnavailable
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import load
from housing.keys import row_keys
from housing.operations.labelled_predictions import START, logged, matched
from housing.problems.california.simulated.scenarios import simulate
from housing.serve_options import ServeOptions
from housing.serving.prediction_log import SHADOW, SHADOW_PREDICTED, Entry, PredictionLog
from housing.store.database.engine import Store
from housing.store.database.tables import blobs, prediction_batches, utc_now
from housing.store.runs import predictions
from tests.housing.serving.conftest import only_settings, running

FEATURES = list(schema.FEATURES)


def _districts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict(orient="records")


def _asked(home: Path, frame: pd.DataFrame, **settings: str) -> list[dict[str, Any]]:
    """Predict districts by a server, and stop it; returns the predictions."""
    with only_settings(home, **settings) as chosen, running(chosen) as client:
        body = {"districts": _districts(frame)}
        answer: list[dict[str, Any]] = client.post("/predict", json=body).json()["predictions"]
    return answer


def test_every_prediction_is_logged(own_home: Path, own_store: Store) -> None:
    frame = simulate(40, 9)[FEATURES]
    returned = _asked(own_home, frame)
    found = logged(own_store, inputs=schema.FEATURES)
    assert found["#predicted"].tolist() == [row["predicted"] for row in returned]
    assert found["#key"].tolist() == row_keys(frame).tolist()
    assert set(found["#model"]) == {2}
    pd.testing.assert_frame_equal(
        found[FEATURES].astype(schema.dtypes(schema.FEATURES)), frame, check_dtype=False
    )
    with own_store.read() as connection:
        row = connection.execute(sa.select(prediction_batches)).one()
    assert (row.rows, row.models, row.has_inputs) == (40, {"m2": 40}, True)


def test_a_district_with_an_id_is_logged_by_it(own_home: Path, own_store: Store) -> None:
    frame = simulate(2, 9)[FEATURES].assign(**{schema.ID_COLUMN: ["a", None]})
    _asked(own_home, frame)
    assert logged(own_store)["#key"].tolist() == row_keys(frame).tolist()


def test_a_district_of_an_uploaded_file_is_logged_by_its_id(
    own_home: Path, own_store: Store
) -> None:
    """Numbers and texts as ids, and a row without one: labels by id find each of them."""
    frame = simulate(4, 5)[FEATURES].astype({"ocean_proximity": "str"})
    frame[schema.ID_COLUMN] = ["35", None, "a b", "7"]
    frame.loc[3, "ocean_proximity"] = "AT SEA"  # a row that is not predicted
    content = frame.to_csv(index=False).encode()
    with only_settings(own_home) as settings, running(settings) as client:
        done = client.post("/predict/batch", content=content, headers={"content-type": "text/csv"})
        assert done.status_code == 200
    assert logged(own_store)["#key"].tolist() == row_keys(frame.iloc[:3]).tolist()


def test_no_inputs_means_no_inputs(own_home: Path, own_store: Store) -> None:
    _asked(own_home, simulate(5, 9)[FEATURES], HOUSING_SERVE__LOG="answers")
    found = logged(own_store, inputs=schema.FEATURES)
    assert len(found) == 5
    assert not set(FEATURES) & set(found.columns)


def test_a_log_that_is_switched_off_writes_nothing(own_home: Path, own_store: Store) -> None:
    _asked(own_home, simulate(5, 9)[FEATURES], HOUSING_SERVE__LOG="off")
    assert logged(own_store).empty


def _entry(store: Store, rows: int, days: float = 0) -> Entry:
    served = load(store, 2)
    columns = columns_of_frame(simulate(rows, 3))
    return Entry(utc_now() - timedelta(days=days), served, columns, served.predictions(columns))


def test_a_full_queue_drops_and_counts(own_store: Store) -> None:
    dropped: list[int] = []
    log = PredictionLog(own_store, ServeOptions(log_buffer=1_000), on_drop=dropped.append)
    for _ in range(5):
        log.put(_entry(own_store, 300))
    assert dropped == [300, 300]
    assert log.write() == 900
    log.put(_entry(own_store, 300))
    assert dropped == [300, 300]
    assert log.write() == 300


def test_a_failed_write_is_repeated(own_store: Store) -> None:
    log = PredictionLog(own_store, ServeOptions())
    log.put(_entry(own_store, 10))
    with own_store.write() as connection:
        connection.execute(sa.text("ALTER TABLE prediction_batches RENAME TO away"))
    with pytest.raises(StoreUnavailable):
        log.write()
    with own_store.write() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO prediction_batches"))
    assert log.write() == 10
    assert len(logged(own_store)) == 10


def test_a_large_file_is_logged_in_part(own_home: Path, own_store: Store) -> None:
    content = simulate(500, 9)[FEATURES].to_csv(index=False).encode()
    with (
        only_settings(own_home, serve={"log_per_request": 100}) as settings,
        running(settings) as client,
    ):
        done = client.post("/predict/batch", content=content, headers={"content-type": "text/csv"})
        assert done.status_code == 200
    assert len(logged(own_store)) == 100


def test_retention_drops_rows_and_bytes(own_store: Store) -> None:
    log = PredictionLog(own_store, ServeOptions())
    for days in (40, 0):
        log.put(_entry(own_store, 7, days))
        log.write()
    with own_store.read() as connection:
        old = connection.execute(sa.select(prediction_batches.c.segment)).scalars().first()
    path = Path(own_store.blobs.path(str(old), "parquet"))
    assert path.exists()
    assert predictions.expire(own_store, utc_now() - timedelta(days=30)) == 1
    assert not path.exists()
    assert len(logged(own_store)) == 7
    with own_store.read() as connection:
        row = connection.execute(sa.select(blobs).where(blobs.c.digest == old)).one()
    assert row.pruned_at is not None


def test_the_shadow_is_scored_and_never_answers(own_home: Path, own_store: Store) -> None:
    frame = simulate(20, 9)[FEATURES]
    returned = _asked(own_home, frame, HOUSING_SERVE__SHADOW="m1")
    found = logged(own_store)
    assert set(found[SHADOW]) == {1}
    assert found["#predicted"].tolist() == [row["predicted"] for row in returned]
    expected = load(own_store, 1).predictions(columns_of_frame(frame)).predicted
    assert found[SHADOW_PREDICTED].to_numpy() == pytest.approx(expected)
    assert (found[SHADOW_PREDICTED] != found["#predicted"]).any()


def test_a_shadow_that_is_not_there_harms_no_client(own_home: Path, own_store: Store) -> None:
    assert len(_asked(own_home, simulate(3, 9)[FEATURES], HOUSING_SERVE__SHADOW="m99")) == 3
    assert len(logged(own_store)) == 3


def test_the_log_does_not_hold_an_answer_up(own_home: Path) -> None:
    """An answer is there long before its line of the log is, however slow the log."""
    with (
        only_settings(own_home, serve={"log_seconds": 3600}) as settings,
        running(settings) as client,
    ):
        began = time.monotonic()
        client.post("/predict", json={"districts": _districts(simulate(5, 9)[FEATURES])})
        assert time.monotonic() - began < 10


def test_a_label_counts_only_for_earlier_predictions(own_store: Store) -> None:
    frame = simulate(6, 3)
    keys = row_keys(frame)
    served = load(own_store, 2)
    columns = columns_of_frame(frame)
    now = utc_now()
    log = PredictionLog(own_store, ServeOptions())
    log.put(Entry(now - timedelta(hours=1), served, columns, served.predictions(columns)))
    log.put(Entry(now + timedelta(hours=1), served, columns, served.predictions(columns)))
    log.write()
    labels = pd.DataFrame({"#key": keys[:4], "#label": [1e5, 2e5, 3e5, 4e5]})
    facts = {"digest": "0" * 64, "name": "x", "origin": "labels", "rejected_rows": 0, "message": ""}
    predictions.add_labels(own_store, labels, facts)
    found, _ = matched(own_store, START)
    found = found.set_index("#key").loc[keys[:4]]
    assert found["#label"].tolist() == [1e5, 2e5, 3e5, 4e5]
    assert (found["#at"] < now).all()


def test_labels_without_predictions_join_nothing(own_store: Store) -> None:
    assert matched(own_store, START)[0].empty


def test_clients_are_answered_while_the_log_is_stuck(own_home: Path, own_store: Store) -> None:
    with (
        only_settings(own_home, serve={"log_seconds": 0.1}) as settings,
        running(settings) as client,
        own_store.write(),  # no other process can write now
    ):
        body = {"districts": _districts(simulate(5, 9)[FEATURES])}
        for _ in range(20):
            assert isinstance(client, httpx.Client)
            assert client.post("/predict", json=body).status_code == 200
            time.sleep(0.02)
