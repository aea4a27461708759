"""What counts for the monitor: each district once, and none that was known or was withdrawn."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from housing import schema
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import load
from housing.keys import row_keys
from housing.operations.monitor import MonitorRun, monitor
from housing.pipeline import ingest
from housing.problems.california.simulated.scenarios import simulate
from housing.serve_options import ServeOptions
from housing.serving.prediction_log import Entry, PredictionLog
from housing.settings import Settings
from housing.store.data import batches, datasets
from housing.store.database.engine import Store
from housing.store.database.tables import monitor_windows, utc_now
from housing.store.objects.blobs import BlobStore
from housing.store.runs import predictions
from tests.fixtures import dataset_operations
from tests.housing.operations.test_monitor import _home, _land

Home = tuple[Settings, Store]


@pytest.fixture
def home(populated_home: Path, tmp_path: Path) -> Iterator[Home]:
    with _home(populated_home, tmp_path) as opened:
        yield opened


@pytest.fixture
def other(populated_home: Path, tmp_path: Path) -> Iterator[Home]:
    """A second home of the same history."""
    with _home(populated_home, tmp_path / "other") as opened:
        yield opened


def _deliver(home: Home, name: str, frame: pd.DataFrame) -> int:
    settings, store = home
    _land(settings, name, frame)
    (batch,) = [b for b in ingest.ingest(store, settings, run=None).batches if b.name == name]
    assert batch.id is not None, batch.message
    return batch.id


def _look(home: Home) -> MonitorRun:
    settings, store = home
    return monitor(store, settings)


def _judged(home: Home) -> list[Any]:
    """What windows say, without their times."""
    with home[1].read() as connection:
        rows = connection.execute(sa.select(monitor_windows).order_by(monitor_windows.c.id)).all()
    return [
        (r.source, r.rows, [p for _, p in sorted(r.labelled_rows.items())],
         [(s["name"], s["fired"], s["alarm"], s["message"]) for s in r.signals
          if not s["name"].startswith(("age", "rejected"))])
        for r in rows if r.source not in ("clock", "labels")
    ]  # fmt: skip


def _dearer(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{schema.TARGET: frame[schema.TARGET] * 1.6})


def _known() -> pd.DataFrame:
    """Rows of the training side and of the test side of m1 and m2, in another order."""
    frame = pd.concat([simulate(600, 0), simulate(300, 0, day=1).drop(index=4)])
    return frame.sample(frac=1, random_state=1)


# --- batches --------------------------------------------------------------------------------


def test_a_delivery_of_known_rows_changes_nothing(home: Home, other: Home) -> None:
    for at in (home, other):
        _deliver(at, "n20.csv", simulate(300, 0, day=20))
        _look(at)
    _deliver(home, "again.csv", _known())
    _deliver(home, "n20-again.csv", _dearer(simulate(300, 0, day=20).sample(frac=1)))
    assert [window.source for window in _look(home).windows] == ["clock"]
    for at in (home, other):
        _deliver(at, "n21.csv", simulate(300, 0, day=21))
        _look(at)
    assert _judged(home) == _judged(other)


@pytest.mark.parametrize("column", ["population", "median_income", "total_rooms"])
def test_known_rows_with_a_column_changed_are_left_out(
    home: Home, other: Home, column: str
) -> None:
    """Without ids some of them are districts under other keys."""
    new = simulate(300, 0, day=20)
    known = _known()
    changed = known.assign(**{column: known[column] + 0.01 if column == "median_income" else
                              known[column] + 1})  # fmt: skip
    _deliver(home, "n20.csv", pd.concat([changed, new]))
    _deliver(other, "n20.csv", new)
    for at in (home, other):
        _look(at)
    assert _judged(home) == _judged(other)


def test_known_rows_among_new_ones_are_left_out(home: Home, other: Home) -> None:
    new = simulate(300, 0, day=20)
    _deliver(home, "n20.csv", pd.concat([_dearer(_known()), new]))
    _deliver(other, "n20.csv", new)
    for at in (home, other):
        _look(at)
    assert _judged(home) == _judged(other)


def test_a_batch_that_was_withdrawn_changes_nothing(home: Home, other: Home) -> None:
    bad = _deliver(home, "bad.csv", _dearer(simulate(300, 0, day=30)))
    datasets.append_waiting(home[1], reason="test", run=None)
    dataset_operations.withdraw(home[1], bad, reason="in another currency")
    for at in (home, other):
        _deliver(at, "n20.csv", simulate(300, 0, day=20))
        _look(at)
    assert _judged(home) == _judged(other)


def test_labels_withdrawn_after_an_alarm_no_longer_count(home: Home) -> None:
    bad = _deliver(home, "bad.csv", _dearer(simulate(300, 0, day=30)))
    datasets.append_waiting(home[1], reason="test", run=None)
    assert [s.name for w in _look(home).windows for s in w.alarms if s.kind == "error"]
    dataset_operations.withdraw(home[1], bad, reason="in another currency")
    _deliver(home, "n20.csv", simulate(300, 0, day=20))
    look = _look(home)
    assert [s.name for w in look.windows for s in w.alarms if s.kind == "error"] == []
    (window,) = [w for w in look.windows if w.source == "batches"]
    (signal,) = [s for s in window.signals if s.name == "prices above the predicted"]
    assert "of all 300 " in signal.message
    _deliver(home, "n21.csv", _dearer(simulate(300, 0, day=21)))
    assert any("prices above" in message for message in _look(home).alerts), "an alarm of its own"


def test_a_quarantined_batch_counts_once_it_is_released(home: Home) -> None:
    _deliver(home, "n20.csv", simulate(300, 0, day=20))
    _look(home)
    batches.release_quarantined(home[1], 3)
    (window,) = [w for w in _look(home).windows if w.source == "batches"]
    assert list(window.counts) == ["b3"]
    assert [w.source for w in _look(home).windows] == ["clock"]


# --- answers --------------------------------------------------------------------------------


def _answer(store: Store, frame: pd.DataFrame, *, minutes: int = 5) -> None:
    served = load(store, 2)
    log = PredictionLog(store, ServeOptions())
    columns = columns_of_frame(frame)
    log.put(
        Entry(utc_now() - timedelta(minutes=minutes), served, columns, served.predictions(columns))
    )
    log.write()


def _label(store: Store, frame: pd.DataFrame, name: str = "x") -> None:
    price = frame[schema.TARGET].to_numpy()
    labels = pd.DataFrame({"#key": row_keys(frame), "#label": price})
    facts = {"digest": name.ljust(64, "0"), "name": name, "origin": "labels", "rejected_rows": 0,
             "message": ""}  # fmt: skip
    predictions.add_labels(store, labels, facts)


def _priced(look: MonitorRun) -> dict[str, int]:
    return {window.source: window.labelled for window in look.windows if window.labelled}


def test_training_rows_that_are_delivered_again_are_no_live_error(home: Home) -> None:
    fresh = simulate(154, 0, day=40)
    _answer(home[1], pd.concat([_known(), fresh]))
    _deliver(home, "again.csv", pd.concat([_known(), fresh]))
    look = _look(home)
    assert _priced(look)["predictions"] == len(fresh.drop_duplicates())
    assert [e["rows"] for e in look.errors] == [154]


def test_a_price_that_comes_twice_counts_once(home: Home) -> None:
    frame = simulate(120, 0, day=40)
    _answer(home[1], frame, minutes=60)
    _label(home[1], frame)
    assert _priced(_look(home)) == {"predictions": 120}
    _answer(home[1], frame, minutes=0)  # now that the price is known
    _label(home[1], _dearer(frame), "y")
    _deliver(home, "known.csv", frame)
    look = _look(home)
    assert _priced(look) == {}
    assert [e["rows"] for e in look.errors] == [120]


def test_a_district_that_is_asked_about_all_the_time_counts_once(home: Home) -> None:
    frame = simulate(120, 0, day=40)
    for _ in range(20):
        _answer(home[1], frame.head(1))
    _answer(home[1], frame)
    _label(home[1], frame)
    assert _priced(_look(home)) == {"predictions": 120}


def test_a_price_from_a_batch_that_was_withdrawn_is_none(home: Home) -> None:
    frame = simulate(120, 0, day=40)
    _answer(home[1], frame)
    bad = _deliver(home, "bad.csv", _dearer(frame))
    datasets.append_waiting(home[1], reason="test", run=None)
    dataset_operations.withdraw(home[1], bad, reason="in another currency")
    assert _priced(_look(home)) == {}
    _label(home[1], frame)
    assert _priced(_look(home)) == {"predictions": 120}


def test_labels_are_collected_until_they_are_enough(home: Home) -> None:
    frame = simulate(90, 0, day=40)
    _answer(home[1], frame)
    _label(home[1], frame.head(30), "x")
    assert _priced(_look(home)) == {}
    _label(home[1], frame.tail(60), "y")
    look = _look(home)
    assert _priced(look) == {"predictions": 90}
    assert [e["rows"] for e in look.errors] == [90]
    assert _priced(_look(home)) == {}


# --- what is read ---------------------------------------------------------------------------


class Reads:
    """Objects that are fetched, and values that are decoded, of logged answers."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        with store.read() as connection:
            self.files = {row.segment: row.rows for row in predictions.since(connection, 0)}
        self.fetched: list[str] = []
        self.decoded: list[tuple[int, int]] = []  # rows, columns
        get, read = BlobStore.get, pq.ParquetFile.read

        def counting_get(blobs: BlobStore, digest: str, suffix: str) -> bytes:
            self.fetched += [digest] if digest in self.files else []
            return get(blobs, digest, suffix)

        def counting_read(file: pq.ParquetFile, **how: Any) -> Any:
            table = read(file, **how)
            if self.fetched and {"#predicted", "#at"} <= set(file.schema_arrow.names):
                self.decoded.append((table.num_rows, table.num_columns))
            return table

        monkeypatch.setattr(BlobStore, "get", counting_get)
        monkeypatch.setattr(pq.ParquetFile, "read", counting_read)


def _log_many(store: Store, files: int, rows: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    keys = rng.integers(1 << 62, size=(files, rows))
    at = pd.Timestamp(utc_now() - timedelta(days=1)).floor("us")
    for own in keys:
        frame = pd.DataFrame({"#at": at, "#model": 2, "#key": own, "#predicted": 2e5,
                              "#lower": 1e5, "#upper": 3e5})  # fmt: skip
        predictions.add(store, frame, has_inputs=False)
    return keys


def test_only_the_keys_of_predictions_are_read_and_only_when_labels_arrive(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, rows = 12, 500
    _look(home)
    keys = _log_many(home[1], files, rows)
    reads = Reads(home[1], monkeypatch)
    _look(home)
    assert reads.fetched == [], "no price came, so no answer is read"
    priced = pd.DataFrame({"#key": np.concatenate([keys[3, :40], keys[7, :40]]), "#label": 2e5})
    facts = {"digest": "0" * 64, "name": "x", "origin": "labels", "rejected_rows": 0,
             "message": ""}  # fmt: skip
    predictions.add_labels(home[1], priced, facts)
    assert _priced(_look(home)) == {"predictions": 80}
    assert sorted(reads.fetched) == sorted(reads.files), "each file once"
    assert reads.decoded.count((rows, 1)) == files, "the keys of each"
    assert len(reads.decoded) == files + 2, "and the rest of the two with new prices"
    reads.fetched.clear()
    assert _priced(_look(home)) == {}
    assert reads.fetched == [], "they have been judged"


def test_a_sample_of_many_logged_inputs_is_read(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("housing.operations.monitor_inputs.MOST_FILES", 4)
    monkeypatch.setattr("housing.operations.monitor_inputs.MOST_ROWS", 400)
    _look(home)
    for day in range(40, 52):
        _answer(home[1], simulate(300, 0, day=day))
    reads = Reads(home[1], monkeypatch)
    (window,) = [w for w in _look(home).windows if w.source == "predictions"]
    assert window.rows == 12 * 300
    assert len(reads.fetched) == 4
    drift = [s for s in window.signals if s.name == "predictions"]
    assert [s.rows for s in drift] == [400]
