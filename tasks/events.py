"""What happened, as events of the orchestrator, for its event feed and for automations."""

from collections.abc import Mapping

from prefect.events import emit_event

from housing.notify import Message

EVENTS: Mapping[str, str] = {
    "promoted": "model.promoted",
    "kept": "model.kept",
    "inconclusive": "model.inconclusive",
    "dry run": "model.judged",
    "held": "model.held",
    "awaiting approval": "model.awaiting_approval",
    "rolled back": "model.rolled_back",
    "quarantined": "batch.quarantined",
    "drift": "drift.detected",
    "backup not verified": "backup.not_verified",
}
"""A message's event -> what it is called in the orchestrator."""


def emit(message: Message | None) -> None:
    """Put a message into the event feed; None, and what has no name there, is not put."""
    if message is not None and message.event in EVENTS:
        emit_event(
            event=EVENTS[message.event],
            resource={"prefect.resource.id": f"housing.{message.subject}"},
            payload={"sentence": message.sentence, "subject": message.subject},
        )
