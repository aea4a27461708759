"""A run that was due and did not begin: started once, reported once, and never against a person.

On a real server. Each test has runs of its own, days ahead: Prefect remembers what it was asked.
"""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Running, Scheduled, Suspended

from deployments.due_times import last_due, newest_due_time
from deployments.processes.prefect_server import free_port
from deployments.processes.worker import keep_schedules
from deployments.watchdog import main, missed_runs
from deployments.watchdog.missed_runs import report_without_server, start_missed_run
from flows.nightly import nightly
from housing.settings import Settings, load_settings
from housing.store.database.engine import RUN, Store
from housing.store.database.open import open_store
from housing.store.database.tables import runs as run_rows
from housing.store.database.tables import utc_now, watchdog_marks
from housing.store.runs import lease, outbox, runs
from tests.deployments.watchdog.test_main import Once
from tests.housing.test_notify import Receiver

pytestmark = pytest.mark.prefect

DAYS = itertools.count(1)
CRON = "0 2 * * *"
TWO = CronSchedule(cron=CRON, timezone="UTC")
DAY, HALF_AN_HOUR = timedelta(days=1), timedelta(minutes=30)


@pytest.fixture
def settings(
    home: object, prefect_api: str, received: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    url = f"http://127.0.0.1:{received.server_port}/"
    monkeypatch.setenv("HOUSING_NOTIFY__WEBHOOK_URL", url)
    monkeypatch.setenv("HOUSING_SCHEDULES__RETRAIN", CRON)
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


@pytest.fixture
def deployment(client: SyncPrefectClient) -> Iterator[uuid.UUID]:
    """A nightly deployment whose schedule makes no runs by itself in a test."""
    made = nightly.to_deployment(name="nightly", schedule=Cron(CRON, timezone="UTC")).apply()
    yield made
    with suppress(ObjectNotFound):  # a test has lost it
        client.delete_deployment(made)


Clock = Callable[[datetime], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the watchdog."""

    def set_to(now: datetime) -> None:
        monkeypatch.setattr(missed_runs, "utc_now", lambda: now)

    return set_to


@pytest.fixture
def due(settings: Settings, deployment: uuid.UUID, set_clock: Clock) -> datetime:
    """When a run was due that did not begin, half an hour ago."""
    found = last_due(TWO, utc_now() + 3 * next(DAYS) * DAY)
    assert found is not None
    set_clock(found + HALF_AN_HOUR)
    return found


@pytest.fixture
def look(store: Store, client: SyncPrefectClient, settings: Settings) -> Callable[[], list[str]]:
    """One look of the watchdog; what it did."""

    def once() -> list[str]:
        done = list(start_missed_run(client, store, settings))
        outbox.deliver(store)
        return done

    return once


Look = Callable[[], list[str]]


def scheduled(client: SyncPrefectClient, deployment: uuid.UUID, at: datetime) -> FlowRun:
    """A run as Prefect's scheduler makes it, ahead of its time."""
    state: State[None] = Scheduled(scheduled_time=at)
    return client.create_flow_run_from_deployment(deployment, state=state)


def started(client: SyncPrefectClient, deployment: uuid.UUID) -> list[FlowRun]:
    """Runs that the watchdog has started."""
    found = client.read_flow_runs()
    return [run for run in found if "made up for" in run.tags and run.deployment_id == deployment]


def ran(store: Store, status: str, at: datetime) -> None:
    """A run of ours in this state, which began then."""
    with store.write() as connection:
        id_ = runs.start(connection, "nightly", {})
        row = run_rows.update().where(run_rows.c.id == id_)
        connection.execute(row.values(status=status, started_at=at))


def missed(received: Receiver, due: datetime) -> list[str]:
    """What was received about the run due then."""
    said = [message["text"] for message in received.got if message["event"] == "missed"]
    return [message for message in said if f"{due:%Y-%m-%d %H:%M}" in message]


# --- what did not begin ---------------------------------------------------------------------


def test_a_run_that_never_began_is_started_once(
    client: SyncPrefectClient, deployment: uuid.UUID, due: datetime, look: Look
) -> None:
    (said,) = look()
    assert "it is started now" in said
    assert look() == [], "a run is on its way"
    (made,) = started(client, deployment)
    client.set_flow_run_state(made.id, Crashed(), force=True)
    assert look() == [], "once a due time"


@pytest.mark.parametrize(
    ("status", "begun_again"),
    [
        ("completed", 0),
        ("failed", 0),
        ("running", 0),
        ("refused", 1),
        ("crashed", 1),
        ("cancelled", 1),
    ],
)
def test_a_run_that_was_refused_crashed_or_cancelled_does_not_count_for_its_due_time(
    store: Store, due: datetime, look: Look, status: str, begun_again: int
) -> None:
    ran(store, status, due + timedelta(minutes=1))
    assert len(look()) == begun_again


@pytest.mark.parametrize(
    ("began", "begun_again"),
    [(-30, 0), (-600, 1), (86_400, 1)],
    ids=["by a clock a little behind", "before it was due", "by a clock a day ahead"],
)
def test_a_run_counts_for_the_due_time_at_which_it_ran(
    store: Store, due: datetime, look: Look, began: int, begun_again: int
) -> None:
    ran(store, "completed", due + timedelta(seconds=began))
    assert len(look()) == begun_again


def test_a_run_due_before_the_deployment_existed_is_not_missed(
    deployment: uuid.UUID, look: Look
) -> None:
    assert look() == []


def test_on_a_day_on_which_clocks_are_set_forward_one_run_runs(
    store: Store, client: SyncPrefectClient, look: Look, set_clock: Clock
) -> None:
    """Prefect starts it at 00:00 UTC; to other libraries it is due at 01:00."""
    berlin = Cron(CRON, timezone="Europe/Berlin")
    made = nightly.to_deployment(name="nightly", schedule=berlin).apply()
    midnight = datetime(2027, 3, 28, tzinfo=UTC)
    ran(store, "completed", midnight + timedelta(seconds=5))
    for minutes in range(3, 180, 20):
        set_clock(midnight + timedelta(minutes=minutes))
        assert look() == []
    assert started(client, made) == []
    client.delete_deployment(made)


def test_a_missed_run_waits_for_the_lease_and_starts_once_more_after_a_refusal(
    store: Store, client: SyncPrefectClient, deployment: uuid.UUID, due: datetime, look: Look
) -> None:
    token = lease.acquire(store, owner="the prune of ann@host")
    assert look() == []
    lease.release(store, token, RUN)
    assert len(look()) == 1
    (made,) = started(client, deployment)
    ran(store, "refused", due + timedelta(minutes=20))  # another took the lease before it
    client.set_flow_run_state(made.id, Completed(name="Skipped"), force=True)
    assert len(look()) == 1
    assert look() == []
    assert len(started(client, deployment)) == 2


# --- Prefect's database is lost, our store is not ---------------------------------------------


def lose_prefect_database(client: SyncPrefectClient, deployment: uuid.UUID) -> uuid.UUID:
    """Prefect forgets the deployment and its runs; the worker registers the deployment again."""
    for run in client.read_flow_runs():
        if run.deployment_id == deployment:
            client.delete_flow_run(run.id)
    client.delete_deployment(deployment)
    return nightly.to_deployment(name="nightly", schedule=Cron(CRON, timezone="UTC")).apply()


def test_a_run_that_a_person_cancelled_stays_cancelled_when_prefect_forgets_it(
    client: SyncPrefectClient, deployment: uuid.UUID, due: datetime, look: Look, set_clock: Clock
) -> None:
    run = scheduled(client, deployment, due)
    client.set_flow_run_state(run.id, Cancelled(), force=True)
    assert look() == []
    again = lose_prefect_database(client, deployment)
    assert look() == []
    assert started(client, again) == []
    set_clock(due + DAY + HALF_AN_HOUR)
    assert len(look()) == 1, "another run, which nobody cancelled"
    client.delete_deployment(again)


def test_a_missed_run_is_started_once_even_when_prefect_forgets_that_it_was(
    store: Store, client: SyncPrefectClient, deployment: uuid.UUID, due: datetime, look: Look
) -> None:
    assert len(look()) == 1
    ran(store, "crashed", due + timedelta(minutes=31))
    again = lose_prefect_database(client, deployment)
    assert look() == [], "what crashed its machine must not do so again"
    client.delete_deployment(again)


@pytest.mark.parametrize(("status", "starts"), [("completed", 0), ("failed", 0), (None, 1)])
def test_a_run_due_before_prefect_lost_its_database_is_judged_by_our_store(
    store: Store,
    client: SyncPrefectClient,
    deployment: uuid.UUID,
    look: Look,
    set_clock: Clock,
    status: str | None,
    starts: int,
) -> None:
    """The deployment is younger than the time at which the run was due."""
    now = utc_now()
    newest = last_due(TWO, now - timedelta(minutes=5))
    assert newest is not None
    set_clock(now + timedelta(minutes=1))
    assert look() == [], "nothing was watched then"
    with store.write() as connection:
        connection.execute(watchdog_marks.update().values(at=newest - DAY))
    ran(store, "completed", newest - DAY)
    if status is not None:
        ran(store, status, newest)
    assert bool(look()) is bool(starts)
    assert len(started(client, deployment)) == starts


# --- what a person decided ------------------------------------------------------------------


@pytest.mark.parametrize("began", [True, False])
@pytest.mark.parametrize("halted", [Cancelled, Suspended])
def test_a_run_halted_by_a_person_is_not_started_again_and_a_later_one_is(
    store: Store,
    client: SyncPrefectClient,
    deployment: uuid.UUID,
    due: datetime,
    look: Look,
    set_clock: Clock,
    received: Receiver,
    began: bool,
    halted: Callable[[], State[None]],
) -> None:
    run = scheduled(client, deployment, due)
    if began:
        client.set_flow_run_state(run.id, Running(), force=True)
        ran(store, "cancelled", due)
    client.set_flow_run_state(run.id, halted(), force=True)
    assert look() == []
    set_clock(due + timedelta(hours=9))
    assert look() == []
    assert missed(received, due) == [], "nobody missed it"
    set_clock(due + DAY + HALF_AN_HOUR)
    assert len(look()) == 1, "another run, which nobody cancelled"


@pytest.mark.parametrize("switch", ["schedule", "deployment"])
def test_a_run_due_while_the_schedule_was_off_is_not_started(
    client: SyncPrefectClient,
    deployment: uuid.UUID,
    due: datetime,
    look: Look,
    set_clock: Clock,
    received: Receiver,
    switch: str,
) -> None:
    schedule = client.read_deployment(deployment).schedules[0].id

    def turn(on: bool) -> None:
        if switch == "schedule":
            client.update_deployment_schedule(deployment, schedule, active=on)
        else:
            (client.resume_deployment if on else client.pause_deployment)(deployment)

    turn(False)
    assert look() == []
    set_clock(due + timedelta(minutes=61))
    assert look() == []
    turn(True)
    assert look() == []
    assert started(client, deployment) == []
    (said,) = missed(received, due)
    assert "has not started. Its schedule is off" in said
    set_clock(due + DAY + HALF_AN_HOUR)
    assert len(look()) == 1, "it is on again"


def test_a_schedule_deleted_in_the_ui_counts_as_switched_off(
    client: SyncPrefectClient,
    deployment: uuid.UUID,
    due: datetime,
    look: Look,
    set_clock: Clock,
    received: Receiver,
) -> None:
    client.delete_deployment_schedule(
        deployment, client.read_deployment(deployment).schedules[0].id
    )
    set_clock(due + timedelta(minutes=61))
    assert look() == []
    (said,) = missed(received, due)
    assert "has not started. Its schedule is off" in said
    assert started(client, deployment) == []


@pytest.mark.parametrize("switch", ["schedule", "deployment"])
@pytest.mark.parametrize("cron", [CRON, "0 4 * * *"])
def test_a_restart_of_the_worker_leaves_switched_off_what_is_off(
    client: SyncPrefectClient, deployment: uuid.UUID, switch: str, cron: str
) -> None:
    before = client.read_deployment(deployment).schedules[0]
    if switch == "schedule":
        client.update_deployment_schedule(deployment, before.id, active=False)
    else:
        client.pause_deployment(deployment)
    register(client, cron)
    found = client.read_deployment(deployment)
    assert (found.paused, found.schedules[0].active) == (
        switch == "deployment",
        switch == "deployment",
    )
    assert [each.schedule for each in found.schedules] == [CronSchedule(cron=cron, timezone="UTC")]
    assert (found.schedules[0].created == before.created) == (cron == CRON)
    assert found.description == nightly.description, "all else is registered"


def test_a_schedule_that_was_taken_out_of_the_settings_ends(
    client: SyncPrefectClient, deployment: uuid.UUID
) -> None:
    register(client, None)
    assert client.read_deployment(deployment).schedules == []
    register(client, CRON)
    assert [each.active for each in client.read_deployment(deployment).schedules] == [True]


def register(client: SyncPrefectClient, cron: str | None) -> None:
    """As the worker does at its start."""
    schedule = None if cron is None else Cron(cron, timezone="UTC")
    built = nightly.to_deployment(name="nightly", schedule=schedule)
    assert isinstance(built, RunnerDeployment)
    keep_schedules(client, built)
    built.apply()


def test_a_schedule_that_is_changed_at_noon_asks_for_no_run_at_once(
    client: SyncPrefectClient, deployment: uuid.UUID
) -> None:
    found = client.read_deployment(deployment)
    noon = datetime(2030, 6, 3, 12, tzinfo=UTC)
    changed = found.schedules[0].model_copy(
        update={"schedule": CronSchedule(cron="0 4 * * *", timezone="UTC"), "updated": noon}
    )
    moved = found.model_copy(update={"schedules": [changed]})
    # The run at two, by the former schedule, lies after this.
    assert newest_due_time(moved, noon + HALF_AN_HOUR, noon) == datetime(2030, 6, 2, 4, tzinfo=UTC)
    assert newest_due_time(moved, noon + DAY, noon) == datetime(2030, 6, 4, 4, tzinfo=UTC)
    assert newest_due_time(moved, noon - HALF_AN_HOUR, noon) == datetime(
        2030, 6, 3, 4, tzinfo=UTC
    ), "a time in the future is of a clock that was wrong"


# --- what the team hears --------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "after", "messages"), [(60, 59, 0), (60, 61, 1), (0, 6000, 0)])
def test_a_missed_run_is_reported_after_so_many_minutes_and_with_zero_never(
    store: Store,
    client: SyncPrefectClient,
    deployment: uuid.UUID,
    due: datetime,
    received: Receiver,
    set_clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
    after: int,
    messages: int,
) -> None:
    monkeypatch.setenv("HOUSING_SCHEDULES__MISSED_AFTER_MINUTES", str(minutes))
    set_clock(due + timedelta(minutes=after % 1440))
    for _ in range(2):
        list(start_missed_run(client, store, load_settings()))
        outbox.deliver(store)
    assert len(started(client, deployment)) == 1, "it is started all the same"
    assert len(missed(received, due)) == messages
    with store.read() as connection:
        rows = connection.execute(sa.select(run_rows).where(run_rows.c.status == "missed")).all()
    assert len(rows) == messages


def test_two_watchdogs_start_a_missed_run_once_and_report_it_once(
    settings: Settings,
    client: SyncPrefectClient,
    deployment: uuid.UUID,
    due: datetime,
    received: Receiver,
    set_clock: Clock,
) -> None:
    set_clock(due + timedelta(minutes=61))
    both = threading.Barrier(2)

    def one() -> list[str]:
        with open_store(settings) as own, get_client(sync_client=True) as mine:
            both.wait()
            done = list(start_missed_run(mine, own, settings))
            outbox.deliver(own)
            return done

    contexts = [copy_context(), copy_context()]  # the server's address is in them
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda context: context.run(one), contexts))
    assert len(started(client, deployment)) == 1
    assert len(missed(received, due)) == 1


def test_a_missed_run_is_reported_while_the_server_is_away(
    store: Store, settings: Settings, due: datetime, received: Receiver, set_clock: Clock
) -> None:
    set_clock(due + timedelta(minutes=61))
    nowhere = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(nowhere):
        main.watch(Once())
        assert missed(received, due) == [], "nothing has ever run here"
        ran(store, "completed", due - DAY)
        for _ in range(2):
            main.watch(Once())
    (said,) = missed(received, due)
    assert "The Prefect server does not answer" in said
    ran(store, "completed", due + DAY)
    set_clock(due + DAY + timedelta(minutes=61))
    report_without_server(store, settings)
    outbox.deliver(store)
    assert missed(received, due + DAY) == []
