"""Automations seen at work on a real `housing up`: what fails, dies or drifts starts something.

A run that waits for a person has no heartbeat, and outlives one that is dead.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from housing.settings import load_settings
from housing.store.database.open import open_store
from tests.fixtures.housing_up import Up, until
from tests.fixtures.small_settings import landing_rows
from tests.housing.test_notify import Receiver

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,  # tests/deployments/watchdog sees the same without `housing up`
    pytest.mark.system,
    pytest.mark.prefect,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("alarms"),
]


@pytest.fixture(scope="module")
def up(received: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    settings = {
        "HOUSING_SEARCH__FAMILIES": "forest",
        "HOUSING_GATE__APPROVAL": "true",
        "HOUSING_NOTIFY__WEBHOOK_URL": f"http://127.0.0.1:{received.server_port}/",
        "HOUSING_NOTIFY__SILENT_AFTER_MINUTES": "1",
    }
    running = Up(tmp_path_factory.mktemp("alarms") / "home", settings)
    landing_rows(0, 600).to_csv(running.home / "landing" / "a.csv", index=False)
    try:
        until(lambda: len(_automations(running)) == 2, 120, "the automations never appeared")
        yield running
    finally:
        running.stop()
        print(running.output(), received.got)


def _automations(up: Up) -> dict[str, Any]:
    return {a["name"]: a for a in up.ask("automations/filter", {})}


def _reported(received: Receiver, run: dict[str, Any]) -> str | None:
    found = [m["text"] for m in received.got if m["subject"] == run["name"]]
    assert len(found) < 2, "reported twice"
    return found[0] if found else None


def test_a_run_that_failed_is_reported(up: Up, received: Receiver) -> None:
    failed = up.ended(up.run("rollback", reason="there is none to go back to"))
    assert failed["state"]["type"] == "FAILED"
    said = until(lambda: _reported(received, failed), 150, "it was not reported")
    assert "There is nothing to roll back to" in said


def test_dead_runs_are_crashed_and_reported_and_suspended_runs_are_left_alone(
    up: Up, received: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = up.run()
    until(lambda: up.see(waits)["state"]["name"] == "Suspended", 120, "it does not wait")
    installed = {name: found["id"] for name, found in _automations(up).items()}

    monkeypatch.setenv("HOUSING_HOME", str(up.home))
    with open_store(load_settings()) as store, store.write():  # a backup has to wait for this
        dies = up.run("backup")
        until(lambda: up.see(dies)["state"]["type"] == "RUNNING", 25, "it never began")
        up.kill("worker")
        up.kill("flow")
    until(lambda: up.pids("worker"), 30, "the worker did not come back")
    dead = up.ended(dies, 150)
    assert (dead["state"]["type"], dead["state"]["message"]) == (
        "CRASHED",
        "Its heartbeat has stopped.",
    )
    said = until(lambda: _reported(received, dead), 150, "it was not reported")
    assert "Crashed: Its heartbeat has stopped." in said
    assert up.see(waits)["state"]["name"] == "Suspended", "it was older than the dead one"
    assert {name: found["id"] for name, found in _automations(up).items()} == installed


def test_drift_starts_a_full_search_once_that_is_switched_on(up: Up) -> None:
    drift = _automations(up)["housing: drift starts a full search"]
    id_ = up.deployments()["search"]["id"]
    wanted = {"flow_runs": {"deployment_id": {"any_": [id_]}}}
    assert up.ask("flow_runs/count", wanted) == 0
    up.ask(f"automations/{drift['id']}", {"enabled": True}, "PATCH")
    _send_drift(up)
    [search] = until(lambda: up.ask("flow_runs/filter", wanted), 150, "no search was started")
    assert search["parameters"] == {"parameters": {"n_trials": 60, "families": ["all"]}}
    assert search["created_by"]["type"] == "AUTOMATION"
    called_off = {"state": {"type": "CANCELLED"}, "force": True}
    up.ask(f"flow_runs/{search['id']}/set_state", called_off)


SEND = """
from prefect.events.worker import EventsWorker
from housing.notify import Message
from tasks.reporting import emit

emit(Message("drift", "median_income drifts", "m1"))
EventsWorker.drain_all()
"""


def _send_drift(up: Up) -> None:
    """As a flow does, in a process of its own.

    A process has one sender of events, bound to the server it first spoke to: in this one that
    may be the session's server, which another test used before.
    """
    server = {
        "PREFECT_API_URL": f"http://127.0.0.1:{up.port}/api",
        "PREFECT_API_AUTH_STRING": up.secret(),
    }
    subprocess.run(
        [sys.executable, "-c", SEND], env={**up.environment, **server}, cwd=ROOT, check=True
    )
