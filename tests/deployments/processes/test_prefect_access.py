"""The auth string of the Prefect server: of `housing up`, of a run's own server, of the user."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deployments.processes import prefect_access
from deployments.processes.prefect_server import Server
from tasks.run_labels import TERMINAL
from tests.fixtures.housing_up import Up, until
from tests.fixtures.small_settings import landing_rows

pytestmark = [pytest.mark.system, pytest.mark.prefect, pytest.mark.xdist_group("access")]

OWN = "operator:chosen by hand"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """With an auth string that the user has set."""
    running = Up(tmp_path_factory.mktemp("up") / "home", {prefect_access.SERVER_SECRET: OWN})
    try:
        until(lambda: "prune" in running.deployments(), 120, "the deployments never appeared")
        yield running
    finally:
        running.stop()
        print(running.output())


def test_the_users_own_auth_string_is_the_only_one(up: Up) -> None:
    assert not (up.home / "prefect" / "auth").exists()
    address = f"http://127.0.0.1:{up.port}/api/admin/version"
    assert httpx.get(address).status_code == 401
    assert httpx.get(address, headers=up.headers()).status_code == 200
    until(
        lambda: prefect_access.sign_in_url(f"http://127.0.0.1:{up.port}", OWN) in up.output(),
        60,
        "!",
    )


def test_worker_and_command_line_use_the_auth_string(up: Up) -> None:
    """A terminal in which nobody has set it: the command finds server and auth string."""
    landing_rows(0, 600).to_csv(up.home / "landing" / "a.csv", index=False)
    until((up.home / "prefect" / "server.json").exists, 120, "it never was announced")
    environment = {k: v for k, v in up.environment.items() if k != prefect_access.SERVER_SECRET}
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli.__main__", "retrain", "--json"],
        env=environment, cwd=up.home.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3, 4), done.stderr
    by_hand = {"flow_runs": {"tags": {"all_": [TERMINAL]}}}
    assert [run["state"]["type"] for run in up.ask("flow_runs/filter", by_hand)] == ["COMPLETED"]
    by_runner = up.ended(up.run())
    assert by_runner["state"]["type"] == "COMPLETED", by_runner["state"]


def test_a_temporary_server_answers_only_the_run_that_started_it(prefect_server: Server) -> None:
    api = prefect_server.url
    credentials = {"Authorization": f"Basic {prefect_access.basic(prefect_server.secret)}"}
    assert httpx.get(f"{api}/health").status_code == 200
    assert httpx.post(f"{api}/flow_runs/filter", json={}).status_code in (401, 403)
    assert httpx.get(f"{api}/admin/version", headers=credentials).status_code == 200
    for headers in (
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ):
        refused = httpx.get(f"{api}/admin/version", headers={**credentials, **headers})
        assert (refused.status_code, refused.text[:22]) == (403, "Pages of other origins")
    renamed = httpx.get(f"{api}/admin/version", headers={**credentials, "Host": "evil.example"})
    assert renamed.status_code == 400


def test_two_servers_have_two_auth_strings() -> None:
    assert prefect_access.new_secret() != prefect_access.new_secret()


def test_a_server_beyond_loopback_requires_an_auth_string(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "deployments.processes.prefect_server_main",
            "--host",
            "0.0.0.0",
            "--port",
            "1",
        ],
        env={"PATH": "/usr/bin", "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Set PREFECT_SERVER_API_AUTH_STRING to USER:PASSWORD" in done.stderr
