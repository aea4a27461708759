"""Tokens, host names, headers, limits, slow and broken clients."""

import base64
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from housing import schema
from housing.problems.california.simulated.scenarios import simulate
from housing.serving import pages
from tests.housing.serving.conftest import only_settings, running

TOKEN = "correct horse battery staple"


@pytest.fixture(scope="module")
def locked(champion_home: Path) -> Iterator[httpx.Client]:
    """A server that wants a token."""
    with (
        only_settings(
            champion_home, serve={"body_seconds": 1}, HOUSING_SERVE__TOKEN=TOKEN
        ) as settings,
        running(settings) as client,
    ):
        yield client


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _basic(token: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"me:{token}".encode()).decode()}


PATHS = ("/", "/dashboard", "/model", "/ready", "/metrics", "/openapi.json", "/predict", "/nothing")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {}, _bearer("wrong"), _bearer(TOKEN[:-1]), _bearer(TOKEN + "x"),
        _basic("wrong"), {"authorization": "Basic !"}, {"authorization": TOKEN},
        {"authorization": "Digest " + TOKEN},
    ],
)  # fmt: skip
def test_requests_without_the_token_are_refused(
    locked: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    answer = locked.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert TOKEN not in answer.text


def test_health_needs_no_token(locked: httpx.Client) -> None:
    assert locked.get("/health").status_code == 200


@pytest.mark.parametrize(
    "headers", [_bearer(TOKEN), _basic(TOKEN), {"authorization": f"bearer {TOKEN}"}]
)
def test_requests_with_the_token_are_answered(
    locked: httpx.Client, headers: dict[str, str]
) -> None:
    assert locked.get("/ready", headers=headers).status_code == 200


def test_the_token_is_in_no_answer(locked: httpx.Client) -> None:
    for path in PATHS:
        assert TOKEN not in locked.get(path, headers=_bearer(TOKEN)).text


@pytest.mark.parametrize("path", ["/health", "/model", "/nothing", "/openapi.json"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers  # the software is not disclosed


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""]
)
def test_a_foreign_host_name_is_not_answered(client: httpx.Client, host: str) -> None:
    """Else any web page could ask through its visitor's browser (DNS rebinding)."""
    assert client.get("/model", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:99", "127.0.0.1", "[::1]:8000"])
def test_loopback_by_its_names_is_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/model", headers={"host": host}).status_code == 200


def _connect(client: httpx.Client) -> socket.socket:
    connection = socket.create_connection((client.base_url.host, client.base_url.port), 10)
    connection.settimeout(10)
    return connection


def _all(connection: socket.socket) -> bytes:
    found = b""
    while chunk := connection.recv(65_536):
        found += chunk
    return found


def test_a_slow_body_is_a_408(locked: httpx.Client) -> None:
    with _connect(locked) as connection:
        began = time.monotonic()
        connection.sendall(
            f"POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{"
            .encode()
        )  # fmt: skip
        answer = _all(connection)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"did not arrive within 1 s" in answer
    assert 0.9 < time.monotonic() - began < 9


def test_a_slow_header_loses_its_connection(client: httpx.Client) -> None:
    with _connect(client) as connection:
        began = time.monotonic()
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        assert _all(connection) == b""
        assert 0.9 < time.monotonic() - began < 5


def test_a_slow_second_header_does_too(client: httpx.Client) -> None:
    with _connect(client) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in connection.recv(65_536)
        began = time.monotonic()
        connection.sendall(b"GET /health HT")
        _all(connection)
        assert 0.9 < time.monotonic() - began < 5


def test_many_requests_on_one_connection_are_not_cut_off(client: httpx.Client) -> None:
    """The clock on headers must not hit a connection that behaves."""
    for _ in range(4):
        assert client.get("/health").status_code == 200
        time.sleep(0.4)


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
def test_a_broken_request_is_a_400_or_a_closed_door(client: httpx.Client, request_: bytes) -> None:
    with _connect(client) as connection:
        connection.sendall(request_)
        first = _all(connection).split(b"\r\n")[0]
    assert b" 400 " in first or b" 415 " in first or first == b""
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("request_", [b"POST /predict", b"POST /nothing", b"GET /health", b"GET /"])
@pytest.mark.parametrize("first", [b"", b"2\r\n{}\r\n"])
def test_a_malformed_chunk_is_one_line_of_the_log(
    client: httpx.Client,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    request_: bytes,
    first: bytes,
) -> None:
    """Whether the application waits for the body, answers without it or has answered."""
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [caplog.handler])
    header = b"%s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%s"
    with _connect(client) as connection:
        connection.sendall(header % (request_, first) + b"ZZ\r\n")
        assert _all(connection).startswith(b"HTTP/1.1 400 ")
    with _connect(client) as connection:
        connection.sendall(header % (request_, first))
        if request_.startswith(b"GET"):
            connection.recv(1)
        connection.sendall(b"ZZ\r\n")
        _all(connection)
    assert client.get("/health").status_code == 200
    found = {id(record): record.getMessage() for record in caplog.records}
    assert [*found.values()] == ["Invalid HTTP request received."] * 2


def test_a_client_that_hangs_up_harms_no_other(client: httpx.Client) -> None:
    for _ in range(5):
        with _connect(client) as connection:
            connection.sendall(
                b"POST /predict/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
                b"Content-Length: 1000000\r\n\r\nabc"
            )
    assert client.get("/health").status_code == 200


def test_only_loopback_unless_asked(served: Any, own_home: Path) -> None:
    with (
        pytest.raises(AssertionError, match="HOUSING_SERVE__TOKEN is not"),
        served("--host", "0.0.0.0"),
    ):
        pass


def test_a_short_token_is_no_token(own_home: Path) -> None:
    from housing.errors import SettingsInvalid

    with (
        pytest.raises(SettingsInvalid, match="HOUSING_SERVE__TOKEN") as caught,
        only_settings(own_home, HOUSING_SERVE__TOKEN="hunter2"),
    ):
        pass
    assert "hunter2" not in str(caught.value)


def _process(port: int) -> psutil.Process:
    """The process that listens on a port."""
    (pid,) = {
        one.pid for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    }  # fmt: skip
    return psutil.Process(pid)


@contextlib.contextmanager
def _highest_memory(process: psutil.Process) -> Iterator[list[int]]:
    """Resident bytes, looked at 50 times a second; the list's one number is the highest."""
    highest, ended = [process.memory_info().rss], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            highest[0] = max(highest[0], process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield highest
    finally:
        ended.set()
        looking.join()


@pytest.mark.system
def test_memory_stays_bounded_under_large_files_and_slow_clients(served: Any) -> None:
    """120 MB of a file with 10,000 districts, and 100 clients that never finish their 1.9 MB.

    Compared with a file of 36 MB: by then all that a stream needs is there.
    """
    frame = simulate(10_000, 5)[list(schema.FEATURES)].assign(note="x" * 12_000)
    bodies = [frame.head(n).to_csv(index=False).encode() for n in (3_000, 10_000)]
    assert len(bodies[1]) > 120_000_000
    with served() as address, contextlib.ExitStack() as open_ones:
        port = int(address.rpartition(":")[2])
        process = _process(port)
        _upload(address, bodies[0])
        before = process.memory_info().rss
        with _highest_memory(process) as highest:
            for _ in range(100):
                slow = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), 30))
                slow.sendall(
                    b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Type: application/json\r\n"
                    b"Content-Length: 1900000\r\n\r\n" + b" " * 100_000
                )
            answer = _upload(address, bodies[1])
        assert answer.headers["x-rows"] == "10000"
        assert answer.headers["x-rows-invalid"] == "0"
        grown = highest[0] - before
        assert grown < 80_000_000, f"{grown / 1e6:.0f} MB for 120 MB of a file and 10 MB of bodies"
        assert httpx.get(f"{address}/ready", timeout=30).status_code == 200


def _upload(address: str, content: bytes) -> httpx.Response:
    answer = httpx.post(
        f"{address}/predict/batch",
        content=content,
        headers={"content-type": "text/csv"},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    return answer


FOREIGN = (
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:1"},  # another server on this machine
    {"origin": "null"},  # a sandboxed frame, or a file
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_origin_cannot_ask(
    client: httpx.Client, locked: httpx.Client, headers: dict[str, str]
) -> None:
    """It would enter the prediction log, which the monitor reads."""
    asked = _districts(client)
    for server in (client, locked):
        answer = server.post(
            "/predict/batch", files={"file": ("a.csv", b"a")}, headers={**_basic(TOKEN), **headers}
        )
        assert (answer.status_code, answer.headers["cache-control"]) == (403, "no-store")
    assert _districts(client) == asked


def _districts(client: httpx.Client) -> list[str]:
    lines = client.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith(("housing_rows", "housing_rejected"))]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_of_the_servers_own_pages_are_answered(client: httpx.Client, scheme: str) -> None:
    own = f"{scheme}://{client.base_url.netloc.decode()}"
    for headers in (
        {"origin": own, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},  # a link that was followed
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
        {},
    ):
        assert client.get("/model", headers=headers).status_code == 200


# --- refusals on a connection that stays open ----------------------------------------------


def _refused(token: str) -> dict[str, tuple[str, str, dict[str, str], int]]:
    """Method, path, headers and status of requests with a body that are refused unread."""
    json = {"content-type": "application/json"}
    known = {"authorization": f"Bearer {token}"}
    return {
        "no token": ("POST", "/predict", json, 401),
        "foreign": ("POST", "/predict", {**known, **json, "origin": "http://evil.example"}, 403),
        "no such path": ("POST", "/nothing", {**known, **json}, 404),
        "no such method": ("PUT", "/predict", {**known, **json}, 405),
        "too large": ("POST", "/predict", {**known, **json}, 413),
        "another kind": ("POST", "/predict", {**known, "content-type": "text/plain"}, 415),
        "a file of another kind": ("POST", "/predict/batch", {**known, **json}, 415),
    }


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("case", _refused(TOKEN))
def test_a_connection_is_usable_after_a_refusal(
    locked: httpx.Client, case: str, chunked: bool
) -> None:
    """The whole answer arrives, though megabytes were on their way, and so does the next one."""
    method, path, headers, status = _refused(TOKEN)[case]
    block, blocks = b" " * 300_000, 30 if case == "too large" else 5

    def body() -> Iterator[bytes]:
        for _ in range(blocks):
            yield block

    content = body() if chunked else block * blocks
    with httpx.Client(base_url=locked.base_url, timeout=60) as client:
        answer = client.request(method, path, headers=headers, content=content)
        assert answer.status_code == status
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["detail"]
        following = client.get("/model", headers=_bearer(TOKEN))
        assert (following.status_code, following.json()["model"]) == (200, "m2")


@pytest.mark.parametrize("case", _refused(TOKEN))
def test_a_client_that_closes_the_connection_reads_the_refusal(
    locked: httpx.Client, case: str
) -> None:
    """As a proxy with HTTP/1.0 does: the body is read, or its reset would take the response."""
    method, path, headers, status = _refused(TOKEN)[case]
    body = b" " * (9_000_000 if case == "too large" else 1_500_000)
    head = {**headers, "host": "localhost", "connection": "close", "content-length": len(body)}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    with _connect(locked) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = _all(connection)
    assert answer.split(b" ")[1] == str(status).encode()
    assert b'"detail"' in answer


def _routes(client: httpx.Client) -> list[tuple[str, str]]:
    documented = client.get("/openapi.json").json()["paths"]
    found = [(method.upper(), path) for path, methods in documented.items() for method in methods]
    static = [f"/static/{path.name}" for path in pages.FOLDER.iterdir()]
    own = (
        "/openapi.json",
        "/",
        "/dashboard",
        "/words",
        "/form",
        "/map",
        "/nearest",
        "/dashboard/data",
        "/docs",
        "/static/style.css",
        "/reports/monitor.html",
    )
    return [*found, *(("GET", path) for path in (*own, "/model/card", *static))]


def test_no_answer_of_any_route_is_stored(client: httpx.Client) -> None:
    """Prices, reports and refusals: nothing stays in a browser or a proxy."""
    routes = _routes(client)
    assert len(routes) > 15
    for method, path in routes:
        answer = client.request(method, path, content=b"{}" if method == "POST" else None)
        assert answer.headers.get_list("cache-control") == ["no-store"], (method, path)
        assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
        assert answer.headers["x-frame-options"] == "DENY", (method, path)
        assert "default-src 'none'" in answer.headers["content-security-policy"], (method, path)
