"""Two hosts of one PostgreSQL: each a process with a host name, pids and a /proc of its own.

Both are process 1 of their host, so a pid says nothing to the other; they reach the server by TCP.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from housing.settings import Settings
from housing.store.database.open import open_store
from housing.store.models import promotion_log
from tests.integration.test_many_writers import shared as shared

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

ROOT = Path(__file__).parents[2]
ENTER = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
EXPIRES_SECONDS = 4.0

SCRIPT = """
import json, os, socket, sys
from contextlib import ExitStack
from datetime import timedelta
from housing.store.database import tables

expires, ahead = map(float, sys.argv[1:])
clock = tables.utc_now
tables.utc_now = lambda: clock() + timedelta(seconds=ahead)  # before others import it

from housing.errors import HousingError
from housing.settings import load_settings
from housing.store.database import engine
from housing.store.runs import lease
from housing.store.models import registry
from housing.store.database.open import open_store
from housing.store.models.registry import Change
from housing.store.database.tables import runs

lease.EXPIRES_AFTER = timedelta(seconds=expires)
lease.HEARTBEAT = engine.HEARTBEAT = timedelta(seconds=expires / 10)
lease.WATCHED, lease._POLL_SECONDS = timedelta(seconds=expires / 2), 0.1
store = open_store(load_settings())
fenced = store
heart = ExitStack()

def acquire():
    global fenced
    token = lease.acquire(store, owner=f"the run of ann@{socket.gethostname()}")
    fenced = store.fenced(token)
    return token

def beat():
    heart.enter_context(lease.heartbeat(store, fenced.token))

def promote(to, expected):
    return registry.change_champion(fenced, Change("promote", to, expected, "a host", "tried"))

def write():
    with fenced.write() as connection:
        connection.execute(runs.update().values(message=socket.gethostname()))

def alive():
    with store.read() as connection:
        return lease.holder(connection).alive

def look():
    return [socket.gethostname(), os.getpid()]

for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = {"answer": globals()[name](*arguments)}
    except HousingError as error:
        answer = {"error": type(error).__name__, "said": str(error)}
    print(json.dumps(answer), flush=True)
"""


class Host:
    """A process that stands for a host; it is asked to do things and answers."""

    def __init__(self, name: str, ahead: float = 0.0) -> None:
        script = f'hostname {name}; exec {sys.executable} -c "$1" {EXPIRES_SECONDS} {ahead}'
        self.process = subprocess.Popen(
            [*ENTER, "sh", "-c", script, "sh", SCRIPT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def ask(self, *what: object) -> dict[str, Any]:
        """Have it do something; the answer, or the error and what it said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process 1, from outside."""
        pid = self.process.pid
        os.kill(int(Path(f"/proc/{pid}/task/{pid}/children").read_text()), number)

    def kill(self) -> None:
        """As when its power fails."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def by_tcp(shared: Settings) -> Iterator[str]:
    """The address of the server's socket by way of a port on loopback."""
    url = make_url(shared.database_url.get_secret_value())
    folder = str(url.query["host"])
    listening = socket.create_server(("127.0.0.1", 0))
    opened = [listening]

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one of them was killed
            return

    def serve() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:  # the test is over
                return
            other = socket.socket(socket.AF_UNIX)
            opened.extend((one, other))
            other.connect(f"{folder}/.s.PGSQL.5432")
            for pair in ((one, other), (other, one)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    address = url.set(host="127.0.0.1", port=listening.getsockname()[1], query={})
    yield address.render_as_string(hide_password=False)
    listening.shutdown(socket.SHUT_RDWR)
    server.join()
    for each in opened:
        each.close()


@pytest.fixture
def host(by_tcp: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Host]]:
    """Starts hosts by name, each with a clock so many seconds ahead."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare (util-linux) to make hosts with")
    tried = subprocess.run([*ENTER, "hostname", "tried"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"namespaces of one's own are not permitted here: {tried.stderr.strip()}")
    monkeypatch.setenv("HOUSING_DATABASE_URL", by_tcp)
    hosts: list[Host] = []

    def start(name: str, ahead: float = 0.0) -> Host:
        hosts.append(Host(name, ahead))
        assert hosts[-1].ask("look") == {"answer": [name, 1]}
        return hosts[-1]

    yield start
    for one in hosts:
        one.kill()


def _wait_until_expired(host: Host) -> None:
    deadline = time.monotonic() + 10 * EXPIRES_SECONDS
    while host.ask("alive")["answer"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_of_two_hosts_that_expect_the_same_champion_one_wins(
    host: Callable[..., Host], shared: Settings
) -> None:
    hosts = [host("here"), host("there")]
    with open_store(shared) as store, store.read() as connection:
        champion, seq = promotion_log.champion(connection), promotion_log.head(connection).seq
    wins = [0, 0]
    with ThreadPoolExecutor(2) as both:
        for round_ in range(20):
            to = 10 + round_ % 6
            found = list(both.map(lambda h, to=to, now=champion: h.ask("promote", to, now), hosts))
            errors = [one["error"] for one in found if "error" in one]
            assert errors == ["ChampionChanged"], found
            wins[0 if "answer" in found[0] else 1] += 1
            champion = to
    said = next(one["said"] for one in found if "error" in one)
    assert f"m{champion}" in said
    with open_store(shared) as store, store.read() as connection:
        lines = promotion_log.history(connection)
    assert [line.seq for line in reversed(lines)] == list(range(1, seq + 21))
    assert min(wins) > 0, "they did not meet"


def test_a_silent_run_on_another_host_loses_its_lease_and_writes_nothing_more(
    host: Callable[..., Host],
) -> None:
    here, there = host("here"), host("there")
    token = here.ask("acquire")["answer"]
    refused = there.ask("acquire")
    assert refused["error"] == "RunInProgress"
    assert "the run of ann@here" in refused["said"]
    assert here.ask("write") == {"answer": None}
    _wait_until_expired(there)
    assert there.ask("acquire") == {"answer": token + 1}
    for what in (["write"], ["promote", 10, 2]):
        stale = here.ask(*what)
        assert stale["error"] == "LeaseLost"
        assert "the run of ann@there holds it now" in stale["said"]
    assert there.ask("write") == {"answer": None}


def test_the_lease_of_a_host_that_disappeared_expires(
    host: Callable[..., Host],
) -> None:
    here, there = host("here"), host("there")
    token = here.ask("acquire")["answer"]
    here.kill()
    assert there.ask("alive") == {"answer": True}, "it cannot know"
    _wait_until_expired(there)
    assert there.ask("acquire") == {"answer": token + 1}


def test_a_host_of_the_same_name_is_another_all_the_same(host: Callable[..., Host]) -> None:
    """Its process 1 lives, and is not the owner: by pid alone the run would be taken from it."""
    one, other = host("twin"), host("twin")
    assert "answer" in one.ask("acquire")
    assert other.ask("alive") == {"answer": True}
    assert other.ask("acquire")["error"] == "RunInProgress"
    assert one.ask("write") == {"answer": None}


def test_a_host_whose_clock_is_wrong_takes_nothing_from_one_that_lives(
    host: Callable[..., Host],
) -> None:
    here = host("here")
    assert "answer" in here.ask("acquire")
    here.ask("beat")
    for ahead in (3600.0, -3600.0):
        there = host("there", ahead)
        assert there.ask("alive") == {"answer": True}
        assert there.ask("acquire")["error"] == "RunInProgress"
    assert here.ask("write") == {"answer": None}


def test_a_process_that_was_stopped_for_long_writes_nothing_when_it_resumes(
    host: Callable[..., Host],
) -> None:
    here, there = host("here"), host("there")
    token = here.ask("acquire")["answer"]
    here.ask("beat")
    here.signal(signal.SIGSTOP)
    _wait_until_expired(there)
    assert there.ask("acquire") == {"answer": token + 1}
    there.ask("beat")
    here.signal(signal.SIGCONT)
    for what in (["write"], ["promote", 10, 2], ["write"]):
        assert here.ask(*what)["error"] == "LeaseLost"
    assert here.ask("acquire")["error"] == "RunInProgress"
    assert there.ask("write") == {"answer": None}


def test_a_restarted_container_resumes_its_run(host: Callable[..., Host]) -> None:
    """It has the name and the pid of the one before, and it is another process."""
    before = host("worker")
    token = before.ask("acquire")["answer"]
    before.kill()
    after = host("worker")
    _wait_until_expired(after)
    assert after.ask("acquire") == {"answer": token + 1}
