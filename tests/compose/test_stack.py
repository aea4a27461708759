"""docker-compose.yml, brought up for real: a run by hand, a backup copy, restarts, the way down.

Slow, and skipped where there is no Docker engine. Where the two base images cannot be had,
`stand_ins.sh` makes some from Debian's packages (it needs root and debootstrap).
"""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.processes.prefect_server import free_port
from housing.schema import TARGET
from tests.fixtures.small_settings import SMALL, landing_rows

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PYTHON, POSTGRES = "python:3.11-slim-bookworm", "postgres:17-bookworm"
STAND_INS = {"PYTHON_IMAGE": "housing-standin-python", "POSTGRES_IMAGE": "housing-standin-postgres"}
RUN_STOP_SECONDS = 180

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _runs(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _compose() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if _runs(*command, "version"):
            return command
    pytest.skip("there is no Docker Compose")


class Stack:
    """The services of one project folder."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}
        self.command = _compose()
        self.port, self.predictions = environment["PREFECT_PORT"], environment["PREDICTIONS_PORT"]

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run a compose command; returns what it printed."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout

    def housing(self, *arguments: str) -> Any:
        """A command of ours in the worker's container, as JSON."""
        return json.loads(
            self.compose("exec", "-T", "worker", "entrypoint", "housing", *arguments, "--json")
        )

    def api(self, path: str, body: dict[str, Any] | None = None, *, auth: bool = True) -> Any:
        """Ask Prefect."""
        headers = {"Content-Type": "application/json"}
        if auth:
            secret = (self.folder / "secrets" / "prefect_auth").read_bytes()
            headers["Authorization"] = f"Basic {b64encode(secret).decode()}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", data=data, headers=headers
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def run(self, name: str = "nightly/nightly") -> dict[str, Any]:
        """Run a deployment and wait for its end."""
        found = _until(lambda: self.api(f"deployments/name/{name}"))
        run = self.api(f"deployments/{found['id']}/create_flow_run", {})

        def ended() -> dict[str, Any] | None:
            now: dict[str, Any] = self.api(f"flow_runs/{run['id']}")
            return now if now["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED") else None

        return _until(ended)


def _until(question: Callable[[], Any], seconds: float = RUN_STOP_SECONDS) -> Any:
    """The first answer that is one; a service that is not up yet has none."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := question():
                return answer
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Our image, built, and what the base images are called."""
    if not _runs("docker", "info"):
        pytest.skip("no Docker engine answers")
    have = all(_runs("docker", "image", "inspect", name) for name in (PYTHON, POSTGRES))
    chosen: dict[str, str] = {}
    made = all(_runs("docker", "image", "inspect", name) for name in STAND_INS.values())
    if not have and made:
        chosen = STAND_INS
    elif not have:
        if os.geteuid() != 0 or shutil.which("debootstrap") is None:
            pytest.skip("the base images are not here, and stand-ins need root and debootstrap")
        folder = tmp_path_factory.mktemp("standins")
        subprocess.run(["sh", str(HERE / "stand_ins.sh"), str(folder)], check=True)
        chosen = STAND_INS
    base = chosen.get("PYTHON_IMAGE", PYTHON)
    build = [
        "docker",
        "build",
        "--network",
        "host",
        "--file",
        "deployments/Dockerfile",
        "--tag",
        "housing:test",
    ]
    subprocess.run([*build, "--build-arg", f"PYTHON_IMAGE={base}", "."], cwd=ROOT, check=True)
    return {**chosen, "IMAGE": "housing:test"}


@pytest.fixture(scope="module")
def stack(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The services, up; a landing folder with one file; small runs."""
    folder = tmp_path_factory.mktemp("stack")
    shutil.copy(ROOT / "docker-compose.yml", folder)
    shutil.copytree(ROOT / "deployments" / "compose", folder / "deployments" / "compose")
    subprocess.run([folder / "deployments" / "compose" / "setup.sh"], cwd=folder, check=True)
    landing = folder / "landing"
    landing.mkdir()
    landing_rows(0, 600).to_csv(landing / "a.csv", index=False)
    small = {name: value for name, value in SMALL.items() if name != "HOUSING_SOURCES__NAMES"}
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in small.items()))
    ports = {name: str(free_port()) for name in ("PREFECT_PORT", "PREDICTIONS_PORT")}
    stack = Stack(folder, {**images, "LANDING": str(landing), **ports})
    try:
        stack.compose("up", "-d", "--no-build")
        yield stack
    finally:
        print(stack.compose("logs", "--no-color", "--tail", "60", check=False))
        stack.compose("down", "--volumes", "--timeout", "60", check=False)


def test_a_run_started_by_hand_completes(stack: Stack) -> None:
    run = stack.run()
    assert run["state"]["type"] == "COMPLETED", run["state"]
    assert run["state"]["name"] == "Promoted", run["state"]
    status = stack.housing("status")
    assert status["champion"]["model"] == "m1"
    assert stack.housing("batches")[0]["name"] == "a.csv"


def test_the_schedule_is_on(stack: Stack) -> None:
    counted = _until(
        lambda: stack.api(
            "flow_runs/count", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        )
    )
    assert counted > 0


def test_nobody_asks_prefect_without_the_password(stack: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        stack.api("deployments/count", {}, auth=False)


def test_no_port_is_open_beyond_loopback(stack: Stack) -> None:
    ids = stack.compose("ps", "-q").split()
    shown = json.loads(subprocess.check_output(["docker", "inspect", *ids]))
    bound = [
        binding["HostIp"]
        for container in shown
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or []
    ]
    assert bound
    assert set(bound) == {"127.0.0.1"}


def test_our_containers_run_without_rights(stack: Stack) -> None:
    for service in ("prefect", "worker", "watchdog", "predictions"):
        identity = stack.compose(
            "exec", "-T", service, "sh", "-c", "id -u; touch /opt/x || echo no"
        )
        assert identity.split() == ["10001", "no"], service
        environment = stack.compose("exec", "-T", service, "env")
        password = (stack.folder / "secrets" / "postgres_password").read_text()
        assert password not in environment, "a secret is in the container's configuration"


def test_the_image_is_small_and_lists_its_packages(images: dict[str, str]) -> None:
    def size(name: str) -> int:
        shown = ["docker", "image", "inspect", "--format", "{{.Size}}", name]
        return int(subprocess.check_output(shown))

    base = images.get("PYTHON_IMAGE", PYTHON)
    assert size(images["IMAGE"]) - size(base) < 615_000_000  # python:3.11-slim has 135 MB or less
    read = ["docker", "run", "--rm", "--entrypoint", "cat", images["IMAGE"]]
    listed = json.loads(subprocess.check_output([*read, "/opt/housing/sbom.json"]))
    assert listed["bomFormat"] == "CycloneDX"
    assert {"prefect", "scikit-learn", "distributed"} <= {c["name"] for c in listed["components"]}


def test_the_database_has_no_way_out(stack: Stack) -> None:
    container = stack.compose("ps", "-q", "postgres").strip()
    shown = json.loads(subprocess.check_output(["docker", "inspect", container]))[0]
    names = list(shown["NetworkSettings"]["Networks"])
    networks = json.loads(subprocess.check_output(["docker", "network", "inspect", *names]))
    assert networks
    assert all(network["Internal"] for network in networks)


def test_predictions_want_the_token(stack: Stack) -> None:
    districts = landing_rows(0, 3).drop(columns=TARGET).to_dict("records")
    body = json.dumps({"districts": districts}).encode()
    token = (stack.folder / "secrets" / "api_token").read_text()

    def ask(headers: dict[str, str]) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{stack.predictions}/predict",
            data=body,
            headers={"Content-Type": "application/json", **headers},
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask({})
    assert len(_until(lambda: ask({"Authorization": f"Bearer {token}"}))["predictions"]) == 3


def test_the_report_is_behind_the_password_of_the_ui(stack: Stack) -> None:
    address = f"http://127.0.0.1:{stack.port}/reports/report-r1.html"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address, timeout=20)
    secret = (stack.folder / "secrets" / "prefect_auth").read_bytes()
    knowing = {"Authorization": f"Basic {b64encode(secret).decode()}"}
    with urllib.request.urlopen(
        urllib.request.Request(address, headers=knowing), timeout=20
    ) as response:
        assert b"<html" in response.read()


def test_a_backup_is_made_and_tried(stack: Stack) -> None:
    run = stack.run("backup/backup")
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Verified"), run["state"]


@pytest.mark.parametrize("service", ["worker", "prefect", "postgres", "watchdog", "predictions"])
def test_a_killed_service_restarts_and_the_next_run_completes(stack: Stack, service: str) -> None:
    container = stack.compose("ps", "-q", service).strip()
    pid = subprocess.check_output(["docker", "inspect", "-f", "{{.State.Pid}}", container])
    os.kill(int(pid), 9)
    landing_rows(len(service), 200).to_csv(stack.folder / "landing" / f"{service}.csv", index=False)

    def healthy() -> bool:
        state = subprocess.check_output(
            ["docker", "inspect", "-f", "{{.State.Health.Status}} {{.RestartCount}}", container],
            text=True,
        )
        return state.split()[0] == "healthy" and int(state.split()[1]) > 0

    _until(healthy)
    run = stack.run()
    assert run["state"]["type"] == "COMPLETED", run["state"]
    assert stack.housing("batches")[0]["name"] == f"{service}.csv"


def test_down_and_up_again_keeps_everything(stack: Stack) -> None:
    before = stack.housing("history")
    stack.compose("down", "--timeout", "60")
    stack.compose("up", "-d", "--no-build")
    _until(lambda: stack.api("deployments/name/nightly/nightly"))
    assert stack.housing("history") == before
