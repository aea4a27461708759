"""Flows beside the runs: approvals, backups, the monitor, alarms."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ParameterTypeError
from prefect.flow_engine import run_flow
from prefect.states import Pending, Suspended

from deployments.watchdog.zombie_runs import end_decided
from flows.decisions import ApprovalParameters, approval
from flows.maintenance import backup, monitor, prune
from flows.nightly import nightly
from housing.pipeline.approval import reject
from housing.settings import Settings
from housing.store import queries
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import approvals, utc_now
from housing.store.models import promotion_log
from tests.fixtures.small_settings import landing_rows

pytestmark = pytest.mark.prefect


def _land(settings: Settings, day: int) -> None:
    folder = settings.sources.landing_dir
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    landing_rows(day).to_csv(folder / f"{day}.csv", index=False)


def _champion(settings: Settings) -> int | None:
    with open_store(settings) as store, store.read() as connection:
        return promotion_log.champion(connection)


def test_a_person_rejects_and_approves(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSING_GATE__APPROVAL", "true")
    for run, decision, champion in ((1, "reject", None), (2, "approve", 2)):
        _land(small, run)
        state = nightly(return_state=True)
        assert state.name == "Awaiting approval"
        assert f"`housing approve r{run}`" in str(state.message)
        asked = ApprovalParameters(run=run, decision=decision, reason="seen by a person")
        decided = approval(asked, return_state=True)
        assert decided.is_completed()
        assert decided.name in ("Approved", "Rejected")
        assert _champion(small) == champion
        again = approval(asked, return_state=True)
        assert again.is_failed()
        assert "Deciding on" in str(again.message)


def _run_out(store: Store) -> None:
    with store.write() as connection:
        late = utc_now() - timedelta(seconds=1)
        connection.execute(approvals.update().values(expires_at=late))


@pytest.mark.parametrize(
    ("state", "why", "happens"),
    [
        ("Rejected", "rejected by ", lambda store, settings: reject(store, settings, 1, "not now")),
        pytest.param(
            "Expired",
            "expired: no decision in time",
            lambda store, _: _run_out(store),
            marks=pytest.mark.system,
        ),
    ],
)
def test_a_suspended_run_ends_once_a_decision_is_made_at_a_terminal(
    small: Settings,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    why: str,
    happens: Callable[[Store, Settings], object],
) -> None:
    monkeypatch.setenv("HOUSING_GATE__APPROVAL", "true")
    _land(small, 1)
    run = nightly(return_state=True).state_details.flow_run_id
    with open_store(small) as store, get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Suspended(), force=True)
        assert end_decided(client, store) == [], "it may still be decided"
        assert client.read_flow_run(run).state_name == "Suspended"
        happens(store, small)
        [said] = end_decided(client, store)
        ended = client.read_flow_run(run)
        assert end_decided(client, store) == []
    assert f"waits no longer: m1 is not promoted, {why}" in said
    assert (ended.state_name, ended.state.type.value) == (state, "COMPLETED")
    assert ended.name.endswith(f": v1, m1 against the baselines, {state.lower()}")
    assert "awaiting approval" not in ended.tags


def _resumed(run: UUID) -> State[object]:
    """The flow run started again from the top, as Prefect does when it is resumed."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Pending(), force=True)
        again = client.read_flow_run(run)
    return run_flow(nightly, flow_run=again, return_type="state")


@pytest.mark.system
def test_a_resumed_run_repeats_nothing_and_ends_with_the_decision_made_elsewhere(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_GATE__APPROVAL", "true")
    _land(small, 1)
    first = nightly(return_state=True)
    run = first.state_details.flow_run_id
    again = _resumed(run)
    assert (again.name, again.message) == (first.name, first.message) != (None, None)
    with open_store(small) as store:
        reject(store, small, 1, "not now")
        decided = _resumed(run)
        with store.read() as connection:
            rows = queries.list_runs(connection)
    assert decided.name == "Rejected"
    assert "m1 is not promoted, rejected by" in str(decided.message)
    assert len(rows) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"run": 0, "decision": "approve", "reason": "good"},
        {"run": 1, "decision": "perhaps", "reason": "good"},
        {"run": 1, "decision": "approve", "reason": "x"},
    ],
)
def test_a_decision_must_be_one(small: Settings, given: dict[str, object]) -> None:
    with pytest.raises(ParameterTypeError):
        approval(given)


@pytest.mark.system
def test_a_backup_is_made_and_tried(small: Settings) -> None:
    _land(small, 0)
    nightly()
    state = backup(return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Verified")


@pytest.mark.system
def test_a_backup_that_is_damaged_fails_and_is_reported(
    small: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from housing.operations import backup as steps

    _land(small, 0)
    nightly()
    real = steps.verify

    def after_damage(*given: Any) -> Any:
        """The disk damages an object between the backup and its trial."""
        copies = Path(small.backup_url).rglob("*")
        largest = max((p for p in copies if p.is_file()), key=lambda p: p.stat().st_size)
        largest.chmod(0o600)
        largest.write_bytes(largest.read_bytes()[::-1])
        return real(*given)

    monkeypatch.setattr(steps, "verify", after_damage)
    state = backup(return_state=True)
    assert state.is_failed()
    assert "is corrupt" in str(state.message)
    assert "backup not verified: The backup" in caplog.text


@pytest.mark.system
def test_the_prune_flow_keeps_all_referenced_objects(small: Settings) -> None:
    _land(small, 0)
    nightly()
    state = prune(return_state=True)
    assert (state.name, state.message) == ("Pruned", "0 objects and 0 backups: 0 bytes.")
    assert _champion(small) == 1


@pytest.mark.system
def test_the_monitor_flow_records_a_monitoring_run(small: Settings) -> None:
    refused = monitor(return_state=True)
    assert refused.is_failed()
    assert "there is no champion yet" in str(refused.message)
    _land(small, 0)
    nightly()
    assert monitor(return_state=True).name in ("Quiet", "Alarm")
