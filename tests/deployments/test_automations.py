"""Automations: twice installed they are there once; a switch stays; who waits is spared."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient

from deployments.automations import SIGNS_OF_LIFE, automations, install
from flows.nightly import nightly

pytestmark = pytest.mark.prefect


@pytest.fixture
def deployments(client: SyncPrefectClient) -> Iterator[dict[str, uuid.UUID]]:
    ids = {
        "search": nightly.to_deployment(name="search-of-a-test").apply(),
    }
    yield ids
    for automation in client.read_automations():
        client.delete_automation(automation.id)
    for id_ in ids.values():
        client.delete_deployment(id_)


def _updated(client: SyncPrefectClient) -> dict[str, str]:
    found = client._client.post("/automations/filter", json={}).json()
    return {automation["name"]: automation["updated"] for automation in found}


@pytest.mark.system
def test_installing_twice_changes_nothing(
    client: SyncPrefectClient, deployments: dict[str, uuid.UUID]
) -> None:
    install(client, deployments)
    first = {a.name: a.id for a in client.read_automations()}
    assert set(first) == {a.name for a in automations(deployments)}
    updated = _updated(client)
    install(client, deployments)
    assert {a.name: a.id for a in client.read_automations()} == first
    assert _updated(client) == updated, "an update forgets whose heartbeats have stopped"
    install(client, deployments, timedelta(minutes=3))
    assert {a.name: a.id for a in client.read_automations()} == first
    assert _updated(client) != updated


def test_a_switch_of_a_person_stays(
    client: SyncPrefectClient, deployments: dict[str, uuid.UUID]
) -> None:
    install(client, deployments)
    by_name = {a.name: a for a in client.read_automations()}
    drift = by_name["housing: drift starts a full search"]
    silent = by_name["housing: a run without a heartbeat is crashed"]
    assert (drift.enabled, silent.enabled) == (False, True)
    client.resume_automation(drift.id)
    client.pause_automation(silent.id)
    install(client, deployments)
    after = {a.name: a.enabled for a in client.read_automations()}
    assert after[drift.name] is True
    assert after[silent.name] is False


@pytest.mark.parametrize("state", ["Suspended", "Paused", "Completed", "Crashed"])
def test_suspended_and_ended_runs_need_no_heartbeat(state: str) -> None:
    assert f"prefect.flow-run.{state}" in SIGNS_OF_LIFE
