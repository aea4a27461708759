"""A price is evidence once, for one promotion, whatever happens between two looks."""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from housing import schema
from housing.errors import RunInProgress
from housing.operations.monitor import monitor
from housing.pipeline import promote
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import load_settings
from housing.store.data import batches, datasets
from housing.store.database.open import open_store
from housing.store.database.tables import labelled_predictions
from housing.store.database.tables import monitor_windows as windows_table
from housing.store.models.promotion_log import Authorship, append, head
from housing.store.runs import monitor_windows
from tests.fixtures import dataset_operations
from tests.housing.operations.test_monitor import _home
from tests.housing.operations.test_monitor_inputs import (
    Home,
    _answer,
    _deliver,
    _label,
    _look,
    _priced,
)

ERRORS = ("prices outside the interval", "prices above the predicted", "prices below the predicted")


@pytest.fixture
def home(populated_home: Path, tmp_path: Path) -> Iterator[Home]:
    with _home(populated_home, tmp_path) as opened:
        yield opened


@pytest.fixture
def other(populated_home: Path, tmp_path: Path) -> Iterator[Home]:
    """A second home of the same history."""
    with _home(populated_home, tmp_path / "other") as opened:
        yield opened


def _enter(home: Home, name: str, frame: pd.DataFrame) -> int:
    batch = _deliver(home, name, frame)
    datasets.append_waiting(home[1], reason="test", run=None)
    return batch


def _evidence(home: Home, source: str = "batches") -> list[str]:
    """What the next look says of live error."""
    found = [s.message for w in _look(home).windows if w.source == source
             for s in w.signals if s.name in ERRORS]  # fmt: skip
    assert len(found) == len(ERRORS)
    return found


def _dearer(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{schema.TARGET: frame[schema.TARGET] * 1.3})


def test_a_batch_that_is_withdrawn_and_restored_counts_once(home: Home, other: Home) -> None:
    first = _dearer(simulate(300, 0, day=30))
    batch = _enter(home, "n30.csv", first)
    _enter(other, "n30.csv", first)
    for at in (home, other):
        _look(at)
    for _ in range(3):
        dataset_operations.withdraw(home[1], batch, reason="doubt")
        _look(home)
        datasets.restore(home[1], batch, reason="no doubt")
        assert _priced(_look(home)) == {}
    for at in (home, other):
        _deliver(at, "n31.csv", simulate(300, 0, day=31))
    assert _evidence(home) == _evidence(other)


def test_the_same_prices_under_another_batch_count_once(home: Home, other: Home) -> None:
    first = _dearer(simulate(300, 0, day=30))
    batch = _enter(home, "n30.csv", first)
    _enter(other, "n30.csv", first)
    for at in (home, other):
        _look(at)
    dataset_operations.withdraw(home[1], batch, reason="doubt")
    again = _deliver(home, "again.csv", first.iloc[::-1].head(250))
    batches.release_quarantined(home[1], again)  # rows of a withdrawn batch are held
    datasets.append_waiting(home[1], reason="test", run=None)
    assert all("of all 250 " in message for message in _evidence(home)), "withdrawn ones are none"
    datasets.restore(home[1], batch, reason="no doubt")
    for at in (home, other):
        _deliver(at, "n31.csv", simulate(300, 0, day=31))
    assert _evidence(home) == _evidence(other)


def test_live_errors_are_those_of_the_prices_that_count(home: Home, other: Home) -> None:
    """A withdrawn batch, the same prices in a second batch, and the first one restored."""
    frame = simulate(120, 0, day=40)
    for at in (home, other):
        _answer(at[1], frame)
    batch = _enter(home, "n40.csv", _dearer(frame))
    first = _look(home)
    assert _priced(first) == {"predictions": 120}
    dataset_operations.withdraw(home[1], batch, reason="doubt")
    assert _look(home).errors == ()
    _label(home[1], frame)
    _label(other[1], frame)
    corrected = _look(home).errors
    assert [e["rows"] for e in corrected] == [120]
    assert corrected[0]["rmse"] == _look(other).errors[0]["rmse"]
    datasets.restore(home[1], batch, reason="no doubt")
    assert _look(home).errors == first.errors, "each district counts once, by its first price"


def test_a_later_label_of_a_row_counts_while_the_first_is_withdrawn(
    home: Home, other: Home
) -> None:
    """It was read when the first still counted, whatever is withdrawn and restored since."""
    frame = simulate(120, 0, day=40)
    for at in (home, other):
        _answer(at[1], frame)
    batch = _enter(home, "n40.csv", _dearer(frame))
    first = _look(home).errors
    for at in (home, other):
        _label(at[1], frame)
    assert _look(home).errors == first
    alone = _look(other).errors
    assert [e["rows"] for e in alone] == [120]
    for _ in range(2):
        dataset_operations.withdraw(home[1], batch, reason="doubt")
        assert [e["rmse"] for e in _look(home).errors] == [e["rmse"] for e in alone]
        datasets.restore(home[1], batch, reason="no doubt")
        assert _look(home).errors == first
    with home[1].read() as connection:
        count = sa.select(sa.func.count()).select_from(labelled_predictions)
        assert connection.execute(count).scalar() == 2 * 120


@pytest.mark.parametrize("source", ["batches", "predictions"])
def test_an_alarm_ends_with_the_prices_it_was_about(home: Home, source: str) -> None:
    """No other price comes meanwhile: what is shown is judged again."""
    frame = simulate(300, 0, day=40)
    if source == "predictions":
        _answer(home[1], frame)
    batch = _enter(home, "n40.csv", frame.assign(**{schema.TARGET: frame[schema.TARGET] * 1.6}))
    assert _alarms(home, source)
    dataset_operations.withdraw(home[1], batch, reason="in another currency")
    assert not _alarms(home, source)
    assert not _alarms(home, source), "and it is judged once"
    with home[1].read() as connection:
        judged = len(monitor_windows.recent(connection, source))
    datasets.restore(home[1], batch, reason="it was right")
    assert _alarms(home, source)
    with home[1].read() as connection:
        assert len(monitor_windows.recent(connection, source)) == judged + 1


def _alarms(home: Home, source: str) -> list[str]:
    """Alarms of live error that the pages show after a run."""
    _look(home)
    with home[1].read() as connection:
        (row,) = [r for r in monitor_windows.newest(connection) if r.source == source]
    return [s["name"] for s in row.signals if s["alarm"] and s["kind"] == "error"]


@pytest.mark.parametrize("pieces", [2, 7])
def test_the_files_in_which_prices_come_do_not_matter(home: Home, other: Home, pieces: int) -> None:
    frame = simulate(350, 0, day=30)
    _deliver(home, "n30.csv", frame)
    size = len(frame) // pieces
    for piece in reversed(range(pieces)):
        part = frame[piece * size : None if piece == pieces - 1 else (piece + 1) * size]
        _deliver(other, f"n30-{piece}.csv", part)
    assert _evidence(home) == _evidence(other)


def test_a_model_that_is_promoted_again_starts_without_evidence(home: Home) -> None:
    _deliver(home, "n30.csv", _dearer(simulate(300, 0, day=30)))
    assert all("of all 300 " in message for message in _evidence(home))
    promote.roll_back(home[1], 1, "test")
    _look(home)
    with home[1].write() as connection:
        append(connection, head(connection), "promote", 2, Authorship("test", "again"))
    _deliver(home, "n31.csv", simulate(300, 0, day=31))
    assert all("of all 300 " in message for message in _evidence(home))


def _look_at(barrier: Barrier) -> None:
    settings = load_settings()
    with open_store(settings) as store:
        barrier.wait()
        try:
            monitor(store, settings)
        except RunInProgress:
            return


def test_two_monitoring_runs_at_the_same_time_count_labels_once(home: Home) -> None:
    _deliver(home, "n30.csv", simulate(300, 0, day=30))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    looks = [context.Process(target=_look_at, args=(barrier,)) for _ in range(2)]
    for look in looks:
        look.start()
    for look in looks:
        look.join()
    assert [look.exitcode for look in looks] == [0, 0]
    with home[1].read() as connection:
        query = sa.select(sa.func.count()).where(windows_table.c.source == "batches")
        assert connection.execute(query).scalar_one() == 1
