"""Who is alive is asked of the lease: dead runs are crashed, late ones skipped or begun again."""

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Completed, Pending, Running, Scheduled, Suspended

from deployments import lateness
from deployments.lateness import last_due, make_up, skip_older
from deployments.reconcile import death, reconcile
from flows.nightly import nightly
from housing.settings import Settings, load_settings
from housing.store import lease, runs
from housing.store.engine import Store
from housing.store.opening import open_store
from housing.store.tables import leases, utc_now
from housing.store.tables import runs as run_rows

pytestmark = pytest.mark.prefect

DAYS = itertools.count(1)
"""Each test has a night of its own: Prefect remembers for which ones it was asked."""


@pytest.fixture
def settings(home: object, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HOUSING_SCHEDULE", "0 2 * * *")
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


@pytest.fixture
def deployment(client: SyncPrefectClient) -> Iterator[uuid.UUID]:
    """A nightly deployment whose schedule makes no runs by itself in a test."""
    made = nightly.to_deployment(name="nightly", cron="0 2 * * *", paused=False).apply()
    yield made
    client.delete_deployment(made)


def flow_run(client: SyncPrefectClient, state: object) -> FlowRun:
    """A run of Prefect's in a state, which nothing runs."""
    run = client.create_flow_run(nightly, state=Scheduled())
    client.set_flow_run_state(run.id, state, force=True)
    return client.read_flow_run(run.id)


def row(store: Store, run: FlowRun, status: str = "running", kind: str = "nightly") -> int:
    with store.write() as connection:
        id_ = runs.start(connection, kind, {}, str(run.id))
    if status != "running":
        runs.finish(store, id_, status)
    return id_


def held_by(store: Store, run: int) -> int:
    token = lease.acquire(store, owner="a test")
    with store.fenced(token).write() as connection:
        lease.name_run(connection, run)
    return token


def later(minutes: float) -> datetime:
    return utc_now() + timedelta(minutes=minutes)


def test_a_run_that_holds_the_lease_is_alive(store: Store, client: SyncPrefectClient) -> None:
    run = flow_run(client, Running())
    held_by(store, row(store, run))
    assert death(store, run, utc_now()) is None


def test_a_run_whose_lease_has_run_out_is_crashed_in_both_stores(
    store: Store, client: SyncPrefectClient, settings: Settings
) -> None:
    run = flow_run(client, Running())
    id_ = row(store, run)
    token = held_by(store, id_)
    with store.write() as connection:  # a host that cannot be asked about its processes
        connection.execute(leases.update().values(host="elsewhere"))
    reconcile(client, store, settings)
    assert client.read_flow_run(run.id).state_type.value == "RUNNING", "it may be alive"
    lease.release(store, token)
    said = reconcile(client, store, settings)
    assert f"r{id_} is crashed: its process is gone" in said
    assert client.read_flow_run(run.id).state_type.value == "CRASHED"
    with store.read() as connection:
        assert runs.get(connection, id_).status == "crashed"
    assert not [line for line in reconcile(client, store, settings) if run.name in line]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_run_that_has_ended_here_may_take_a_moment_there(
    store: Store, client: SyncPrefectClient, status: str
) -> None:
    run = flow_run(client, Running())
    id_ = row(store, run, status)
    assert death(store, run, utc_now()) is None
    assert death(store, run, later(2)) == f"r{id_} is {status}"


def test_a_run_on_its_way_up_again_is_given_time(store: Store, client: SyncPrefectClient) -> None:
    run = client.create_flow_run(nightly, state=Scheduled())
    row(store, run, "cancelled")
    client.set_flow_run_state(run.id, Running(), force=True)
    resumed = client.read_flow_run(run.id)
    assert death(store, resumed, later(2)) is None
    assert death(store, resumed, later(6)) is not None


def test_a_run_that_never_got_a_row(store: Store, client: SyncPrefectClient) -> None:
    pending, running = flow_run(client, Pending()), flow_run(client, Running())
    assert death(store, pending, later(4)) is None
    assert death(store, pending, later(6)) is not None
    assert death(store, running, later(6)) is None, "a rollback has no row and may be at work"
    assert death(store, running, later(60 * 7)) is not None


def test_a_suspended_run_waits_for_a_person(
    store: Store, client: SyncPrefectClient, settings: Settings
) -> None:
    run = flow_run(client, Suspended())
    row(store, run, "failed")
    reconcile(client, store, settings)
    assert client.read_flow_run(run.id).state_name == "Suspended"


def _late(client: SyncPrefectClient, deployment: uuid.UUID, hours: float) -> FlowRun:
    return client.create_flow_run_from_deployment(
        deployment, state=Scheduled(scheduled_time=utc_now() - timedelta(hours=hours))
    )


def test_of_late_nights_the_newest_is_left(
    client: SyncPrefectClient, deployment: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [_late(client, deployment, hours) for hours in (48, 24, 0.1)]
    assert list(skip_older(client)) == [], "runs that a person asked for are all theirs"
    found = lateness._due

    def as_scheduled(*arguments: object) -> list[FlowRun]:
        return [r.model_copy(update={"auto_scheduled": True}) for r in found(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr(lateness, "_due", as_scheduled)
    assert len(list(skip_older(client))) == 2
    states = [client.read_flow_run(run.id).state for run in late]
    assert [s.name for s in states[:2]] == ["Skipped", "Skipped"]
    assert states[2].type.value == "SCHEDULED"
    assert "does its work" in str(states[0].message)


def test_a_night_that_is_resumed_is_not_a_late_one(
    client: SyncPrefectClient, deployment: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed, late = (_late(client, deployment, hours) for hours in (24, 0.1))
    client.set_flow_run_state(resumed.id, Running(), force=True)
    client.set_flow_run_state(resumed.id, Scheduled(name="Resuming"), force=True)
    found = lateness._due

    def as_scheduled(*arguments: object) -> list[FlowRun]:
        return [r.model_copy(update={"auto_scheduled": True}) for r in found(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr(lateness, "_due", as_scheduled)
    assert list(skip_older(client)) == []
    assert client.read_flow_run(late.id).state_type.value == "SCHEDULED"


@pytest.fixture
def missed_night(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Half an hour after a night that did not begin; the deployment is older than that."""
    due = last_due(settings, utc_now() + timedelta(days=next(DAYS)))
    monkeypatch.setattr(lateness, "utc_now", lambda: due.astimezone(UTC) + timedelta(minutes=30))
    return due


def test_a_night_that_never_began_is_begun_once(
    store: Store,
    client: SyncPrefectClient,
    settings: Settings,
    deployment: uuid.UUID,
    missed_night: datetime,
) -> None:
    said = list(make_up(client, store, settings))
    assert len(said) == 1
    assert "it is begun now" in said[0]
    again = list(make_up(client, store, settings))
    assert again == [], "a run is on its way"
    found = client.read_flow_runs()
    made = [run for run in found if "made up for" in run.tags and run.deployment_id == deployment]
    assert len(made) == 1
    client.set_flow_run_state(made[0].id, Completed(name="Skipped"), force=True)
    assert list(make_up(client, store, settings)) == [], "once a due time"


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
def test_what_counts_as_a_night(
    store: Store,
    client: SyncPrefectClient,
    settings: Settings,
    deployment: uuid.UUID,
    missed_night: datetime,
    status: str,
    begun_again: int,
) -> None:
    with store.write() as connection:
        id_ = runs.start(connection, "nightly", {})
        connection.execute(
            run_rows.update()
            .where(run_rows.c.id == id_)
            .values(status=status, started_at=missed_night.astimezone(UTC) + timedelta(minutes=1))
        )
    assert len(list(make_up(client, store, settings))) == begun_again


def test_a_night_that_a_person_cancelled_is_not_begun_again(
    store: Store,
    client: SyncPrefectClient,
    settings: Settings,
    deployment: uuid.UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = client.create_flow_run_from_deployment(deployment)
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, Cancelled(), force=True)
    due = utc_now() - timedelta(minutes=10)
    monkeypatch.setattr(lateness, "last_due", lambda *_: due)
    read = client.read_deployment_by_name

    def older(name: str) -> object:
        return read(name).model_copy(update={"created": due - timedelta(days=9)})

    monkeypatch.setattr(client, "read_deployment_by_name", older)
    assert list(make_up(client, store, settings)) == []


def test_a_night_that_stays_away_is_told_once(
    store: Store,
    client: SyncPrefectClient,
    settings: Settings,
    deployment: uuid.UUID,
    missed_night: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client.pause_deployment(deployment)
    assert list(make_up(client, store, settings)) == [], "paused, and the hour is not over"
    monkeypatch.setattr(
        lateness, "utc_now", lambda: missed_night.astimezone(UTC) + timedelta(minutes=61)
    )
    said = list(make_up(client, store, settings))
    assert len(said) == 1
    assert "has not begun. Its schedule is paused" in said[0]
    with store.read() as connection:
        newest = connection.execute(sa.select(run_rows).order_by(run_rows.c.id.desc())).first()
    assert newest is not None
    assert (newest.status, newest.error) == ("missed", said[0])
    with store.write() as connection:  # as if it had been told after that time
        connection.execute(
            run_rows.update().values(started_at=missed_night.astimezone(UTC) + timedelta(hours=1))
        )
    assert list(make_up(client, store, settings)) == []


def test_what_was_due_before_there_was_a_deployment_is_nobodys(
    store: Store, client: SyncPrefectClient, settings: Settings, deployment: uuid.UUID
) -> None:
    assert list(make_up(client, store, settings)) == []


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-25T02:00:00+01:00", "2026-11-24T02:00:00+01:00"),
        ("2026-11-25T02:00:01+01:00", "2026-11-25T02:00:00+01:00"),
        ("2026-11-24T23:30:00+00:00", "2026-11-24T02:00:00+01:00"),
        ("2026-03-29T12:00:00+02:00", "2026-03-29T03:00:00+02:00"),  # two o'clock is left out
    ],
)
def test_when_it_was_due_last(home: object, now: str, due: str) -> None:
    settings = load_settings(schedule="0 2 * * *", timezone="Europe/Berlin")
    found = last_due(settings, datetime.fromisoformat(now))
    assert found == datetime.fromisoformat(due)
    assert found.tzinfo == ZoneInfo("Europe/Berlin")
