"""`prefect deploy --all` to a process work pool of another server: Prefect's own worker runs it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient

from tests.conftest import Server
from tests.fixtures.small_settings import SMALL, landing_rows

ROOT = Path(__file__).parents[2]
PREFECT = (sys.executable, "-m", "prefect", "--no-prompt")

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture
def environment(prefect_server: Server, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "home" / "landing").mkdir(parents=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "PREFECT_"))}
    return {
        **kept,
        **SMALL,
        "HOUSING_HOME": str(tmp_path / "home"),
        "HOUSING_REPORT_URL": "https://predictions.example",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": prefect_server.url,
        "PREFECT_API_AUTH_STRING": prefect_server.secret,
    }


@pytest.fixture
def deployed(client: SyncPrefectClient, environment: dict[str, str]) -> Iterator[None]:
    create = (*PREFECT, "work-pool", "create", "--type", "process", "housing")
    for command in (create, (*PREFECT, "deploy", "--all")):
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    yield
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)
    client._client.delete("/work_pools/housing")


def ends(client: SyncPrefectClient, environment: dict[str, str], folder: Path) -> Any:
    """The end of a nightly run that a worker, started in `folder`, takes up."""
    deployment = client.read_deployment_by_name("nightly/nightly")
    run = client.create_flow_run_from_deployment(deployment.id)
    worker = subprocess.Popen(
        (*PREFECT, "worker", "start", "--pool", "housing"), cwd=folder, env=environment
    )
    try:
        while not (state := client.read_flow_run(run.id).state) or not state.is_final():
            assert worker.poll() is None
            time.sleep(0.5)
        return state
    finally:
        worker.terminate()
        worker.wait(60)


def test_a_stock_worker_runs_what_prefect_yaml_deploys(
    client: SyncPrefectClient, deployed: None, environment: dict[str, str], tmp_path: Path
) -> None:
    landing_rows(0, 600).to_csv(tmp_path / "home" / "landing" / "a.csv", index=False)
    state = ends(client, environment, tmp_path)
    assert (state.type, state.name) == ("COMPLETED", "Promoted"), state.message
    artifacts = client._client.post("/artifacts/latest/filter", json={}).json()
    links = [each["data"] for each in artifacts if each["key"] == "report"]
    assert "(https://predictions.example/reports/report-r1.html)" in links[0]

    del environment["HOUSING_HOME"]
    state = ends(client, environment, tmp_path)
    assert state.name == "Failed"
    assert "HOUSING_HOME is var, relative to" in state.message
