"""Alerts leave the outbox at least once, and twice only in the stated window; both databases."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from deployments.processes.prefect_server import free_port
from housing.notify import Message, NotifySettings
from housing.pipeline import notifications
from housing.records import Event
from housing.store.database import engine
from housing.store.database.engine import Store
from housing.store.database.tables import alerts, utc_now
from housing.store.runs import outbox, runs
from tests.housing.store.conftest import BlankStore
from tests.housing.test_notify import Receiver, over_webhook


def serve(server: Receiver) -> None:
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def received() -> Iterator[Receiver]:
    server = Receiver(200)
    serve(server)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(blank_store: BlankStore, received: Receiver) -> Iterator[Store]:
    with blank_store() as opened:
        yield over_webhook(opened, received)


Clock = Callable[[timedelta], None]


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Move the clocks of the outbox forward."""
    passed = timedelta(0)
    real = engine.database_now

    def go(time: timedelta) -> None:
        nonlocal passed
        passed += time
        monkeypatch.setattr(outbox, "database_now", lambda connection: real(connection) + passed)
        monkeypatch.setattr(outbox, "utc_now", lambda: utc_now() + passed)

    return go


def note(store: Store, about: str = "l1", text: str = "m2 is champion.", cause: str = "") -> bool:
    with store.write() as connection:
        return outbox.add(connection, store, Message(Event.PROMOTED, text, "r7"), about, cause)


def texts(received: Receiver) -> list[str]:
    return [message["text"] for message in received.got]


def waiting(store: Store) -> list[str]:
    with store.read() as connection:
        return list(outbox.undelivered(connection))


def test_an_alert_is_recorded_once_and_delivered_once(store: Store, received: Receiver) -> None:
    assert [note(store), note(store), note(store, "l2", "m3 is champion.")] == [True, False, True]
    for _ in range(2):
        outbox.deliver(store)
    assert texts(received) == ["m2 is champion.", "m3 is champion."]
    assert waiting(store) == []


def test_an_alert_of_a_transaction_that_fails_is_not_sent(store: Store, received: Receiver) -> None:
    def fail() -> None:
        with store.write() as connection:
            outbox.add(connection, store, Message(Event.PROMOTED, "m2 is champion.", "r7"), "l1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    outbox.deliver(store)
    assert texts(received) == []


def test_a_state_is_reported_once_for_each_cause_until_it_has_ended(
    store: Store, received: Receiver
) -> None:
    for cause in ("damaged", "damaged", "missing", "damaged"):
        note(store, "m2", f"m2 is {cause}.", cause)
    with store.write() as connection:
        outbox.resolve(connection, Event.PROMOTED, "m2")
    note(store, "m2", "m2 is damaged again.", "damaged")
    outbox.deliver(store)
    assert texts(received) == ["m2 is damaged.", "m2 is missing.", "m2 is damaged again."]


def test_events_that_are_not_chosen_stay_in_the_log(
    store: Store, received: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = replace(store, notify=store.notify.model_copy(update={"events": (Event.FAILED,)}))
    note(chosen)
    with caplog.at_level("INFO", logger="housing"):
        outbox.deliver(store)
    assert texts(received) == []
    assert "r7 promoted: m2 is champion." in caplog.text


# --- a receiver that is down ----------------------------------------------------------------


def test_an_alert_is_tried_again_until_its_receiver_answers(
    store: Store, received: Receiver, pass_time: Clock
) -> None:
    received.status = 500
    note(store)
    for pause, tried in ((0, 1), (14, 1), (2, 2), (29, 2), (2, 3), (599, 4)):
        pass_time(timedelta(seconds=pause))
        outbox.deliver(store)
        assert len(received.got) == tried
    (sentence,) = waiting(store)
    assert sentence.startswith("Alerts not delivered over webhook, tried again: 1, the oldest of ")
    assert sentence.endswith("last error HTTPError.")
    received.status = 200
    pass_time(outbox.LONGEST_PAUSE)
    for _ in range(2):
        outbox.deliver(store)
    assert len(received.got) == 5
    recorded = f"{utc_now():%Y-%m-%d}"
    assert texts(received)[-1].startswith(f"m2 is champion. (recorded at {recorded}"), "it is late"
    assert waiting(store) == []


def test_an_alert_is_given_up_after_three_days_and_shown_for_a_week(
    store: Store, received: Receiver, pass_time: Clock
) -> None:
    received.status = 500
    note(store)
    outbox.deliver(store)
    pass_time(outbox.GIVE_UP_AFTER)
    outbox.deliver(store)
    received.status = 200
    for _ in range(2):
        pass_time(timedelta(hours=1))
        outbox.deliver(store)
    assert len(received.got) == 2, "the last attempt is the one after three days"
    (sentence,) = waiting(store)
    assert "given up after 3 days: 1, the oldest of" in sentence
    pass_time(timedelta(days=7))
    assert waiting(store) == []


def test_while_a_channel_pauses_nothing_waits_for_its_timeouts(
    store: Store, received: Receiver, pass_time: Clock
) -> None:
    received.status = 500
    for number in range(20):
        note(store, f"l{number}", f"m{number} is champion.")
    outbox.deliver(store)
    assert len(received.got) == 1
    received.status = 200
    pass_time(outbox.FIRST_PAUSE * 2)
    outbox.deliver(store)
    assert sorted(texts(received)[1:]) == sorted(f"m{n} is champion." for n in range(20))


def test_an_alert_that_its_receiver_refuses_holds_up_no_other(
    store: Store, received: Receiver, pass_time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = outbox.send

    def refusing(channel: str, message: Message, settings: NotifySettings) -> str:
        return "HTTPError" if "m0" in message.text else send(channel, message, settings)

    monkeypatch.setattr(outbox, "send", refusing)
    for number in range(3):
        note(store, f"l{number}", f"m{number} is champion.")
    for _ in range(3):
        outbox.deliver(store)
        pass_time(outbox.LONGEST_PAUSE)
    assert len(texts(received)) == 2


def test_an_address_that_fails_repeats_nothing_over_the_others(
    store: Store, received: Receiver, pass_time: Clock
) -> None:
    urls = (f"json://127.0.0.1:{received.server_port}/a", f"json://127.0.0.1:{free_port()}/b")
    settings = NotifySettings(apprise_urls=tuple(map(SecretStr, urls)))
    both = replace(store, notify=settings)
    note(both)
    for _ in range(4):
        outbox.deliver(both)
        pass_time(outbox.LONGEST_PAUSE)
    assert len(received.got) == 1
    (sentence,) = waiting(both)
    assert "over apprise " in sentence


def test_a_process_without_the_address_leaves_the_alert_to_the_others(
    store: Store, received: Receiver, pass_time: Clock
) -> None:
    note(store)
    outbox.deliver(replace(store, notify=NotifySettings()))
    assert texts(received) == []
    outbox.deliver(store)
    assert texts(received) == ["m2 is champion."]
    note(store, "l2")
    pass_time(outbox.GIVE_UP_AFTER)
    outbox.deliver(replace(store, notify=NotifySettings()))
    (sentence,) = waiting(store)
    assert "given up after 3 days: 1" in sentence
    assert "its address is not set here" in sentence


# --- several processes, and kills ------------------------------------------------------------


def _deliver(url: str, notify: dict[str, Any], kill_at: str, barrier: Any) -> None:
    """A process that delivers what is due, and may be killed at a point."""

    def killed(*_: object) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()

    def then_killed(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: (function(*arguments), killed())

    points: dict[str, tuple[str, Callable[..., Any]]] = {
        "before the claim": ("_claim", killed),
        "after the claim": ("send", killed),
        "after the answer": ("_end_attempt", killed),
        "after the commit": ("_end_attempt", then_killed(outbox._end_attempt)),
    }
    if kill_at:
        setattr(outbox, *points[kill_at])
    settings = NotifySettings(**{**notify, "webhook_url": SecretStr(notify["webhook_url"])})
    own = Store(engine.create_engine(url), None, None, None, settings)  # type: ignore[arg-type]
    if barrier is not None:
        barrier.wait()
    outbox.deliver(own)
    own.close()


def process(store: Store, received: Receiver, kill_at: str = "", barrier: Any = None) -> Any:
    url = store.engine.url.render_as_string(hide_password=False)
    notify = {"webhook_url": f"http://127.0.0.1:{received.server_port}/", "timeout_seconds": 5}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    started = context.Process(target=_deliver, args=(url, notify, kill_at, barrier))
    started.start()
    return started


@pytest.mark.parametrize(
    ("kill_at", "first", "in_all"),
    [
        ("before the claim", 0, 1),
        ("after the claim", 0, 1),
        ("after the answer", 1, 2),  # the stated window
        ("after the commit", 1, 1),
    ],
)
def test_an_alert_whose_process_is_killed_is_sent_by_the_next(
    store: Store, received: Receiver, pass_time: Clock, kill_at: str, first: int, in_all: int
) -> None:
    note(store)
    with store.write() as connection:  # the log is delivered already
        connection.execute(
            alerts.update().where(alerts.c.channel == "log").values(ended_at=utc_now())
        )
    killed = process(store, received, kill_at)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(received.got) == first
    outbox.deliver(store)
    pass_time(outbox.CLAIM)
    for _ in range(2):
        outbox.deliver(store)
    assert texts(received) == ["m2 is champion."] * in_all
    assert waiting(store) == []


def test_of_several_processes_that_deliver_at_once_each_alert_is_sent_by_one(
    store: Store, received: Receiver
) -> None:
    for number in range(15):
        note(store, f"l{number}", f"m{number} is champion.")
    barrier = multiprocessing.get_context("forkserver").Barrier(3)
    processes = [process(store, received, barrier=barrier) for _ in range(3)]
    for each in processes:
        each.join()
        assert each.exitcode == 0
    assert sorted(texts(received)) == sorted(f"m{n} is champion." for n in range(15))


def test_of_several_processes_that_record_the_same_at_once_one_does(
    store: Store, received: Receiver
) -> None:
    together, recorded = threading.Barrier(4), []

    def one() -> None:
        message = Message(Event.FAILED, "No disk.", "r1")
        together.wait()
        recorded.append(outbox.record(store, message, "state 1"))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(recorded) == [False, False, False, True]


# --- runs -----------------------------------------------------------------------------------


def begun(store: Store, kind: str = "nightly") -> int:
    with store.write() as connection:
        return runs.start(connection, kind, {})


def test_a_run_whose_process_ended_before_it_sent_its_alert_has_one(
    store: Store, received: Receiver
) -> None:
    run = begun(store)
    runs.finish(store, run, "failed", error="No disk.")
    for _ in range(2):
        assert notifications.report_dead_runs(store) == []
    assert [(m["subject"], m["text"]) for m in received.got] == [(f"r{run}", "No disk.")]


def test_a_killed_run_has_one_alert(store: Store, received: Receiver) -> None:
    killed, prune = begun(store), begun(store, "prune")
    assert sorted(notifications.report_dead_runs(store)) == [killed, prune]
    assert notifications.report_dead_runs(store) == []
    assert sorted(m["subject"] for m in received.got) == [f"r{killed}", f"r{prune}"]
    assert all("its process is gone" in m["text"] for m in received.got)


def test_a_run_that_completed_or_was_cancelled_or_is_by_hand_has_none(
    store: Store, received: Receiver
) -> None:
    for status in ("completed", "cancelled"):
        runs.finish(store, begun(store), status)
    runs.finish(store, begun(store, "ingest"), "failed", error="No such file.")
    notifications.report_dead_runs(store)
    assert received.got == []
    with store.read() as connection:
        assert connection.execute(sa.select(alerts)).first() is None
