"""Edge 4: one message to a team, over as many channels as are set.

A channel that fails is named in the log and fails nothing else: a night must not be lost
because a chat server was down. What is worth a message is decided by who sends it.
"""

import json
import logging
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

log = logging.getLogger("housing")


@dataclass(frozen=True)
class Message:
    """What happened, in one sentence, and the id to look it up by."""

    event: str  # promoted, kept, inconclusive, failed, rolled back, ...
    sentence: str
    subject: str  # r12, m7, b3


class NotifySettings(BaseModel):
    """Where messages go; a channel without an address is silent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_url: SecretStr | None = Field(
        None, description="Receives each message as a JSON object by POST."
    )

    @field_validator("webhook_url")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        return url

    timeout_seconds: float = Field(5.0, gt=0, le=60, description="Patience with one channel.")


class Notifier(Protocol):
    """One channel; may raise, which is logged."""

    def __call__(self, message: Message, settings: NotifySettings) -> None:
        """Deliver a message, or return silently where the channel is not set."""
        ...


def to_log(message: Message, settings: NotifySettings) -> None:
    """Into the program's own log."""
    log.info("%s %s: %s", message.subject, message.event, message.sentence)


def to_webhook(message: Message, settings: NotifySettings) -> None:
    """As JSON to a URL."""
    if settings.webhook_url is None:
        return
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https only
        settings.webhook_url.get_secret_value(),
        data=json.dumps(asdict(message)).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=settings.timeout_seconds):  # noqa: S310
        pass


NOTIFIERS: Mapping[str, Notifier] = {"log": to_log, "webhook": to_webhook}


def send_all(message: Message, settings: NotifySettings) -> tuple[str, ...]:
    """Send over every channel; returns the names of those that failed."""
    failed = []
    for name, notifier in NOTIFIERS.items():
        try:
            notifier(message, settings)
        except Exception as error:  # noqa: BLE001 - whatever a channel does, the night goes on
            # Only the kind of error: its text may hold the address, which is a secret.
            log.warning("The channel %s failed (%s).", name, type(error).__name__)
            failed.append(name)
    return tuple(failed)
