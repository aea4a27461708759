"""Automations of the orchestrator, as data, and their installation, which may be done twice.

They cover runs without a lease (rollback, backup, ...); the watchdog covers the others. An
automation that a user has switched off in the UI stays off.
"""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

HEARTBEAT = "prefect.flow-run.heartbeat"
BEGAN = "prefect.flow-run.Running"
"""A run may die before its first heartbeat has left it: its silence counts from here."""

SIGNS_OF_LIFE = frozenset(
    {HEARTBEAT}
    | {
        f"prefect.flow-run.{state}"
        for state in (
            *("Completed", "Failed", "Cancelled", "Crashed"),
            *("Suspended", "Paused", "Scheduled", "AwaitingRetry"),  # it waits, and has no process
        )
    }
)
OURS = ResourceSpecification.model_validate(
    {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.housing"}
)
RUNS = ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"})


def automations(
    deployments: Mapping[str, UUID], silence: timedelta = timedelta(minutes=15)
) -> tuple[AutomationCore, ...]:
    """All of them; `deployments` are ids by name. After `silence` a run counts as dead."""
    return (
        AutomationCore(
            name="housing: a run without a heartbeat is crashed",
            description="Runs that wait for a person have none and are left alone.",
            trigger=EventTrigger(
                after={HEARTBEAT, BEGAN},
                expect=set(SIGNS_OF_LIFE),
                match=RUNS,
                match_related=OURS,
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=silence,
            ),
            actions=[
                ChangeFlowRunState(state=StateType.CRASHED, message="Its heartbeat has stopped.")
            ],
        ),
        AutomationCore(
            name="housing: drift starts a full search",
            description="Off until it is switched on here.",
            enabled=False,
            trigger=EventTrigger(expect={"drift.detected"}, posture=Posture.Reactive, threshold=1),
            actions=[RunDeployment(source="selected", deployment_id=deployments["search"])],
        ),
    )


def install(
    client: SyncPrefectClient,
    deployments: Mapping[str, UUID],
    silence: timedelta = timedelta(minutes=15),
) -> None:
    """Bring all of them up to date; those that are there keep their switch."""
    for wanted in automations(deployments, silence):
        found = client.read_automations_by_name(wanted.name)
        if not found:
            client.create_automation(wanted)
            continue
        kept = wanted.model_copy(update={"enabled": found[0].enabled})
        if not _same(found[0], kept):
            client.update_automation(found[0].id, kept)
        for doubled in found[1:]:
            client.delete_automation(doubled.id)


def _same(found: AutomationCore, wanted: AutomationCore) -> bool:
    """Whether an update would change nothing; it would still forget whose heartbeats have stopped.

    After a restart of the worker, reinstalling must not reset runs whose heartbeat has stopped.
    """
    fields = set(AutomationCore.model_fields)
    return _plain(found.model_dump(include=fields)) == _plain(wanted.model_dump(include=fields))


def _plain(value: object) -> object:
    """In one form whatever the order of sets, with no ids of the server's own."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != "id"}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
