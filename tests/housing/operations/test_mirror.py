"""The mirror without a server that works: failures, pauses, the alert; and its table."""

import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from housing.errors import NotPossible, RunInProgress
from housing.operations.mirror import client
from housing.operations.mirror.drain import mirror
from housing.records import Event
from housing.settings import Settings, load_settings
from housing.store.database.engine import MIRROR, Store
from housing.store.database.open import open_store
from housing.store.database.tables import alerts
from housing.store.database.tables import mirrored as table
from housing.store.runs import lease, mirrored, outbox
from tests.fixtures.dask_cluster import free_port
from tests.fixtures.small_settings import SMALL


class Answering(BaseHTTPRequestHandler):
    """Responds to everything with one status, and keeps what it was sent."""

    status, seen = 500, []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[HTTPServer]:
    Answering.status, Answering.seen = 500, []
    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def copied(
    populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A copy of the home with two runs; nothing listens where it is to be mirrored."""
    home = tmp_path / "copy"
    shutil.copytree(populated_home, home)
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    url = f"http://127.0.0.1:{free_port()}"
    given = {**SMALL, "HOUSING_HOME": str(home), "HOUSING_MIRROR__URL": url}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with open_store(load_settings()) as opened:
        yield opened


def alerted(store: Store) -> int:
    with store.read() as connection:
        return len(
            connection.execute(sa.select(alerts).where(alerts.c.event == Event.MIRROR_BEHIND)).all()
        )


def test_without_a_server_it_names_the_setting(store: Store, settings: Settings) -> None:
    with pytest.raises(NotPossible, match="HOUSING_MIRROR__URL is not set"):
        mirror(store, settings)
    assert settings.schedules.mirror == "off"


def test_with_a_server_it_is_scheduled(copied: Store) -> None:
    assert load_settings().schedules.mirror == "*/15 * * * *"


def test_three_failures_in_a_row_are_one_alert(copied: Store) -> None:
    settings = load_settings()
    for failures in range(1, 6):
        done = mirror(copied, settings)
        assert (done.sent, done.waiting, done.failures) == (0, 4, failures)
        assert "cannot be used: ConnectError" in done.errors[0]
        assert alerted(copied) == (failures >= 3)
    assert not Event.MIRROR_BEHIND.urgent


def test_a_scheduled_attempt_pauses_longer_after_each_failure(
    copied: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings()
    mirror(copied, settings)
    assert mirror(copied, settings, scheduled=True).paused
    assert mirror(copied, settings).failures == 2  # by hand there is no pause

    def earlier(minutes: float) -> None:
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        with copied.write() as connection:
            connection.execute(table.update().where(table.c.kind == "failures").values(at=at))

    earlier(20)
    assert mirror(copied, settings, scheduled=True).paused  # of 28 minutes
    earlier(29)
    assert mirror(copied, settings, scheduled=True).failures == 3
    with copied.write() as connection:
        mirrored.put(connection, "failures", "", "5000")
    assert mirror(copied, settings, scheduled=True).paused
    earlier(241)
    assert not mirror(copied, settings, scheduled=True).paused


def test_success_ends_the_failures_and_the_alert(copied: Store) -> None:
    settings = load_settings()
    for _ in range(3):
        mirror(copied, settings)
    with copied.write() as connection:  # as if all had been sent since
        for kind, row in (("run", "r1"), ("run", "r2"), ("entry", "1"), ("entry", "2")):
            mirrored.put(connection, kind, row, "x")
        mirrored.put(connection, "version", "m2", "2")
        mirrored.put(connection, "alias", "champion", "2")
        assert outbox.is_open(connection, Event.MIRROR_BEHIND, None, None)
    assert mirror(copied, settings).failures == 0
    with copied.read() as connection:
        assert mirrored.failures(connection)[0] == 0
        assert not outbox.is_open(connection, Event.MIRROR_BEHIND, None, None)


def test_another_server_is_sent_everything(copied: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror(copied, load_settings())
    with copied.write() as connection:
        mirrored.put(connection, "run", "r1", "x")
    assert mirror(copied, load_settings()).waiting == 3
    monkeypatch.setenv("HOUSING_MIRROR__URL", f"http://ann:b@127.0.0.1:{free_port()}")
    assert mirror(copied, load_settings()).waiting == 4


def test_two_at_once_are_refused(copied: Store) -> None:
    with (
        lease.held_lease(copied, owner="the mirror of someone", name=MIRROR),
        pytest.raises(RunInProgress, match="the mirror of someone"),
    ):
        mirror(copied, load_settings())


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("http://", None),
        ("http://ann:s%3Acret@", "Basic YW5uOnM6Y3JldA=="),
        ("http://token-of-mine@", "Bearer token-of-mine"),
    ],
)
def test_credentials_of_the_address(answering: HTTPServer, given: str, sent: str | None) -> None:
    host = f"127.0.0.1:{answering.server_port}"
    with client.Mlflow(SecretStr(f"{given}{host}/")) as server:
        assert server.address == f"http://{host}"
        with pytest.raises(client.MirrorUnavailable, match="status 500") as caught:
            server.post("runs/search", "r1", {})
    assert Answering.seen == [("/api/2.0/mlflow/runs/search", sent)]
    assert "cret" not in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_server_that_refuses_everything_ends_the_attempt(
    copied: Store, answering: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    Answering.status = status
    monkeypatch.setenv("HOUSING_MIRROR__URL", f"http://127.0.0.1:{answering.server_port}")
    done = mirror(copied, load_settings())
    assert (len(Answering.seen), len(done.errors)) == (1, 1)
    assert f"status {status}" in done.errors[0]


def test_one_object_that_is_refused_stops_no_other(
    copied: Store, answering: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answering.status = 400
    monkeypatch.setenv("HOUSING_MIRROR__URL", f"http://127.0.0.1:{answering.server_port}")
    done = mirror(copied, load_settings())
    assert len(done.errors) == 5  # two runs, two entries, the alias
    assert done.failures == 1


def test_a_start_leaves_out_what_is_older(copied: Store) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert mirror(copied, load_settings(), since=tomorrow).waiting == 0
    assert mirror(copied, load_settings()).waiting == 0  # it is recorded
    assert mirror(copied, load_settings(), since=tomorrow - timedelta(days=365)).waiting == 4


def test_a_store_without_the_table_gets_it(copied: Store) -> None:
    with copied.write() as connection:
        table.drop(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0015'")
    with open_store(load_settings()) as again, again.write() as connection:
        mirrored.put(connection, "run", "r1", "x")
        assert mirrored.get(connection, "run", "r1").theirs == "x"


def test_rows_of_the_table(store: Store) -> None:
    with store.write() as connection:
        for theirs in ("x", "y"):
            mirrored.put(connection, "run", "r1", theirs)
        assert [row.theirs for row in mirrored.sent(connection, "run")] == ["y"]
        assert (mirrored.runs_to_send(connection), mirrored.entries_to_send(connection)) == ([], [])
        mirrored.forget(connection, "run")
        assert mirrored.get(connection, "run", "r1") is None
