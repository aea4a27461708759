"""Who is alive is asked of the lease: dead runs are crashed; of late ones the newest is left."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending, Running, Scheduled, Suspended

from deployments.watchdog import missed_runs
from deployments.watchdog.missed_runs import skip_older
from deployments.watchdog.zombie_runs import death, reconcile
from flows.nightly import nightly
from housing.records import Event
from housing.settings import Settings, load_settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import leases, utc_now
from housing.store.models import approvals
from housing.store.runs import lease, outbox, runs
from tests.housing.store.conftest import add_batch as add_batch
from tests.housing.store.conftest import add_evaluation as add_evaluation
from tests.housing.store.conftest import add_model as add_model
from tests.housing.store.conftest import districts as districts

pytestmark = pytest.mark.prefect

Make = Callable[..., Any]


@pytest.fixture
def settings(home: object, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HOUSING_SCHEDULES__RETRAIN", "0 2 * * *")
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


@pytest.fixture
def evaluation(
    store: Store, districts: Make, add_batch: Make, add_model: Make, add_evaluation: Make
) -> int:
    """A verdict that a person can be asked about."""
    add_batch(store, districts(range(10)))
    version = datasets.append_waiting(store, reason="test", run=None)
    assert version is not None
    made: int = add_evaluation(store, version.id, add_model(store, version.id))
    return made


def flow_run(client: SyncPrefectClient, state: object) -> FlowRun:
    """A run of Prefect's in a state, which nothing runs."""
    run = client.create_flow_run(nightly, state=Scheduled())
    client.set_flow_run_state(run.id, state, force=True)
    return client.read_flow_run(run.id)


def row(store: Store, run: FlowRun, status: str = "running", kind: str = "nightly") -> int:
    with store.write() as connection:
        id_ = runs.start(connection, kind, {}, str(run.id))
    if status != "running":
        runs.finish(store, id_, status, error="")
    return id_


def held_by(store: Store, run: int) -> int:
    token = lease.acquire(store, owner="a test")
    with store.fenced(token).write() as connection:
        lease.set_run(connection, run)
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
    reconcile(client, store)
    assert client.read_flow_run(run.id).state_type.value == "RUNNING", "it may be alive"
    lease.release(store, token)
    reconcile(client, store)
    assert client.read_flow_run(run.id).state_type.value == "CRASHED"
    with store.read() as connection:
        assert runs.get(connection, id_).status == "crashed"
        assert outbox.stands(connection, Event.FAILED, f"r{id_}")
    assert not [line for line in reconcile(client, store) if run.name in line]


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


@pytest.mark.parametrize("outcome", ["awaiting approval", "promoted"])
def test_a_run_that_carries_out_an_approval_may_take_longer_than_five_minutes(
    store: Store, client: SyncPrefectClient, outcome: str, evaluation: int
) -> None:
    """The comparison and the backup can: while they run, and when only the end is left."""
    run = client.create_flow_run(nightly, state=Scheduled())
    id_ = row(store, run, "completed")
    runs.note(store, id_, outcome=outcome)
    with store.write() as connection:
        approvals.ask(connection, run=id_, evaluation=evaluation, hours=1)
    client.set_flow_run_state(run.id, Running(), force=True)
    resumed = client.read_flow_run(run.id)
    assert death(store, resumed, later(60)) is None
    assert death(store, resumed, later(60 * 7)) is not None


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
    reconcile(client, store)
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
    found = missed_runs._due

    def as_scheduled(*arguments: object) -> list[FlowRun]:
        return [r.model_copy(update={"auto_scheduled": True}) for r in found(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr(missed_runs, "_due", as_scheduled)
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
    found = missed_runs._due

    def as_scheduled(*arguments: object) -> list[FlowRun]:
        return [r.model_copy(update={"auto_scheduled": True}) for r in found(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr(missed_runs, "_due", as_scheduled)
    assert list(skip_older(client)) == []
    assert client.read_flow_run(late.id).state_type.value == "SCHEDULED"
