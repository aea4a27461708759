"""The containers' health check: it kills what hangs, and neither what answers nor what starts."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deployments.processes.health_probe import SILENCE_LIMIT


class Answers(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    found = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "600"])
    (tmp_path / "main.pid").write_text(f"{process.pid}\n")
    yield process
    process.kill()
    process.wait()


def probe(server: HTTPServer, pidfile: Path) -> int:
    url = f"http://127.0.0.1:{server.server_port}/health"
    command = [
        sys.executable,
        "-m",
        "deployments.processes.health_probe",
        url,
        "--end",
        str(pidfile),
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_service_that_stopped_answering_for_a_minute_is_killed(
    server: HTTPServer, watched: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    pidfile, answered = tmp_path / "main.pid", tmp_path / "main.answered"
    assert probe(server, pidfile) == 0
    server.shutdown()
    server.server_close()
    assert probe(server, pidfile) == 1
    assert watched.poll() is None, "one missed answer is not a minute"
    before = answered.stat().st_mtime - SILENCE_LIMIT - 1
    os.utime(answered, (before, before))
    assert probe(server, pidfile) == 1
    assert watched.wait(10) == -9


def test_a_service_that_never_answered_counts_as_starting(
    server: HTTPServer, watched: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    server.shutdown()
    server.server_close()
    assert probe(server, tmp_path / "main.pid") == 1
    assert watched.poll() is None


def test_a_service_that_answers_not_ready_is_not_killed(
    server: HTTPServer,
    watched: "subprocess.Popen[bytes]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prefect's server without its database."""
    pidfile, answered = tmp_path / "main.pid", tmp_path / "main.answered"
    assert probe(server, pidfile) == 0
    monkeypatch.setattr(Answers, "status", 503)
    long_ago = answered.stat().st_mtime - 2 * SILENCE_LIMIT
    os.utime(answered, (long_ago, long_ago))
    assert probe(server, pidfile) == 1
    assert answered.stat().st_mtime > long_ago
    assert watched.poll() is None
