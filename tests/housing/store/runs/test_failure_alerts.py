"""Each failed or crashed run has one alert, whichever process looks first, on both databases."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from housing.pipeline import notifications
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.runs import runs
from tests.housing.store.conftest import BlankStore
from tests.housing.test_notify import Receiver


@pytest.fixture
def received() -> Iterator[Receiver]:
    server = Receiver(200)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(received: Receiver, monkeypatch: pytest.MonkeyPatch) -> Settings:
    url = f"http://127.0.0.1:{received.server_port}/"
    monkeypatch.setenv("HOUSING_NOTIFY__WEBHOOK_URL", url)
    return load_settings()


@pytest.fixture
def store(blank_store: BlankStore) -> Iterator[Store]:
    with blank_store() as opened:
        yield opened


def begun(store: Store, kind: str = "nightly") -> int:
    with store.write() as connection:
        return runs.start(connection, kind, {})


def test_a_run_whose_process_ended_before_it_sent_its_alert_has_one(
    store: Store, settings: Settings, received: Receiver
) -> None:
    run = begun(store)
    runs.finish(store, run, "failed", error="No disk.")
    for _ in range(2):
        assert notifications.failures(store, settings) == []
    assert [(m["subject"], m["text"]) for m in received.got] == [(f"r{run}", "No disk.")]


def test_a_killed_run_has_one_alert(store: Store, settings: Settings, received: Receiver) -> None:
    night, prune = begun(store), begun(store, "prune")
    assert sorted(notifications.failures(store, settings)) == [night, prune]
    assert notifications.failures(store, settings) == []
    assert sorted(m["subject"] for m in received.got) == [f"r{night}", f"r{prune}"]
    assert all("its process is gone" in m["text"] for m in received.got)


def test_of_many_that_look_at_once_one_sends_it(
    store: Store, settings: Settings, received: Receiver
) -> None:
    runs.finish(store, begun(store), "failed", error="No disk.")
    together = threading.Barrier(4)

    def look() -> None:
        together.wait()
        notifications.failures(store, settings)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(look) for _ in range(4)]:
            done.result()
    assert len(received.got) == 1


def test_runs_that_ended_well_or_long_ago_or_by_a_person_have_none(
    store: Store, settings: Settings, received: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status in ("completed", "cancelled"):
        runs.finish(store, begun(store), status)
    runs.finish(store, begun(store), "failed", error="No disk.")
    later = utc_now() + timedelta(days=1, minutes=1)
    monkeypatch.setattr(notifications, "database_now", lambda _: later)
    notifications.failures(store, settings)
    assert received.got == []
