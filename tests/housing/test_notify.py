"""Messages to a real receiver, and channels that fail."""

import json
import logging
import smtplib
import threading
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from pydantic import SecretStr, ValidationError

from deployments.processes.prefect_server import free_port
from housing.notify import NOTIFIERS, Message, NotifySettings, channels, send, send_heartbeat
from housing.records import Event
from housing.settings import load_settings
from housing.store.database.engine import Store

MESSAGE = Message(Event.PROMOTED, "m2 is champion.", "r7")


def send_all(message: Message, settings: NotifySettings) -> tuple[str, ...]:
    """Send over every channel that is set; the names of those that failed."""
    return tuple(one for one in channels(settings) if send(one, message, settings))


class Receiver(HTTPServer):
    """A web server that keeps what it gets."""

    def __init__(self, status: int) -> None:
        self.got: list[dict[str, str]] = []
        self.status = status
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append({"path": self.path})
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


def over_webhook(store: Store, receiver: Receiver) -> Store:
    """The same store, whose alerts go to a receiver."""
    url = SecretStr(f"http://127.0.0.1:{receiver.server_port}/hook")
    return replace(store, notify=NotifySettings(webhook_url=url, timeout_seconds=2))


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    server = Receiver(getattr(request, "param", 200))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _settings(port: int) -> NotifySettings:
    url = SecretStr(f"http://127.0.0.1:{port}/hook?key=hunter2")
    return NotifySettings(webhook_url=url, timeout_seconds=2)


def test_a_webhook_gets_the_message_as_json(receiver: Receiver) -> None:
    assert send_all(MESSAGE, _settings(receiver.server_port)) == ()
    assert receiver.got == [{"event": "promoted", "text": "m2 is champion.", "subject": "r7"}]


@pytest.mark.parametrize("receiver", [500], indirect=True)
def test_a_channel_that_fails_is_named_without_its_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="housing"):
        assert send_all(MESSAGE, _settings(receiver.server_port)) == ("webhook",)
    assert "The channel webhook failed" in caplog.text
    assert "m2 is champion." in caplog.text
    assert "hunter2" not in caplog.text


def test_a_channel_that_is_not_there_fails_nothing(receiver: Receiver) -> None:
    port = receiver.server_port
    receiver.shutdown()
    receiver.server_close()
    assert send_all(MESSAGE, _settings(port)) == ("webhook",)


def test_without_an_address_the_webhook_is_silent() -> None:
    assert send_all(MESSAGE, NotifySettings()) == ()


@pytest.mark.parametrize("url", ["ftp://x/y", "file:///etc/passwd", "x"])
def test_only_web_addresses_are_taken(url: str) -> None:
    with pytest.raises(ValidationError, match="http"):
        NotifySettings(webhook_url=SecretStr(url))


# --- mail -----------------------------------------------------------------------------------


class Mailbox:
    """What a real mail server on this machine was given, and by whom."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Mail]] = []
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, way: str, data: Any) -> Any:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    server = Controller(
        box,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=box.authenticate,
        auth_require_tls=False,
    )
    server.start()
    yield box, server.port
    server.stop()


def _by_mail(url: str, **more: Any) -> NotifySettings:
    return NotifySettings(
        smtp_url=SecretStr(url), mail_from="run@x.org", mail_to=("a@x.org", "b@x.org"), **more
    )


def test_a_mail_has_subject_text_and_addresses(mail: tuple[Mailbox, int]) -> None:
    box, port = mail
    said = Message(Event.FAILED, "The café\u2019s file: 7 % of rows\nare wrong.", "r7")
    assert send_all(said, _by_mail(f"smtp://127.0.0.1:{port}")) == ()
    ((to, got),) = box.mails
    assert to == ["a@x.org", "b@x.org"]
    assert got["Subject"] == "housing: failed (r7)"
    assert got["From"] == "run@x.org"
    text = got.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert "The café\u2019s file: 7 % of rows\nare wrong." in text.decode().replace("\r", "")
    assert "`housing show r7`" in text.decode()
    assert box.logins == []


def test_a_password_may_hold_anything(mail: tuple[Mailbox, int]) -> None:
    box, port = mail
    assert send_all(MESSAGE, _by_mail(f"smtp://me%40x.org:p%40ss@127.0.0.1:{port}")) == ()
    assert box.logins == [(b"me@x.org", b"p@ss")]
    assert len(box.mails) == 1


def test_a_wrong_password_fails_the_channel_and_is_not_shown(
    mail: tuple[Mailbox, int], caplog: pytest.LogCaptureFixture
) -> None:
    box, port = mail
    assert send_all(MESSAGE, _by_mail(f"smtp://me:hunter2@127.0.0.1:{port}")) == ("mail",)
    assert box.mails == []
    assert "The channel mail failed (SMTPAuthenticationError)" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_password_is_not_sent_in_clear_to_another_machine(
    mail: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, port = mail
    connect = smtplib.SMTP
    monkeypatch.setattr(  # the name of a far machine leads to the server here
        smtplib, "SMTP", lambda host, to, **options: connect("127.0.0.1", to, **options)
    )
    assert send_all(MESSAGE, _by_mail(f"smtp://me:p%40ss@mail.far:{port}")) == ("mail",)
    assert (box.logins, box.mails) == ([], [])
    assert send_all(MESSAGE, _by_mail(f"smtp://mail.far:{port}")) == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"smtp_url": "smtp://h"}, "both SMTP_URL and MAIL_TO"),
        ({"mail_to": ("a@x.org",)}, "both SMTP_URL and MAIL_TO"),
        ({"smtp_url": "http://h", "mail_to": ("a@x.org",)}, "smtp://HOST:PORT"),
        ({"smtp_url": "smtp://", "mail_to": ("a@x.org",)}, "smtp://HOST:PORT"),
        ({"smtp_url": "smtp://h:x", "mail_to": ("a@x.org",)}, "[Pp]ort"),
        ({"events": ("failed", "sneezed")}, "there is no event sneezed"),
        ({"apprise_urls": ("nonsense",)}, "Apprise does not know what address 1 is"),
        ({"apprise_urls": ("json://h", "quantum://h")}, "address 2"),
    ],
)
def test_impossible_channels_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NotifySettings(**given)


def test_channels_come_from_the_environment(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSING_NOTIFY__SMTP_URL", "smtps://me:hunter2@mail.x.org")
    monkeypatch.setenv("HOUSING_NOTIFY__MAIL_TO", "a@x.org, b@x.org")
    monkeypatch.setenv("HOUSING_NOTIFY__APPRISE_URLS", "json://h/a,json://h/hunter2")
    monkeypatch.setenv("HOUSING_NOTIFY__EVENTS", "failed, rolled back")
    found = load_settings().notify
    assert found.mail_to == ("a@x.org", "b@x.org")
    assert found.events == ("failed", "rolled back")
    assert len(found.apprise_urls) == 2
    assert "hunter2" not in repr(found)


# --- Apprise --------------------------------------------------------------------------------


def test_apprise_delivers_to_its_services(receiver: Receiver) -> None:
    url = SecretStr(f"json://127.0.0.1:{receiver.server_port}/hunter2")
    assert send_all(MESSAGE, NotifySettings(apprise_urls=(url,))) == ()
    (got,) = receiver.got
    assert (got["title"], got["message"]) == ("housing: promoted (r7)", "m2 is champion.")


@pytest.mark.parametrize("receiver", [500], indirect=True)
def test_apprise_that_fails_is_named_without_its_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    url = SecretStr(f"json://127.0.0.1:{receiver.server_port}/hunter2")
    (failed,) = send_all(MESSAGE, NotifySettings(apprise_urls=(url,)))
    assert f"The channel {failed} failed" in caplog.text
    assert failed.startswith("apprise ")
    assert "hunter2" not in caplog.text


# --- every event over every channel ---------------------------------------------------------


@pytest.mark.parametrize("event", Event)
def test_each_event_leaves_the_machine_over_each_channel(
    receiver: Receiver, mail: tuple[Mailbox, int], caplog: pytest.LogCaptureFixture, event: Event
) -> None:
    box, port = mail
    settings = _by_mail(
        f"smtp://127.0.0.1:{port}",
        webhook_url=SecretStr(f"http://127.0.0.1:{receiver.server_port}/hook"),
        apprise_urls=(SecretStr(f"json://127.0.0.1:{receiver.server_port}/"),),
    )
    with caplog.at_level(logging.INFO, logger="housing"):
        assert send_all(Message(event, "A sentence.", "r1"), settings) == ()
    webhook, apprise = receiver.got
    assert webhook == {"event": event.value, "text": "A sentence.", "subject": "r1"}
    assert apprise["title"] == f"housing: {event.value} (r1)"
    assert [m["Subject"] for _, m in box.mails] == [f"housing: {event.value} (r1)"]
    assert f"r1 {event.value}: A sentence." in caplog.text
    assert set(NOTIFIERS) == {"log", "webhook", "mail", "apprise"}, "and a channel more?"


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValueError, match="sneezed"):
        Message("sneezed", "Nobody would get this.", "r1")  # type: ignore[arg-type]


# --- from outside ---------------------------------------------------------------------------


@pytest.mark.parametrize(("receiver", "said"), [(200, True), (500, False)], indirect=["receiver"])
def test_a_finished_run_sends_the_heartbeat(receiver: Receiver, said: bool) -> None:
    url = SecretStr(f"http://127.0.0.1:{receiver.server_port}/ping/abc")
    assert send_heartbeat(NotifySettings(heartbeat_url=url)) is said
    assert receiver.got == [{"path": "/ping/abc"}]
    assert send_heartbeat(NotifySettings())
