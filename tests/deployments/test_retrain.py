"""`housing retrain` as a process: a temporary server, exit codes, what bad requests get."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.processes.prefect_server import Server
from housing.errors import HousingError
from housing.problems.california.simulated.scenarios import simulate
from tasks.run_labels import TAG, TERMINAL
from tests.deployments.conftest import Command
from tests.fixtures.small_settings import SMALL

pytestmark = [pytest.mark.system, pytest.mark.prefect]

QUICK = {**SMALL, "HOUSING_SEARCH__FAMILIES": "linear", "HOUSING_SEARCH__N_TRIALS": "1"}


def land(folder: Path, name: str, rows: int = 600, day: int = 0) -> None:
    landing = folder / "home" / "landing"
    landing.mkdir(parents=True, exist_ok=True)
    simulate(rows, 0, day=day).to_csv(landing / name, index=False)


def test_a_run_with_a_server_of_its_own_then_nothing_new(command: Command, tmp_path: Path) -> None:
    land(tmp_path, "a.csv")
    first = command("retrain", **QUICK)
    assert first.returncode in (0, 3), first.stderr
    for said in ("evaluate", "all, with start-up", "beats-baseline", "report:", "report-r1.html"):
        assert said in first.stdout
    assert "Traceback" not in first.stdout + first.stderr
    again = command("retrain", "--json", **QUICK)
    assert again.returncode == 0
    found = json.loads(again.stdout)
    assert found["outcome"] == "nothing new"
    assert "Nothing was trained" in found["message"]


@pytest.mark.slow
def test_retrain_uses_a_running_server(
    command: Command, tmp_path: Path, prefect_server: Server
) -> None:
    land(tmp_path, "a.csv")
    ran = command("retrain", "--json", **prefect_server.client, **QUICK)
    assert ran.returncode in (0, 3), ran.stderr
    assert not (tmp_path / "home" / "prefect" / "server.log").exists()


ENDING = """
from http.server import BaseHTTPRequestHandler, HTTPServer
import os, threading
from deployments.cli.retrain import nightly_flow
from deployments.processes.prefect_server import ServerUnavailable
from housing.settings import load_settings

class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

server = HTTPServer(("127.0.0.1", 0), Healthy)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{server.server_port}/api"
with nightly_flow(load_settings(), {}, deployed=True) as nightly:
    server.shutdown()
    server.server_close()
    try:
        nightly()
    except ServerUnavailable as error:
        print(error)
"""


def test_a_server_that_ends_while_the_command_starts_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "HOUSING_HOME": str(tmp_path / "home")}
    program = [sys.executable, "-c", ENDING]
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert "http://127.0.0.1:" in ran.stdout, ran.stderr
    assert "then `housing retrain` continues" in ran.stdout


@pytest.fixture
def deployment(client: SyncPrefectClient) -> Iterator[UUID]:
    """The deployment `nightly` of the session's server."""
    flow = client.create_flow_from_name("nightly")
    id_ = client.create_deployment(flow, "nightly", tags=[TAG], parameters={"parameters": {}})
    yield id_
    client.delete_deployment(id_)


def test_retrain_on_a_server_with_deployments_runs_the_deployment_and_does_not_wait_for_approval(
    command: Command,
    tmp_path: Path,
    prefect_server: Server,
    client: SyncPrefectClient,
    deployment: UUID,
) -> None:
    land(tmp_path, "a.csv", rows=1200)
    asks = {**SMALL, "HOUSING_GATE__APPROVAL": "true", **prefect_server.client}
    ran = command("retrain", "--families", "forest", "--n-trials", "1", "--json", **asks)
    assert ran.returncode == 6, ran.stderr
    wanted = {"flow_runs": {"deployment_id": {"any_": [str(deployment)]}}}
    (run,) = client.request("POST", "/flow_runs/filter", json=wanted).json()
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Awaiting approval")
    assert {TAG, TERMINAL} < {*run["tags"]}
    assert run["parameters"] == {
        "parameters": {"families": ["forest"], "n_trials": 1, "dry_run": False}
    }
    found = command("show", json.loads(ran.stdout)["run"], "--json", **QUICK)
    assert json.loads(found.stdout)["flow_run"] == run["id"]


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("--families", "quantum"), {}, "there is no model family quantum"),
        (("--source", "nowhere"), {}, "nowhere"),
        ((), {"HOUSING_COLOUR": "red"}, "HOUSING_COLOUR is not a setting"),
        ((), {"HOUSING_GATE__MARGIN": "-1", "HOUSING_SPLIT__SEED": "x"}, "HOUSING_SPLIT__SEED"),
        ((), {"HOUSING_DATABASE_URL": "mysql://u@h/d"}, "HOUSING_DATABASE_URL"),
        ((), {"HOUSING_SCHEDULES__TIMEZONE": "Mars/Olympus"}, "HOUSING_SCHEDULES__TIMEZONE"),
        ((), {"HOUSING_SCHEDULES__RETRAIN": "0 2 30 2 *"}, "HOUSING_SCHEDULES__RETRAIN"),
    ],
)
def test_an_impossible_request_is_named(
    home: Path,
    prefect_api: str,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    settings: dict[str, str],
    said: str,
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    error = CliRunner().invoke(app, ["retrain", *arguments]).exception
    assert isinstance(error, HousingError)
    assert error.exit_code == 2
    assert said in str(error)
    assert not (home / "housing.db").exists() or not settings, "something was begun"


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("--n-trials", "0"), {}, "n-trials"),
        (("--families", "nope"), {}, "--families: there is no model family nope; there are boost"),
        (("--source", "nope"), {}, "--source: there is no source nope; there are landing, sql"),
        ((), {"HOUSING_SCHEDULES__TIMEZONE": "Mars/Olympus"}, "HOUSING_SCHEDULES__TIMEZONE"),
    ],
)
def test_an_invalid_parameter_is_named_before_the_server_starts(
    command: Command,
    tmp_path: Path,
    arguments: tuple[str, ...],
    settings: dict[str, str],
    said: str,
) -> None:
    ran = command("retrain", *arguments, **settings)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "home").exists(), "a server or a store was made"


def test_no_rows_is_an_error_with_the_next_step(command: Command, prefect_server: Server) -> None:
    ran = command("retrain", **prefect_server.client, **QUICK)
    assert ran.returncode == 1
    assert "Put a CSV file into the landing folder" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_database_of_a_newer_release_is_left_alone(command: Command, tmp_path: Path) -> None:
    assert command("migrate").returncode == 0
    with sqlite3.connect(tmp_path / "home" / "housing.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    ran = command("retrain")
    assert ran.returncode == 1
    assert "newer than this release knows" in ran.stderr


def test_a_file_that_is_no_database(command: Command, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "housing.db").write_bytes(b"not a database at all" * 100)
    ran = command("status")
    assert ran.returncode == 1
    assert "cannot be used" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_database_server_that_is_not_there(command: Command) -> None:
    ran = command("status", HOUSING_DATABASE_URL="postgresql://user:hunter2@127.0.0.1:1/housing")
    assert ran.returncode == 1
    assert "HOUSING_DATABASE_URL" in ran.stderr
    assert "hunter2" not in ran.stderr + ran.stdout


def test_a_home_that_cannot_be_made(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = command("migrate", HOUSING_HOME=str(tmp_path / "file" / "home"))
    assert ran.returncode == 1
    assert "set HOUSING_HOME" in ran.stderr
    assert "Traceback" not in ran.stderr
