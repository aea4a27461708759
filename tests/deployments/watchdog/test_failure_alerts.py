"""Each failed flow run without a row is reported once by the watch, without Prefect's events."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from prefect.states import Completed, Crashed, Failed, Running, Scheduled

from deployments.watchdog import failure_alerts
from deployments.watchdog.failure_alerts import tell_untold
from flows.decisions import rollback
from housing.pipeline import notifications
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import utc_now
from housing.store.runs import runs, sent_alerts
from tests.housing.test_notify import Receiver

pytestmark = pytest.mark.prefect


@pytest.fixture
def settings(
    home: object, prefect_api: str, told: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    url = f"http://127.0.0.1:{told.server_port}/"
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


def of(told: Receiver, run: FlowRun) -> list[str]:
    """What the team was told of a run."""
    return [message["text"] for message in told.got if message["subject"] == run.name]


def test_each_is_reported_once(
    client: SyncPrefectClient, store: Store, settings: Settings, told: Receiver
) -> None:
    failed = ended(client, Failed(message="There is none."))
    crashed = ended(client, Crashed(message="It is gone."))
    said = list(tell_untold(client, store, settings))
    assert of(told, failed) == [f"The run {failed.name} failed. Failed: There is none."]
    assert of(told, crashed) == [f"The run {crashed.name} failed. Crashed: It is gone."]
    assert {*of(told, failed), *of(told, crashed)} <= {*said}
    assert list(tell_untold(client, store, settings)) == []
    assert len(of(told, failed)) == len(of(told, crashed)) == 1


def test_each_end_of_a_run_that_is_retried_is_told(
    client: SyncPrefectClient, store: Store, settings: Settings, told: Receiver
) -> None:
    run = ended(client, Failed(message="first"))
    list(tell_untold(client, store, settings))
    client.set_flow_run_state(run.id, Running(), force=True)
    list(tell_untold(client, store, settings))
    assert len(of(told, run)) == 1, "it is at work again"
    client.set_flow_run_state(run.id, Failed(message="second"), force=True)
    list(tell_untold(client, store, settings))
    assert [said.rpartition(" ")[2] for said in of(told, run)] == ["first", "second"]


def test_what_tells_by_itself_or_is_not_ours_or_went_well_is_left_alone(
    client: SyncPrefectClient,
    store: Store,
    settings: Settings,
    told: Receiver,
) -> None:
    night = ended(client, Failed(message="No."))
    with store.write() as connection:
        runs.start(connection, "nightly", {}, str(night.id))
    others = ended(client, Failed(message="No."), "somebody's")
    well = ended(client, Completed())
    list(tell_untold(client, store, settings))
    assert [of(told, run) for run in (night, others, well)] == [[], [], []]


def test_what_ended_long_ago_is_left_alone(
    client: SyncPrefectClient,
    store: Store,
    settings: Settings,
    told: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ended(client, Failed(message="No."))
    monkeypatch.setattr(failure_alerts, "utc_now", lambda: utc_now() + timedelta(days=1, minutes=1))
    list(tell_untold(client, store, settings))
    assert of(told, run) == []


def test_of_two_that_look_at_once_one_tells(
    client: SyncPrefectClient,
    store: Store,
    settings: Settings,
    told: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ended(client, Failed(message="No."))
    # Each looks before the other has told: the primary key alone can decide.
    monkeypatch.setattr(sent_alerts, "known", lambda _connection, _key: False)
    for _ in range(2):
        list(tell_untold(client, store, settings))
    assert len(of(told, run)) == 1


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
    client: SyncPrefectClient, store: Store, settings: Settings, told: Receiver, ends: str,
    function: str, prefect_first: bool,
) -> None:  # fmt: skip
    server = {
        "PREFECT_API_URL": PREFECT_API_URL.value(),
        "PREFECT_API_AUTH_STRING": PREFECT_API_AUTH_STRING.value(),
    }
    code = PRUNE.format(ends=ends, function=function)
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **server}, check=False)
    [run] = [run for run in client.read_flow_runs() if run.name.startswith("prune")]
    if ends == KILL:
        assert run.state.is_running()
        client.set_flow_run_state(run.id, Crashed(message="no heartbeat"), force=True)
    reporters = [
        lambda: notifications.failures(store, settings),
        lambda: list(tell_untold(client, store, settings)),
    ]
    before = len(told.got)
    for report in (reporters[::-1] if prefect_first else reporters) * 2:
        report()
    client.delete_flow_run(run.id)  # the next case has a store of its own
    ours = [m for m in told.got[before:] if m["subject"] in (run.name, "r1")]
    assert len(ours) == 1
