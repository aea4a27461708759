"""Automatic rollback: of a bad model to a better one, and never because the world has changed."""

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import event

from housing import schema
from housing.inference.loaded_model import LoadedModel, load
from housing.monitoring.live_error import Counts
from housing.notify import Message
from housing.operations import error_rates
from housing.operations.monitor import MonitorRun, monitor
from housing.pipeline import ingest, notifications
from housing.problems.california.simulated.scenarios import simulate
from housing.records import Event
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.models import artifacts, promotion_log, registry
from housing.store.models.promotion_log import Authorship, append, head
from housing.store.runs import monitor_windows
from tests.housing.operations.test_monitor import _home, _land, _runs
from tests.housing.operations.test_monitor import sent as sent

ROLLBACK = {"HOUSING_MONITOR__ON_ERROR": "rollback"}


def _dearer(frame: pd.DataFrame) -> pd.DataFrame:
    """Prices rise by 40 % for every district."""
    return frame.assign(**{schema.TARGET: frame[schema.TARGET] * 1.4})


def champion(store: Store) -> int | None:
    with store.read() as connection:
        return promotion_log.champion(connection)


def _about_error(sent: list[Message]) -> list[str]:
    return [m.text for m in sent if "prices above the predicted" in m.text]


def test_a_change_of_prices_rolls_back_no_champion(
    populated_home: Path, tmp_path: Path, sent: list[Message]
) -> None:
    """Nobody is better, so nobody takes over: one alarm, which names the remedy."""
    with _home(populated_home, tmp_path, **ROLLBACK) as (settings, store):
        looks = _runs(settings, store, _dearer, 4)
        assert champion(store) == 2
        assert [look.rolled_back_to for look in looks] == [None] * 4
        (message,) = _about_error(sent)
        assert "data have changed" in message
        assert "`housing retrain`" in message


# --- a champion that is bad -----------------------------------------------------------------


def _expected(store: Store, served: LoadedModel) -> Counts:
    return error_rates.of_test_rows(served, error_rates.sides(store, served.version)[1])


@pytest.fixture
def spoiled(
    populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[Message]
) -> Iterator[tuple[Settings, Store]]:
    """m2 answers as if prices had fallen by half, with the test error of before; m1 is sound."""
    with _home(populated_home, tmp_path, **ROLLBACK) as (settings, store):
        expected = _expected(store, load(store, 2))

        def spoil(store: Store, model: int, **others: Any) -> LoadedModel:
            served = load(store, model, **others)
            assert model == 2 or others["seq"] > 2, "only the champion is loaded here"
            halved = replace(served, predict=lambda columns: served.predict(columns) / 2)
            return halved if model == 2 else served

        def before(served: LoadedModel, test: pd.DataFrame) -> Counts:
            return expected if served.model == 2 else of_test_rows(served, test)

        of_test_rows = error_rates.of_test_rows
        monkeypatch.setattr("housing.operations.monitor.load", spoil)
        monkeypatch.setattr(error_rates, "of_test_rows", before)
        yield settings, store


def _calm(settings: Settings, store: Store, count: int = 1, first: int = 20) -> list[MonitorRun]:
    return _runs(settings, store, lambda frame: frame, count, first)


def test_a_worse_champion_is_rolled_back_once(
    spoiled: tuple[Settings, Store], sent: list[Message]
) -> None:
    settings, store = spoiled
    (look,) = _calm(settings, store)
    assert (look.rolled_back_to, champion(store)) == (1, 1)
    assert [m.event for m in look.messages if m.event is Event.ROLLED_BACK]
    assert any("was rolled back to m1" in message.text for message in sent)
    with store.read() as connection:
        assert "live error" in promotion_log.history(connection)[1].reason
    looks = _runs(settings, store, _dearer, 3, first=40)
    assert champion(store) == 1, "what came by a rollback is not taken back"
    assert [look.rolled_back_to for look in looks] == [None] * 3


def test_a_champion_is_not_rolled_back_after_its_probation(
    spoiled: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, store = spoiled
    late = settings.monitor.model_copy(update={"probation_days": 1e-9})
    _land(settings, "n20.csv", simulate(300, 0, day=20))
    ingest.ingest(store, settings, run=None)
    look = monitor(store, settings.model_copy(update={"monitor": late}))
    assert look.rolled_back_to is None
    assert any("has been champion for more than" in message for message in look.alerts)


def test_a_champion_made_by_a_restore_is_not_rolled_back(spoiled: tuple[Settings, Store]) -> None:
    settings, store = spoiled
    with store.write() as connection:
        newest = head(connection)
        append(connection, newest, "restore", 2, Authorship("test", "drill"))
    (look,) = _calm(settings, store)
    assert look.rolled_back_to is None
    assert any("champion by a restore" in message for message in look.alerts)


def test_a_rollback_that_failed_is_tried_again_and_reported_once(
    spoiled: tuple[Settings, Store], sent: list[Message]
) -> None:
    settings, store = spoiled
    with store.read() as connection:
        row = registry.model(connection, 1)
    paths = [Path(p.path(row.artifact, artifacts.FORMAT)) for p in (store.blobs, store.backup)]
    good = [path.read_bytes() for path in paths]
    for path in paths:  # what the backup has whole comes back by itself
        path.write_bytes(path.read_bytes()[:-1])
    (first,) = _calm(settings, store)
    assert first.rolled_back_to is None
    again = monitor(store, settings)
    assert again.rolled_back_to is None
    assert [w.source for w in again.windows] == ["batches", "clock"], "the same rows once more"
    failures = [m.text for m in sent if "could not be rolled back to m1" in m.text]
    assert len(failures) == 1
    assert "tries again" in failures[0]
    paths[1].write_bytes(good[1])
    assert monitor(store, settings).rolled_back_to == 1
    assert champion(store) == 1


def test_a_monitor_killed_at_any_commit_loses_neither_rollback_nor_alerts_nor_window(
    spoiled: tuple[Settings, Store], sent: list[Message]
) -> None:
    """Killed before each commit in turn, until the rollback is in and nothing else is."""
    settings, store = spoiled
    _land(settings, "n20.csv", simulate(300, 0, day=20))
    ingest.ingest(store, settings, run=None)
    for attempt in itertools.count(2):
        commit = attempt // 2  # twice: what one attempt has recorded, the next has not to
        assert _killed_at(store, commit, lambda: monitor(store, settings)), "it was not killed"
        if champion(store) == 1:
            break
        assert sent == []
    assert commit > 1
    with store.read() as connection:
        windows = monitor_windows.recent(connection, "batches", promotion=2)
    assert [w.actions["rolled_back_to"] for w in windows] == [1]
    for _ in range(2):
        notifications.report_dead_runs(store)  # as the next run and the watchdog do
        monitor(store, settings)
    (rolled_back,) = [m for m in sent if m.event is Event.ROLLED_BACK]
    assert (rolled_back.subject, rolled_back.text) == (
        "m1", "m1 is champion again instead of m2; blocked: m2"
    )  # fmt: skip
    (about_error,) = [m.text for m in sent if "m2, error" in m.text]
    assert "m2 was rolled back to m1" in about_error


def _killed_at(store: Store, commit: int, act: Callable[[], object]) -> bool:
    """Raise what no code handles just before a commit of this thread; False if it is not reached.

    The transaction is lost, as those of a killed process are.
    """
    commits = itertools.count(1)

    class Killed(BaseException):
        pass

    def before_commit(connection: Any) -> None:
        mine = threading.current_thread() is threading.main_thread()
        writes = connection.get_execution_options().get("housing_write")
        if mine and writes and next(commits) == commit:
            raise Killed

    event.listen(store.engine, "commit", before_commit)
    try:
        act()
    except Killed:
        return True
    finally:
        event.remove(store.engine, "commit", before_commit)
    return False
