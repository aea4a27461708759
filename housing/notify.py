"""Channels over which a message reaches the team.

`housing.store.runs.outbox` decides which message is sent when; a channel that fails is named in
the log and fails nothing else.
"""

import hashlib
import json
import logging
import re
import smtplib
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from housing.records import Event, SettingsGroup

log = logging.getLogger("housing")

APPRISE = "apprise"


@dataclass(frozen=True)
class Message:
    """What happened, in one sentence, and the id to look it up by."""

    event: Event
    text: str  # one sentence
    subject: str  # r12, m7, b3

    def __post_init__(self) -> None:
        """ValueError for an event that does not exist: no channel would deliver it."""
        object.__setattr__(self, "event", Event(self.event))

    @property
    def headline(self) -> str:
        """For a subject line."""
        return f"housing: {self.event} ({self.subject})"


class NotifySettings(SettingsGroup):
    """Where messages go; a channel without an address is silent."""

    events: tuple[Event, ...] = Field(
        tuple(Event),
        description="Events that leave this machine, with commas; the log gets all. There are: "
        + ", ".join(Event)
        + ".",
    )
    webhook_url: SecretStr | None = None
    """Receives each message as a JSON object by POST."""
    smtp_url: SecretStr | None = None
    """Mail server, e.g. smtps://user:password@mail.example.com or smtp://mail.example.com:587. A
    password is sent encrypted or, beyond this machine, not at all; special characters in it are
    written as in web addresses, @ as %40."""
    mail_from: str = "housing@localhost"
    """Sender of mails."""
    mail_to: tuple[str, ...] = ()
    """Recipients of mails, with commas."""
    apprise_urls: tuple[SecretStr, ...] = ()
    """Anything else that Apprise reaches (Slack, Teams, Telegram, ntfy, ...): its addresses, with
    commas."""
    heartbeat_url: SecretStr | None = None
    """Fetched after each completed nightly run. A service that expects it reports that this machine
    is down."""
    silent_after_minutes: float = Field(15.0, ge=1, le=1440)
    """A flow run without a heartbeat for this long is marked crashed and reported; one that waits
    for a person is not. The heartbeat is every 30 seconds."""
    timeout_seconds: float = Field(5.0, gt=0, le=60)  # of a channel

    @field_validator("events", mode="before")
    @classmethod
    def _known_events(cls, events: Any) -> Any:
        listed = events if isinstance(events, list | tuple) else ()
        unknown = [str(event) for event in listed if event not in set(Event)]
        if unknown:
            raise ValueError(f"there is no event {', '.join(unknown)}")
        return events

    @field_validator("webhook_url", "heartbeat_url")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        return url

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
                raise ValueError("it must be smtp://HOST:PORT or smtps://HOST:PORT")
            _ = parts.port  # a ValueError of its own where it is none
        return url

    @field_validator("apprise_urls")
    @classmethod
    def _reachable(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for position, url in enumerate(urls, 1):
            if not _apprise().add(url.get_secret_value()):
                raise ValueError(f"Apprise does not know what address {position} is")
        return urls

    @model_validator(mode="after")
    def _mail_is_complete(self) -> "NotifySettings":
        if (self.smtp_url is None) != (not self.mail_to):
            raise ValueError("mail needs both SMTP_URL and MAIL_TO")
        return self


def to_log(message: Message, settings: NotifySettings) -> None:
    """Into the program's own log."""
    level = logging.WARNING if message.event.urgent else logging.INFO
    log.log(level, "%s %s: %s", message.subject, message.event, message.text)


def to_webhook(message: Message, settings: NotifySettings) -> None:
    """As JSON to a URL."""
    assert settings.webhook_url is not None
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https only
        settings.webhook_url.get_secret_value(),
        data=json.dumps(asdict(message)).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=settings.timeout_seconds):  # noqa: S310
        pass


def to_mail(message: Message, settings: NotifySettings) -> None:
    """As a plain mail to all who are named."""
    assert settings.smtp_url is not None
    mail = EmailMessage()
    mail["Subject"] = message.headline
    mail["From"], mail["To"] = settings.mail_from, ", ".join(settings.mail_to)
    shown = re.fullmatch(r"[bmrv]\d+", message.subject)
    more = f"\n`housing show {message.subject}` shows more.\n" if shown else ""
    mail.set_content(f"{message.text}\n{more}")
    url = urlsplit(settings.smtp_url.get_secret_value())
    with _mail_server(url, settings.timeout_seconds) as server:
        if url.username is not None:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(mail)


def _mail_server(url: SplitResult, timeout: float) -> smtplib.SMTP:
    """A connection that is encrypted where the server can, and must be where a password follows."""
    host, context = url.hostname or "", ssl.create_default_context()
    if url.scheme == "smtps":
        return smtplib.SMTP_SSL(host, url.port or 465, timeout=timeout, context=context)
    server = smtplib.SMTP(host, url.port or 25, timeout=timeout)
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=context)
        server.ehlo()
    elif url.username is not None and host not in ("127.0.0.1", "::1", "localhost"):
        server.close()
        raise ConnectionError("the mail server does not encrypt, so it gets no password")
    return server


def to_apprise(message: Message, settings: NotifySettings) -> None:
    """Over whatever Apprise reaches."""
    addresses = _apprise()
    for url in settings.apprise_urls:
        addresses.add(url.get_secret_value())
    kind = "warning" if message.event.urgent else "info"
    if not addresses.notify(body=message.text, title=message.headline, notify_type=kind):
        raise ConnectionError("the address did not accept it")


def _apprise() -> Any:
    # A large library; most homes have no such address.
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages hold the addresses
    return apprise.Apprise()


NOTIFIERS: Mapping[str, tuple[Callable[[Message, NotifySettings], None], str]] = {
    "log": (to_log, ""),
    "webhook": (to_webhook, "webhook_url"),
    "mail": (to_mail, "smtp_url"),
    APPRISE: (to_apprise, "apprise_urls"),
}
"""What delivers a message or raises (the outbox then tries again), and the setting without which it
is off; "" if it needs none."""


def channels(settings: NotifySettings) -> tuple[str, ...]:
    """The channels that are set.

    Each Apprise address is a channel, so that one that fails does not repeat what others delivered.
    """
    on = [name for name, (_, key) in NOTIFIERS.items() if not key or getattr(settings, key)]
    each = [f"{APPRISE} {_digest(url)}" for url in settings.apprise_urls]
    return (*(name for name in on if name != APPRISE), *dict.fromkeys(each))


def _digest(url: SecretStr) -> str:
    return hashlib.sha256(url.get_secret_value().encode()).hexdigest()[:8]


def send(channel: str, message: Message, settings: NotifySettings) -> str:
    """Send over one of `channels`; returns the kind of error, "" if it is delivered.

    Only the kind of error: its text may hold the address, which is a secret.
    """
    name, _, digest = channel.partition(" ")
    if digest:
        urls = tuple(url for url in settings.apprise_urls if _digest(url) == digest)
        settings = settings.model_copy(update={"apprise_urls": urls})
    try:
        NOTIFIERS[name][0](message, settings)
    except Exception as error:  # noqa: BLE001 - a channel fails no run
        log.warning("The channel %s failed (%s).", channel, type(error).__name__)
        return type(error).__name__
    return ""


def send_heartbeat(settings: NotifySettings) -> bool:
    """Send the heartbeat of a finished run to HEARTBEAT_URL; False if that fails."""
    if settings.heartbeat_url is None:
        return True
    try:
        with urllib.request.urlopen(  # noqa: S310 - http and https only
            settings.heartbeat_url.get_secret_value(), timeout=settings.timeout_seconds
        ):
            return True
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("The address of HEARTBEAT_URL did not answer (%s).", type(error).__name__)
        return False
