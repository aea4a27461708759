"""Workers follow the promotion log: soon, all together, never to an unverified model."""

import gc
import threading
import time
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from housing.inference.loaded_model import LoadedModel
from housing.notify import NOTIFIERS, Message
from housing.records import Event
from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import alerts, models, utc_now
from housing.store.models import promotion_log, registry
from housing.store.models.registry import Change
from housing.store.runs import outbox
from tests.housing.serving.conftest import Started, only_settings, running, until


def make_champion(store: Store, model: int) -> None:
    """One more line of the ledger."""
    with store.read() as connection:
        current = promotion_log.champion(connection)
    operation = "rollback" if current and model < current else "promote"
    registry.change_champion(store, Change(operation, model, current, "test@host", "test"))


def _example(address: str) -> dict[str, Any]:
    found = httpx.get(f"{address}/openapi.json").json()["components"]["examples"]["one"]
    example: dict[str, Any] = found["value"]
    return example


def test_a_promotion_and_a_rollback_are_followed_within_two_seconds(
    own_home: Path, own_store: Store
) -> None:
    with only_settings(own_home) as settings, running(settings) as client:
        question = _example(str(client.base_url))
        seen = {}
        for model in (1, 2, 1):
            make_champion(own_store, model)
            began = time.monotonic()
            until(lambda m=model: client.get("/ready").json()["model"] == f"m{m}", 5)
            assert time.monotonic() - began < 2.0
            answer = client.post("/predict", json=question).json()
            assert answer["model"] == f"m{model}"
            seen.setdefault(model, answer["predictions"][0]["predicted"])
            assert answer["predictions"][0]["predicted"] == seen[model]
        assert seen[1] != seen[2]


def _damage(store: Store, model: int) -> Path:
    with store.read() as connection:
        row = registry.model(connection, model)
        suffix = connection.execute(
            sa.text("SELECT suffix FROM blobs WHERE digest = :d"), {"d": row.artifact}
        ).scalar_one()
    path = Path(store.blobs.path(row.artifact, suffix))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    return path


def test_a_damaged_champion_is_not_used_and_one_alert_is_sent(
    own_home: Path, own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    monkeypatch.setitem(NOTIFIERS, "test", (lambda message, _: sent.append(message), ""))
    path = _damage(own_store, 1)
    whole = Path(str(path).replace("/blobs/", "/backup/"))
    with (
        only_settings(own_home, serve={"retry_seconds": 0.2}) as settings,
        running(settings) as client,
    ):
        make_champion(own_store, 1)
        failure = until(lambda: client.get("/ready").json()["reload_failure"], 5)
        assert failure["model"] == "m1"
        assert "Corrupt" in failure["error"]
        answer = client.post("/predict", json=_example(str(client.base_url)))
        assert (answer.status_code, answer.json()["model"]) == (200, "m2")
        assert "housing_reload_failed{" in client.get("/metrics").text or (
            "housing_reload_failed 1.0" in client.get("/metrics").text
        )
        time.sleep(0.6)  # some retries later
        with own_store.read() as connection:
            noted = connection.execute(sa.select(alerts).where(alerts.c.channel == "test")).all()
        assert [(a.event, a.subject) for a in noted] == [("reload failed", "m1")]
        assert [(m.event, m.subject) for m in sent] == [("reload failed", "m1")]
        for words in ("champion m1 cannot be loaded", "m2 stays", "housing doctor", "rollback"):
            assert words in sent[0].text
        path.write_bytes(whole.read_bytes())
        until(lambda: client.get("/ready").json()["model"] == "m1", 5)
        assert client.get("/ready").json()["reload_failure"] is None


def test_the_same_failure_is_reported_again_only_after_a_champion_was_loaded(
    own_home: Path, own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any process and for any promotion; each `with` starts a new server."""
    sent: list[Message] = []
    monkeypatch.setitem(NOTIFIERS, "test", (lambda message, _: sent.append(message), ""))
    make_champion(own_store, 1)
    path = _damage(own_store, 1)
    damaged = path.read_bytes()
    whole = Path(str(path).replace("/blobs/", "/backup/")).read_bytes()

    def fail_twice() -> None:
        """The second failure comes after whatever the first one sends."""
        first = until(lambda: client.get("/ready").json()["reload_failure"], 30)
        until(lambda: client.get("/ready").json()["reload_failure"] != first, 30)

    with only_settings(own_home, serve={"retry_seconds": 0.2}) as settings:
        for reported in (1, 1):
            with running(settings) as client:
                fail_twice()
            assert len(sent) == reported, "the same failure, in another process"
        path.write_bytes(whole)
        with running(settings) as client:
            until(lambda: client.get("/ready").json()["model"] == "m1", 30)
            until(lambda: not _stands(own_store), 30)
        path.write_bytes(damaged)
        with running(settings) as client:
            fail_twice()
            assert len(sent) == 2, "it had been loaded since, under the same promotion"
            make_champion(own_store, 2)
            until(lambda: client.get("/ready").json()["model"] == "m2", 30)
            until(lambda: not _stands(own_store), 30)
            make_champion(own_store, 1)
            fail_twice()
        assert len(sent) == 3, "another champion had been loaded since"


def _stands(store: Store) -> bool:
    with store.read() as connection:
        return outbox.is_open(connection, Event.RELOAD_FAILED, cause=None)


def test_another_models_golden_predictions_are_no_proof(own_home: Path, own_store: Store) -> None:
    with own_store.write() as connection:
        other = registry.model(connection, 2).golden
        connection.execute(models.update().where(models.c.id == 1).values(golden=other))
    with only_settings(own_home) as settings, running(settings) as client:
        make_champion(own_store, 1)
        failure = until(lambda: client.get("/ready").json()["reload_failure"], 5)
        assert "golden" in failure["error"]
        assert client.get("/model").json()["model"] == "m2"


def test_a_database_that_goes_away_does_not_stop_the_answers(
    own_home: Path, own_store: Store
) -> None:
    with only_settings(own_home) as settings, running(settings) as client:
        question = _example(str(client.base_url))
        with own_store.write() as connection:
            connection.execute(sa.text("ALTER TABLE promotion_log RENAME TO away"))
        until(lambda: client.get("/ready").json()["promotion_log_error"], 5)
        assert client.post("/predict", json=question).status_code == 200
        with own_store.write() as connection:
            connection.execute(sa.text("ALTER TABLE away RENAME TO promotion_log"))
        until(lambda: client.get("/ready").json()["promotion_log_error"] == "", 5)


def test_a_server_without_a_champion_reports_not_ready_and_waits(home: Path) -> None:
    with running(load_settings()) as client:
        assert client.get("/ready").status_code == 503
        answer = client.get("/model")
        assert answer.status_code == 503
        assert "housing retrain" in answer.json()["detail"]
        assert client.get("/openapi.json").status_code == 200


@pytest.mark.system
def test_workers_agree_and_no_request_fails_while_champions_change(
    served: Started, own_home: Path
) -> None:
    """The short form of the soak in benchmarks/serving: two workers, champions each 1.5 s."""
    with served("--workers", "2") as address:
        question = _example(address)
        answers: list[tuple[float, float, int, str, float]] = []
        stop = threading.Event()

        def load() -> None:
            with httpx.Client(base_url=address, timeout=30) as client:
                while not stop.is_set():
                    asked = time.time()
                    answer = client.post("/predict", json=question)
                    row = answer.json()
                    price = row["predictions"][0]["predicted"] if answer.status_code == 200 else 0
                    answers.append((asked, time.time(), answer.status_code, row["model"], price))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        with only_settings(own_home) as settings, open_store(settings) as store:
            time.sleep(1)
            for model in (1, 2, 1, 2):
                make_champion(store, model)
                time.sleep(1.5)
            with store.read() as connection:
                lines = promotion_log.history(connection)
        stop.set()
        for thread in threads:
            thread.join()
    assert Counter(status for *_, status, _, _ in answers) == {200: len(answers)}
    assert len({price for *_, price in answers}) == 2  # one a version: none is mixed
    assert len({(model, price) for *_, model, price in answers}) == 2
    times = sorted((line.at.timestamp(), f"m{line.to_model}") for line in lines)
    for asked, answered, _, model, _ in answers:
        assert model in _in_force(times, asked - 2.0, answered), (asked, model)
    _check_agreement(answers)


def _in_force(times: list[tuple[float, str]], begin: float, end: float) -> set[str]:
    """Champions at some moment between two instants."""
    before = [model for at, model in times if at <= begin]
    return {*before[-1:], *(model for at, model in times if begin < at <= end)}


def _check_agreement(answers: list[tuple[float, float, int, str, float]]) -> None:
    """Sorted by when they were answered, versions change a few times and do not flicker."""
    ordered = [model for _, _, _, model, _ in sorted(answers, key=lambda a: a[1])]
    changes = sum(a != b for a, b in pairwise(ordered))
    assert 4 <= changes < 40, changes


def test_a_ledger_whose_clock_is_ahead_delays_no_switch(
    own_home: Path, own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour ahead: the pause before the switch is never longer than it is meant to be."""
    for hours in (1, -1):
        ahead = timedelta(hours=hours)
        with only_settings(own_home) as settings, running(settings) as client:
            before = client.get("/ready").json()
            target = 1 if before["model"] == "m2" else 2
            monkeypatch.setattr(promotion_log, "utc_now", lambda a=ahead: utc_now() + a)
            make_champion(own_store, target)
            monkeypatch.undo()
            with own_store.read() as connection:
                written = promotion_log.history(connection)[0].at
            assert abs(written - utc_now() - ahead) < timedelta(minutes=30)
            until(lambda t=target, c=client: c.get("/ready").json()["model"] == f"m{t}", 30)


def _copy_of(store: Store, model: int, new: int) -> None:
    """Another model with the same bytes."""
    with store.write() as connection:
        row = connection.execute(sa.select(models).where(models.c.id == model)).mappings().one()
        connection.execute(models.insert().values({**row, "id": new, "ensemble_size": new}))


@pytest.mark.system
def test_kept_models_answer_without_a_load_and_are_no_more_than_promised(
    own_home: Path, own_store: Store
) -> None:
    """Two are kept: the champion and the one before it. The oldest goes, never the champion."""
    elsewhere = _loaded()
    with (
        only_settings(own_home, serve={"kept_models": 2}) as settings,
        running(settings) as client,
    ):

        def champion(model: int) -> None:
            make_champion(own_store, model)
            until(lambda: client.get("/ready").json()["model"] == f"m{model}", 30)

        champion(1)
        _copy_of(own_store, 2, 3)
        champion(3)  # m2 is the oldest now, and leaves
        damaged = [_damage(own_store, model) for model in (1, 2)]
        assert all(damaged)
        for model in (1, 3, 1, 3):  # from memory: what lies on the disk is damaged
            champion(model)
            question = _example(str(client.base_url))
            assert client.post("/predict", json=question).json()["model"] == f"m{model}"
        make_champion(own_store, 2)  # must be loaded, and cannot be
        failure = until(lambda: client.get("/ready").json()["reload_failure"], 30)
        assert (failure["model"], client.get("/ready").json()["model"]) == ("m2", "m3")
        until(lambda: len(_loaded() - elsewhere) <= 2, 30)


def _loaded() -> set[int]:
    """Distinct loaded models of this process that are still referenced, by their training index."""
    gc.collect()
    return {
        id(one.training_index)
        for one in gc.get_objects()
        if isinstance(one, LoadedModel) and one.seq > 0
    }
