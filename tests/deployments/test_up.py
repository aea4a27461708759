"""`housing up`: a real server and runner; the nightly flow started as its UI starts it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.server import free_port
from housing.sources.simulated.scenarios import simulate
from tests.nights import SMALL

pytestmark = pytest.mark.prefect


class Up:
    """A running `housing up` and its API."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "PREFECT_"))}
        settings = {
            **SMALL,
            "HOUSING_SEARCH__FAMILIES": "linear",
            "HOUSING_HOME": str(home),
            "HOUSING_SCHEDULE": "0 2 * * *",
            "HOUSING_TIMEZONE": "Europe/Berlin",
            "PYTHONUNBUFFERED": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deployments.cli.entry", "up", "--port", str(self.port)],
            env={**kept, **settings},
            cwd=home.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/api{path}", timeout=10
        ) as response:
            return json.load(response)

    def deployments(self) -> dict[str, Any]:
        try:
            return {d["name"]: d for d in self.post("/deployments/filter", {})}
        except OSError:
            return {}


def wait_for(what: Any, seconds: float, why: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.3)
    pytest.fail(why)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("up") / "home"
    (home / "landing").mkdir(parents=True)
    simulate(600, 0).to_csv(home / "landing" / "a.csv", index=False)
    running = Up(home)
    try:
        wait_for(lambda: len(running.deployments()) == 3, 90, "the deployments never appeared")
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


def test_the_schedule_makes_runs(up: Up) -> None:
    nightly = up.deployments()["nightly"]
    schedule = nightly["schedules"][0]["schedule"]
    assert (schedule["cron"], schedule["timezone"]) == ("0 2 * * *", "Europe/Berlin")
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    wait_for(
        lambda: up.post("/flow_runs/count", scheduled) > 0, 60, "the scheduler made no run at all"
    )


def test_the_nightly_flow_runs_by_hand(up: Up) -> None:
    nightly = up.deployments()["nightly"]
    run = up.post(f"/deployments/{nightly['id']}/create_flow_run", {})
    done = wait_for(
        lambda: (
            (found := up.get(f"/flow_runs/{run['id']}"))["state"]["type"]
            in ("COMPLETED", "FAILED", "CRASHED")
            and found
        ),
        120,
        "the run never ended",
    )
    assert done["state"]["type"] == "COMPLETED", done["state"]
    assert done["state"]["name"] in ("Promoted", "Kept")
    assert list((up.home / "reports").glob("night-r1.html"))


def test_a_value_out_of_range_is_refused_before_a_run_exists(up: Up) -> None:
    nightly = up.deployments()["nightly"]
    before = up.post("/flow_runs/count", {})
    with pytest.raises(urllib.error.HTTPError, match=r"409|422"):
        up.post(
            f"/deployments/{nightly['id']}/create_flow_run",
            {"parameters": {"parameters": {"n_iter": 0}}, "enforce_parameter_schema": True},
        )
    assert up.post("/flow_runs/count", {}) == before


def test_a_second_one_says_that_the_port_is_taken(up: Up) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "deployments.cli.entry", "up", "--port", str(up.port)],
        env={**os.environ, "HOUSING_HOME": str(up.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"Port {up.port} is taken" in second.stderr


def test_it_goes_down_in_order_on_one_signal(up: Up) -> None:
    assert (up.home / "prefect" / "server.json").exists()
    up.process.send_signal(signal.SIGTERM)
    output, _ = up.process.communicate(timeout=60)
    assert up.process.returncode == 0, output
    assert "Prefect UI:" in output
    assert output.rstrip().endswith("Stopped.")
    assert not (up.home / "prefect" / "server.json").exists()
    left = subprocess.run(["pgrep", "-f", str(up.port)], capture_output=True, check=False)
    assert left.stdout == b"", "a process stayed behind"
