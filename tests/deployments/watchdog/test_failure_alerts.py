"""Each failed flow run without a row is reported once by the watchdog, without Prefect's events."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from prefect.states import Completed, Crashed, Failed, Pending, Running, Scheduled

from deployments.processes.worker import mark_stops
from deployments.watchdog import failure_alerts
from deployments.watchdog.failure_alerts import report_failed_flow_runs
from flows.decisions import rollback
from housing.pipeline import notifications
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import utc_now
from housing.store.runs import outbox, runs
from tests.housing.test_notify import Receiver

pytestmark = pytest.mark.prefect


@pytest.fixture
def settings(
    home: object, prefect_api: str, received: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    url = f"http://127.0.0.1:{received.server_port}/"
    monkeypatch.setenv("HOUSING_NOTIFY__WEBHOOK_URL", url)
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


def ended(client: SyncPrefectClient, state: State[object], *tags: str) -> FlowRun:
    """A run of Prefect's that is over, which nothing has run."""
    run = client.create_flow_run(rollback, state=Scheduled(), tags=tags or ("housing",))
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, state, force=True)
    return client.read_flow_run(run.id)


def report(client: SyncPrefectClient, store: Store) -> None:
    """As a round of the watchdog does."""
    report_failed_flow_runs(client, store)
    outbox.deliver(store)


def of(received: Receiver, run: FlowRun) -> list[str]:
    """What was received about a run."""
    return [message["text"] for message in received.got if message["subject"] == run.name]


def test_each_is_reported_once(client: SyncPrefectClient, store: Store, received: Receiver) -> None:
    failed = ended(client, Failed(message="There is none."))
    crashed = ended(client, Crashed(message="It is gone."))
    report(client, store)
    for run, end in ((failed, "Failed: There is none."), (crashed, "Crashed: It is gone.")):
        (text,) = of(received, run)
        assert run.expected_start_time is not None
        due = f"{run.expected_start_time:%Y-%m-%d %H:%M} UTC"
        assert text.startswith(f"The rollback run {run.name}, due {due}, failed. {end} ")
        assert text.endswith("; to run it again: Deployments, rollback.")
    report(client, store)
    assert len(of(received, failed)) == len(of(received, crashed)) == 1


def _stopped(run: FlowRun) -> None:
    """As a worker that is stopped does before it passes the signal on to the run's process."""
    ready = "print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", ready], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PREFECT__FLOW_RUN_ID": str(run.id)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        mark_stops([2**22 + 1, process.pid])  # the first has ended meanwhile


@pytest.mark.parametrize("starting", [True, False])
def test_a_run_that_a_worker_stopped_is_no_failure(
    client: SyncPrefectClient, store: Store, received: Receiver, *, starting: bool
) -> None:
    run = client.create_flow_run(rollback, state=Scheduled(), tags=["housing"])
    client.set_flow_run_state(run.id, Pending() if starting else Running(), force=True)
    _stopped(run)
    client.set_flow_run_state(run.id, Crashed(message="aborted by a signal"), force=True)
    report(client, store)
    assert of(received, run) == []
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, Failed(message="No."), force=True)
    report(client, store)
    assert len(of(received, run)) == 1, "another attempt"


def test_a_run_ended_by_a_signal_from_outside_has_failed(
    client: SyncPrefectClient, store: Store, received: Receiver
) -> None:
    run = ended(client, Crashed(message="Process exited with status code: -15. It received"))
    report(client, store)
    assert len(of(received, run)) == 1


def test_each_end_of_a_run_that_is_retried_is_reported(
    client: SyncPrefectClient, store: Store, received: Receiver
) -> None:
    run = ended(client, Failed(message="first"))
    report(client, store)
    client.set_flow_run_state(run.id, Running(), force=True)
    report(client, store)
    assert len(of(received, run)) == 1, "it is at work again"
    client.set_flow_run_state(run.id, Failed(message="second"), force=True)
    report(client, store)
    assert [said.split("Failed: ")[1].split(".")[0] for said in of(received, run)] == [
        "first",
        "second",
    ]


def test_a_run_with_a_row_or_of_another_program_or_completed_is_left_alone(
    client: SyncPrefectClient,
    store: Store,
    received: Receiver,
) -> None:
    own = ended(client, Failed(message="No."))
    with store.write() as connection:
        runs.start(connection, "nightly", {}, str(own.id))
    others = ended(client, Failed(message="No."), "somebody's")
    well = ended(client, Completed())
    report(client, store)
    assert [of(received, run) for run in (own, others, well)] == [[], [], []]


def test_a_run_that_failed_long_ago_is_left_alone(
    client: SyncPrefectClient,
    store: Store,
    received: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ended(client, Failed(message="No."))
    monkeypatch.setattr(failure_alerts, "utc_now", lambda: utc_now() + timedelta(days=1, minutes=1))
    report(client, store)
    assert of(received, run) == []


PRUNE = """
import os, signal
from housing.errors import StoreUnavailable
from housing.operations import prune as steps

def end(*_):
    {ends}

steps.{function} = end
from prefect import tags
from flows.maintenance import prune
with tags("housing"):  # as its deployment has
    prune(return_state=True)
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
FAIL = 'raise StoreUnavailable(what="The folder", why="disk error", next_step="Wait.")'


@pytest.mark.parametrize(
    ("ends", "function", "prefect_first"),
    [
        (KILL, "_Pruner.act", False),
        pytest.param(KILL, "_Pruner.act", True, marks=pytest.mark.system),
        (FAIL, "_Pruner.act", True),
        pytest.param(KILL, "_recorded", False, marks=pytest.mark.system),  # before it has a row
    ],
)
def test_a_prune_that_ends_early_is_reported_once(
    client: SyncPrefectClient, store: Store, received: Receiver, ends: str,
    function: str, prefect_first: bool,
) -> None:  # fmt: skip
    server = {
        "PREFECT_API_URL": PREFECT_API_URL.value(),
        "PREFECT_API_AUTH_STRING": PREFECT_API_AUTH_STRING.value(),
    }
    before = len(received.got)
    code = PRUNE.format(ends=ends, function=function)
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **server}, check=False)
    [run] = [run for run in client.read_flow_runs() if run.name.startswith("prune")]
    if ends == KILL:
        assert run.state.is_running()
        client.set_flow_run_state(run.id, Crashed(message="no heartbeat"), force=True)
    reporters = [
        lambda: notifications.report_dead_runs(store),
        lambda: report(client, store),
    ]
    for reporter in (reporters[::-1] if prefect_first else reporters) * 2:
        reporter()
    client.delete_flow_run(run.id)  # the next case has a store of its own
    ours = [m for m in received.got[before:] if m["subject"] in (run.name, "r1")]
    assert len(ours) == 1
