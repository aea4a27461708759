"""The watch: one round of it, on a real server and a home with two runs."""

import logging
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Crashed, Pending, Running, Scheduled, Suspended

from deployments.automations import automations
from deployments.watchdog import main, zombie_runs
from flows.nightly import nightly
from housing.pipeline import approval
from housing.pipeline.evaluate import from_row
from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import approvals
from housing.store.models import promotion_log, registry
from housing.store.runs import runs
from tests.deployments.conftest import Housing

pytestmark = pytest.mark.prefect


@pytest.fixture
def store(
    housing: Housing, populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    shutil.copytree(populated_home, tmp_path / "copy")
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "copy"))
    with open_store(load_settings()) as opened:
        yield opened


def asks(client: SyncPrefectClient, store: Store) -> tuple[int, object]:
    """A run that asks for approval and, suspended, waits for it: in our store and in theirs."""
    flow_run = client.create_flow_run(nightly, state=Scheduled())
    client.set_flow_run_state(flow_run.id, Suspended(), force=True)
    with store.write() as connection:
        run = runs.start(connection, "nightly", {}, str(flow_run.id))
        evaluation = registry.newest_evaluations(connection, 1)[0]
    approval.request_approval(store, run, from_row(evaluation), load_settings())
    runs.finish(store, run, "completed", outcome="awaiting approval", message="It waits.")
    return run, flow_run.id


def status(store: Store, run: int) -> tuple[str, str]:
    with store.read() as connection:
        asked = connection.execute(sa.select(approvals).where(approvals.c.run == run)).one()
        return asked.status, str(runs.get(connection, run).outcome)


def test_an_expired_approval_ends_in_both_stores_and_is_reported_once(
    client: SyncPrefectClient, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings()
    run, theirs = asks(client, store)
    with store.read() as connection:
        champion = promotion_log.champion(connection)
    assert not [said for said in main.one_round(client, store, settings) if f"r{run}" in said]
    assert status(store, run) == ("pending", "awaiting approval")
    with store.write() as connection:
        connection.execute(approvals.update().values(expires_at=approvals.c.requested_at))
    with caplog.at_level(logging.INFO, "housing"):
        main.one_round(client, store, settings)
    assert status(store, run) == ("expired", "kept")
    assert f"Approval request of r{run} expired" in caplog.text, "the team is notified"
    state = client.read_flow_run(theirs).state  # type: ignore[arg-type]
    assert state is not None
    assert (state.name, state.is_completed()) == ("Expired", True)
    with store.read() as connection:
        assert promotion_log.champion(connection) == champion
    assert not [s for s in main.one_round(client, store, settings) if f"r{run}" in s], "once"


class Once(threading.Event):
    """Told to wait for the next round, it ends the watch."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def test_each_crashed_run_is_one_line_of_the_log(
    client: SyncPrefectClient,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zombie_runs, "START_GRACE", timedelta(0))
    with_row, silent, reported = (
        client.create_flow_run(nightly, state=Scheduled(), tags=["housing"]) for _ in range(3)
    )
    client.set_flow_run_state(with_row.id, Running(), force=True)
    client.set_flow_run_state(silent.id, Pending(), force=True)
    client.set_flow_run_state(reported.id, Crashed(message="It is gone."), force=True)
    with store.write() as connection:
        row = runs.start(connection, "nightly", {}, str(with_row.id))
    with caplog.at_level(logging.INFO, "housing"):
        for _ in range(2):
            main.watch(Once())
    for names in ({with_row.name, f"r{row} "}, {silent.name}, {reported.name}):
        lines = [line for line in caplog.messages if any(name in line for name in names)]
        assert len(lines) == 1, lines
    state = client.read_flow_run(with_row.id).state
    assert state is not None
    assert state.is_crashed()


def test_one_round_installs_the_automations_and_leaves_a_sign_of_life(
    client: SyncPrefectClient, store: Store, tmp_path: Path
) -> None:
    run, _ = asks(client, store)
    with store.write() as connection:
        connection.execute(approvals.update().values(expires_at=approvals.c.requested_at))
    search = nightly.to_deployment(name="search").apply()
    assert main.watch(threading.Event(), tmp_path / "beat", once=True)
    installed = {automation.name for automation in client.read_automations()}
    for automation in client.read_automations():
        client.delete_automation(automation.id)
    client.delete_deployment(search)
    assert installed == {one.name for one in automations({"search": search})}
    assert status(store, run) == ("expired", "kept")
    assert (tmp_path / "beat").exists()
