"""Who is alive is asked of the lease: dead runs are crashed; of late ones the newest is left."""

import signal
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Crashed, Pending, Running, Scheduled, Suspended

from deployments.watchdog import missed_runs, zombie_runs
from deployments.watchdog.missed_runs import skip_older
from deployments.watchdog.zombie_runs import end_state, reconcile, why_dead
from flows.nightly import nightly
from housing.records import Event
from housing.settings import Settings, load_settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import leases, utc_now
from housing.store.models import approvals
from housing.store.runs import lease, outbox, runs
from tasks.run_labels import TAG
from tasks.run_steps import ingest
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
    run = client.create_flow_run(nightly, state=Scheduled(), tags=[TAG])
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


@pytest.mark.parametrize(("tags", "ends"), [([TAG, "backup"], True), (["their own"], False)])
def test_only_runs_of_this_system_are_ended_on_a_shared_server(
    store: Store, client: SyncPrefectClient, tags: list[str], ends: bool
) -> None:
    began = Running(timestamp=later(-7 * 60))
    run = client.create_flow_run(nightly, state=Scheduled(), tags=tags)
    client.set_flow_run_state(run.id, began, force=True)
    seen = client.read_flow_run(run.id)
    assert (why_dead(store, seen, later(7 * 60)) is not None) == ends


def test_a_run_that_holds_the_lease_is_alive(store: Store, client: SyncPrefectClient) -> None:
    run = flow_run(client, Running())
    held_by(store, row(store, run))
    assert why_dead(store, run, utc_now()) is None


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
        assert outbox.is_open(connection, Event.FAILED, f"r{id_}")
    assert not [line for line in reconcile(client, store) if run.name in line]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_run_that_has_ended_here_may_take_a_moment_there(
    store: Store, client: SyncPrefectClient, status: str
) -> None:
    run = flow_run(client, Running())
    id_ = row(store, run, status)
    assert why_dead(store, run, utc_now()) is None
    assert why_dead(store, run, later(2)) == f"r{id_} is {status}"


@pytest.mark.parametrize("asked", [Running, Cancelling], ids=["running", "cancelled"])
@pytest.mark.parametrize(
    ("status", "facts", "expected"),
    [
        ("completed", {"outcome": "kept", "message": "m1 stays."}, ("COMPLETED", "Kept")),
        ("failed", {"error": "No rows."}, ("FAILED", "Failed")),
        ("cancelled", {"error": "interrupted"}, None),
        ("crashed", {"error": "the process is gone"}, None),
    ],
)
def test_a_run_ends_in_prefect_with_the_state_of_our_store(
    store: Store,
    client: SyncPrefectClient,
    monkeypatch: pytest.MonkeyPatch,
    asked: Any,
    status: str,
    facts: dict[str, str],
    expected: tuple[str, str] | None,
) -> None:
    run = flow_run(client, Running())
    client.set_flow_run_state(run.id, asked(), force=True)
    id_ = row(store, run)
    runs.finish(store, id_, status, **facts)
    monkeypatch.setattr(zombie_runs, "utc_now", lambda: later(2))
    reconcile(client, store)
    found = client.read_flow_run(run.id)
    stopped = ("CRASHED", "Crashed") if asked is Running else ("CANCELLED", "Cancelled")
    expected = expected or stopped
    assert found.state is not None
    assert (found.state.type.value, found.state.name) == expected
    said = facts.get("message" if status == "completed" else "error", "")
    told = said if status in ("completed", "failed") else f"r{id_} is {status}"
    assert told in str(found.state.message)


def test_the_end_of_a_run_with_another_one_inside_waits_for_that(
    store: Store, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill ends its own row, and then runs `nightly`, which may take hours."""
    outer = flow_run(client, Running())
    row(store, outer, "completed", kind="backfill")
    task = client.create_task_run(task=ingest, flow_run_id=outer.id, dynamic_key="0")
    inner = client.create_flow_run(nightly, state=Running(), parent_task_run_id=task.id)
    held_by(store, row(store, inner))
    monkeypatch.setattr(zombie_runs, "utc_now", lambda: later(2))
    reconcile(client, store)
    assert client.read_flow_run(outer.id).state_type.value == "RUNNING"
    client.set_flow_run_state(inner.id, Crashed(), force=True)
    reconcile(client, store)
    assert client.read_flow_run(outer.id).state_type.value == "COMPLETED"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "Nothing starts it again: start it again if it is still wanted."),
        ({"auto_scheduled": True, "tags": ["nightly"]}, "The watchdog starts the run again."),
        ({"auto_scheduled": True, "tags": ["search"]}, "Nothing starts it again"),
    ],
)
def test_the_state_of_a_crashed_run_says_whether_it_is_started_again(
    store: Store, client: SyncPrefectClient, changed: dict[str, Any], expected: str
) -> None:
    run = flow_run(client, Running()).model_copy(update=changed)
    end = end_state(run, None, "it has given no sign of life for 6:00:01")
    assert (end.type.value, expected in str(end.message)) == ("CRASHED", True)


def test_a_run_that_the_worker_reported_as_crashed_gets_the_next_step(
    store: Store, client: SyncPrefectClient
) -> None:
    run = flow_run(client, Crashed(message="Process exited with status code: -9."))
    row(store, run)  # which no process holds
    reconcile(client, store)
    found = client.read_flow_run(run.id).state
    assert found is not None
    assert "Nothing starts it again" in str(found.message)


def test_a_cancelled_run_that_goes_on_is_sent_sigterm_once(
    store: Store, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        run = flow_run(client, Running())
        client.set_flow_run_state(run.id, Cancelling(), force=True)
        held_by(store, row(store, run))
        reconcile(client, store)
        assert not received, "Prefect's worker may still do it"
        monkeypatch.setattr(zombie_runs, "utc_now", lambda: later(1))
        assert any("is sent SIGTERM" in line for line in reconcile(client, store))
        reconcile(client, store)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert client.read_flow_run(run.id).state_type.value == "CANCELLING"


def test_a_run_on_its_way_up_again_is_given_time(store: Store, client: SyncPrefectClient) -> None:
    run = client.create_flow_run(nightly, state=Scheduled())
    row(store, run, "cancelled")
    client.set_flow_run_state(run.id, Running(), force=True)
    resumed = client.read_flow_run(run.id)
    assert why_dead(store, resumed, later(2)) is None
    assert why_dead(store, resumed, later(6)) is not None


@pytest.mark.parametrize("outcome", ["awaiting approval", "promoted"])
def test_a_run_that_carries_out_an_approval_may_take_longer_than_five_minutes(
    store: Store, client: SyncPrefectClient, outcome: str, evaluation: int
) -> None:
    """The comparison and the backup can: while they run, and when only the end is left."""
    run = client.create_flow_run(nightly, state=Scheduled())
    id_ = row(store, run, "completed")
    runs.note(store, id_, outcome=outcome)
    with store.write() as connection:
        approvals.request(connection, run=id_, evaluation=evaluation, hours=1)
    client.set_flow_run_state(run.id, Running(), force=True)
    resumed = client.read_flow_run(run.id)
    assert why_dead(store, resumed, later(60)) is None
    assert why_dead(store, resumed, later(60 * 7)) is not None


def test_a_run_that_never_got_a_row(store: Store, client: SyncPrefectClient) -> None:
    pending, running = flow_run(client, Pending()), flow_run(client, Running())
    assert why_dead(store, pending, later(4)) is None
    assert why_dead(store, pending, later(6)) is not None
    assert why_dead(store, running, later(6)) is None, "a rollback has no row and may be at work"
    assert why_dead(store, running, later(60 * 7)) is not None


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


def test_only_the_newest_late_run_is_kept(
    client: SyncPrefectClient, deployment: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [_late(client, deployment, hours) for hours in (48, 24, 0.1)]
    assert list(skip_older(client)) == [], "runs that a person asked for are all theirs"
    found = missed_runs._due_runs

    def as_scheduled(*arguments: object) -> list[FlowRun]:
        return [r.model_copy(update={"auto_scheduled": True}) for r in found(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr(missed_runs, "_due_runs", as_scheduled)
    assert len(list(skip_older(client))) == 2
    states = [client.read_flow_run(run.id).state for run in late]
    assert [s.name for s in states[:2]] == ["Skipped", "Skipped"]
    assert states[2].type.value == "SCHEDULED"
    assert "does its work" in str(states[0].message)


def test_a_run_that_is_resumed_is_not_a_late_one(
    client: SyncPrefectClient, deployment: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed, late = (_late(client, deployment, hours) for hours in (24, 0.1))
    client.set_flow_run_state(resumed.id, Running(), force=True)
    client.set_flow_run_state(resumed.id, Scheduled(name="Resuming"), force=True)
    found = missed_runs._due_runs

    def as_scheduled(*arguments: object) -> list[FlowRun]:
        return [r.model_copy(update={"auto_scheduled": True}) for r in found(*arguments)]  # type: ignore[arg-type]

    monkeypatch.setattr(missed_runs, "_due_runs", as_scheduled)
    assert list(skip_older(client)) == []
    assert client.read_flow_run(late.id).state_type.value == "SCHEDULED"
