"""Messages to a real receiver, and channels that fail."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr, ValidationError

from housing.notify import Message, NotifySettings, send_all

MESSAGE = Message("promoted", "m2 is champion.", "r7")


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

    def log_message(self, *_: object) -> None:
        """Silent."""


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
    assert receiver.got == [{"event": "promoted", "sentence": "m2 is champion.", "subject": "r7"}]


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
