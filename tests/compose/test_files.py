"""What stands beside the containers: the files of setup.sh, and the limits of each service."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "deployments" / "compose" / "setup.sh"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_secrets_are_read_by_containers_and_by_no_other_user_of_the_host(tmp_path: Path) -> None:
    subprocess.run([SETUP], cwd=tmp_path, check=True)
    secrets = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert {"signing_key", "prefect_auth", "api_token"} <= made.keys()
    assert mode(secrets) == 0o700
    assert {mode(path) for path in secrets.iterdir()} == {0o444}
    subprocess.run([SETUP], cwd=tmp_path, check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made


@pytest.mark.parametrize("named", ["", "elsewhere/landing"])
def test_the_landing_folder_belongs_to_who_runs_the_setup(tmp_path: Path, named: str) -> None:
    environment = (
        {"PATH": "/usr/bin:/bin", "LANDING": named} if named else {"PATH": "/usr/bin:/bin"}
    )
    subprocess.run([SETUP], cwd=tmp_path, env=environment, check=True)
    landing = tmp_path / (named or "var/landing")
    assert landing.stat().st_uid == tmp_path.stat().st_uid
    assert mode(landing) == 0o755, "the containers' user reads it"
    landing.chmod(0o700)
    subprocess.run([SETUP], cwd=tmp_path, env=environment, check=True)
    assert mode(landing) == 0o700, "a folder that is there is left as it is"


def test_every_service_has_limits_of_memory_and_processes() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert [name for name, each in services.items() if not each.get("mem_limit")] == []
    assert [name for name, each in services.items() if not each.get("pids_limit")] == []


def test_the_build_context_has_every_file_that_the_image_is_built_from() -> None:
    dockerfile = (ROOT / "deployments" / "Dockerfile").read_text().replace("\\\n", " ")
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY [^-].*", dockerfile, re.MULTILINE)]
    installed = re.findall(r"-r (requirements/[\w.]+)", dockerfile)
    wanted = {*(path for paths in copied for path in paths), *installed} - {"requirements"}
    assert "requirements/catboost.txt" in wanted
    sent = {line.strip("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert {path for path in wanted if not sent & {path, path.split("/")[0]}} == set()
    assert [path for path in wanted - {"requirements/team.txt"} if not (ROOT / path).exists()] == []


def test_a_package_of_a_team_reaches_every_process_by_one_image_and_one_environment() -> None:
    """What docs/your-own-table.md says about requirements/team.txt and HOUSING_PROBLEM."""
    dockerfile = (ROOT / "deployments" / "Dockerfile").read_text().replace("\\\n", " ")
    installed = re.search(
        r"if \[ -f requirements/team.txt \]; then (\S+) -m pip install ([^;]*); fi", dockerfile
    )
    assert installed
    assert installed[1] == "/opt/housing/bin/python"
    assert installed[2].split()[-3:] == ["--no-deps", "-r", "requirements/team.txt"]
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"!requirements/team.txt", "!requirements/*.whl"} <= set(sent)
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = [each for each in services.values() if "housing:local" in each.get("image", "")]
    assert services["dask-worker"] in ours
    assert [each for each in ours if each.get("env_file") != ".env"] == []
    manifests = (ROOT / "deployments" / "kubernetes" / "housing.yaml").read_text()
    pods = [
        *yaml.safe_load_all(manifests),
        yaml.safe_load((ROOT / "deployments/pools/kubernetes.json").read_text()),
    ]
    found = [container for pod in pods for container in _containers(pod)]
    assert len(found) == 3
    for container in found:
        assert {"secretRef": {"name": "housing"}} in container["envFrom"]


def _containers(part: Any) -> Iterator[dict[str, Any]]:
    """Every container in a manifest."""
    if isinstance(part, dict):
        yield from part.get("containers", ())
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        yield from _containers(each)


def test_the_file_of_a_second_host_opens_only_the_private_address() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    changed = yaml.safe_load((ROOT / "docker-compose.hosts.yml").read_text())["services"]
    assert changed.keys() <= services.keys()
    ports = [port for each in changed.values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("${FIRST_HOST") for port in ports)
