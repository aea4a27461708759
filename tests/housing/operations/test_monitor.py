"""Runs of the monitor at a real store: recorded, reported once, acted upon by policy."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from housing import schema
from housing.errors import NotPossible
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import load
from housing.keys import row_keys
from housing.notify import NOTIFIERS, Message
from housing.operations import monitor_report
from housing.operations.monitor import MonitorRun, monitor
from housing.pipeline import ingest
from housing.pipeline.notices import notices
from housing.problems.california.simulated.scenarios import PriceNoise, simulate
from housing.serve_options import ServeOptions
from housing.serving.prediction_log import Entry, PredictionLog
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import batches, monitor_windows, utc_now
from housing.store.models import promotion_log
from housing.store.runs import predictions
from tests.housing.serving.conftest import only_settings

INCOME = schema.TABLE.strata[0].column
NOISE = PriceNoise()


@contextmanager
def _home(populated_home: Path, tmp_path: Path, **others: str) -> Iterator[tuple[Settings, Store]]:
    home = tmp_path / "home"
    if not home.exists():
        shutil.copytree(populated_home, home)
    with only_settings(home, **others) as settings, open_store(settings) as store:
        yield settings, store


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    found: list[Message] = []
    monkeypatch.setitem(NOTIFIERS, "test", (lambda message, _: found.append(message), ""))
    return found


def _land(settings: Settings, name: str, frame: pd.DataFrame) -> None:
    assert settings.sources.landing_dir is not None
    frame.to_csv(settings.sources.landing_dir / name, index=False)


Change = Callable[[pd.DataFrame], pd.DataFrame]


def _runs(
    settings: Settings, store: Store, change: Change, count: int, first: int = 20
) -> list[MonitorRun]:
    """A batch and a look each run."""
    looks = []
    for day in range(first, first + count):
        _land(settings, f"n{day}.csv", change(simulate(300, 0, day=day)))
        ingest.ingest(store, settings, run=None)
        looks.append(monitor(store, settings))
    return looks


def _alarms(look: MonitorRun, source: str) -> set[str]:
    return {s.name for window in look.windows if window.source == source for s in window.alarms}


def test_runs_without_change_raise_no_alarm(populated_home: Path, tmp_path: Path) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        looks = _runs(settings, store, lambda frame: frame, 3)
        drift = [s.name for look in looks for w in look.windows for s in w.signals
                 if s.fired and s.kind in ("drift", "predictions")]  # fmt: skip
        assert drift == []
        assert all(look.rolled_back_to is None and not look.retrain for look in looks)


def _richer(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{INCOME: (frame[INCOME] * 1.5).clip(upper=15)})


def test_drift_is_an_alarm_on_its_second_run_and_reported_once(
    populated_home: Path, tmp_path: Path, sent: list[Message]
) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        looks = _runs(settings, store, _richer, 4)
        assert INCOME not in _alarms(looks[0], "batches")
        assert INCOME in _alarms(looks[1], "batches")
        about_income = [m for m in sent if "median income" in m.text]
        assert [(m.event, m.subject) for m in about_income] == [("drift", "m2")]
        with store.read() as connection:
            count = connection.execute(sa.select(sa.func.count()).select_from(monitor_windows))
            assert count.scalar_one() == 12  # batches, labels and clock, a day each
        page = Path(monitor_report.write(store, settings)).read_text()
        assert "alarm" in page
        assert "<svg" in page


def test_no_row_is_monitored_twice(populated_home: Path, tmp_path: Path) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        _runs(settings, store, _richer, 1)
        again = monitor(store, settings)
        assert [window.source for window in again.windows] == ["clock"]


def test_few_rows_are_collected_until_they_are_enough(populated_home: Path, tmp_path: Path) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        sizes = []
        for day in range(30, 34):
            _land(settings, f"n{day}.csv", simulate(80, 0, day=day))
            ingest.ingest(store, settings, run=None)
            look = monitor(store, settings)
            sizes.append({w.source: w.rows for w in look.windows}.get("batches"))
        assert sizes == [None, None, 240, None]


def test_a_policy_of_retraining_asks_for_a_run(populated_home: Path, tmp_path: Path) -> None:
    with _home(populated_home, tmp_path, HOUSING_MONITOR__ON_DRIFT="retrain") as (settings, store):
        looks = _runs(settings, store, _richer, 3)
        assert [look.retrain for look in looks] == [False, True, False]


def _dearer(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{schema.TARGET: frame[schema.TARGET] * 1.6})


def test_a_live_error_beyond_its_limit_is_an_alarm(
    populated_home: Path, tmp_path: Path, sent: list[Message]
) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        (look,) = _runs(settings, store, _dearer, 1)
        assert "prices above the predicted" in _alarms(look, "batches")
        assert any("above the predicted" in message.text for message in sent)
        with store.read() as connection:
            assert promotion_log.champion(connection) == 2


def _answered(store: Store, frame: pd.DataFrame, model: int = 2) -> None:
    served = load(store, model)
    log = PredictionLog(store, ServeOptions())
    columns = columns_of_frame(frame)
    log.put(Entry(utc_now() - timedelta(minutes=5), served, columns, served.predictions(columns)))
    log.write()


def _labelled_answers(store: Store, day: int, factor: float) -> None:
    """Answers about 300 districts, and their prices, that much higher, as labels."""
    frame = simulate(300, 0, day=day)
    _answered(store, frame)
    prices = frame[schema.TARGET].to_numpy() * factor
    labels = pd.DataFrame({"#key": row_keys(frame), "#label": prices})
    facts = {"digest": f"{day:064d}", "name": "x", "origin": "labels", "rejected_rows": 0,
             "message": ""}  # fmt: skip
    predictions.add_labels(store, labels, facts)


def test_predictions_and_their_late_labels_are_monitored(
    populated_home: Path, tmp_path: Path
) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        frame = simulate(300, 0, day=40)
        _answered(store, _richer(frame))
        first = monitor(store, settings)
        window = next(w for w in first.windows if w.source == "predictions")
        assert (window.rows, window.labelled) == (300, 0)
        assert INCOME in {s.name for s in window.signals if s.fired}
        _labelled_answers(store, day=40, factor=1.5)
        second = monitor(store, settings)
        window = next(w for w in second.windows if w.source == "predictions")
        assert window.labelled >= 300
        assert "prices above the predicted" in _alarms(second, "predictions")
        assert [(e["model"], e["shadow"]) for e in second.errors] == [("m2", False)]
        third = monitor(store, settings)
        assert [w.source for w in third.windows] == ["clock"]


def test_an_alarm_of_live_error_stays_until_later_labels_end_it(
    populated_home: Path, tmp_path: Path, sent: list[Message]
) -> None:
    """A window without labels says nothing about the error."""
    with _home(populated_home, tmp_path) as (settings, store):
        _labelled_answers(store, day=40, factor=1.5)
        assert "prices above the predicted" in _alarms(monitor(store, settings), "predictions")
        for day in (41, 42):
            _answered(store, simulate(300, 0, day=day))
            without_labels = monitor(store, settings)
            (window,) = [w for w in without_labels.windows if w.source == "predictions"]
            assert (window.rows, window.labelled) == (300, 0)
            assert "prices above the predicted" in _alarms(without_labels, "predictions")
        assert len([m for m in sent if "above the predicted" in m.text]) == 1


def test_a_quarantined_batch_raises_the_upstream_signal(
    populated_home: Path, tmp_path: Path
) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        assert "quarantined batches" in _alarms(monitor(store, settings), "clock")


def test_a_batch_of_a_clock_that_was_ahead_is_an_alarm_and_stays_one_beside_stale_data(
    populated_home: Path, tmp_path: Path
) -> None:
    with _home(populated_home, tmp_path) as (settings, store):
        newest, now = sa.select(sa.func.max(batches.c.id)), utc_now()
        with store.write() as connection:
            last = connection.execute(newest.where(batches.c.status == "accepted")).scalar_one()
            dated = batches.update().values(recorded_at=now - timedelta(days=4))
            connection.execute(dated)
            dated = batches.update().where(batches.c.id == last)
            connection.execute(dated.values(recorded_at=now + timedelta(days=40)))
        found = _alarms(monitor(store, settings), "clock")
        assert {"dates in the future", "age of the data"} <= set(found)
        with store.read() as connection:
            assert "A batch's time of ingestion lies in the future" in " ".join(
                notices(connection, settings)
            )


def test_monitoring_without_a_champion_is_refused(store: Store) -> None:
    with pytest.raises(NotPossible, match="no champion yet"):
        monitor(store, load_settings())
