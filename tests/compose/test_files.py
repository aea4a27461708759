"""What stands beside the containers: the files of setup.sh, and the limits of each service."""

import subprocess
from pathlib import Path

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


def test_the_file_of_a_second_host_opens_only_the_private_address() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    changed = yaml.safe_load((ROOT / "docker-compose.hosts.yml").read_text())["services"]
    assert changed.keys() <= services.keys()
    ports = [port for each in changed.values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("${FIRST_HOST") for port in ports)
