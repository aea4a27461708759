"""What happened, as events of the orchestrator, for its event feed and for automations."""

from collections.abc import Mapping

from prefect.events import emit_event

from housing.notify import Message
from housing.records import Event

EVENTS: Mapping[Event, str] = {
    Event.PROMOTED: "model.promoted",
    Event.KEPT: "model.kept",
    Event.INCONCLUSIVE: "model.inconclusive",
    Event.DRY_RUN: "model.judged",
    Event.BLOCKED: "model.blocked",
    Event.AWAITING_APPROVAL: "model.awaiting_approval",
    Event.ROLLED_BACK: "model.rolled_back",
    Event.QUARANTINED: "batch.quarantined",
    Event.DRIFT: "drift.detected",
    Event.NOT_READY: "model.not_ready",
    Event.BACKUP_NOT_VERIFIED: "backup.not_verified",
}
"""A message's event -> what it is called in the orchestrator."""

OUTSIDE = frozenset({Event.FAILED, Event.MISSED, Event.RELOAD_FAILED})
"""No event of ours: the orchestrator has its own of a failed run, the others have no run."""


def emit(*messages: Message | None) -> None:
    """Put messages into the event feed; None, and an event of OUTSIDE, is not put."""
    for message in messages:
        if message is not None and message.event not in OUTSIDE:
            emit_event(
                event=EVENTS[message.event],
                resource={"prefect.resource.id": f"housing.{message.subject}"},
                payload={"text": message.text, "subject": message.subject},
            )
