"""The units of systemd: accepted by systemd, and each runs a program that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from housing.settings import fields_by_name

FOLDER = Path(__file__).parents[2] / "deployments" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("housing*") if path.suffix != ".env")


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze") or pytest.skip("there is no systemd here")
    bin_ = str(Path(sys.executable).parent)
    for name in UNITS:
        text = (FOLDER / name).read_text().replace("/srv/housing/.venv/bin", bin_)
        (tmp_path / name).write_text(text)
    done = subprocess.run([analyze, "verify", *UNITS], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_service_restarts_and_has_no_rights_but_to_its_home() -> None:
    services = [name for name in UNITS if name.endswith(".service") and "health" not in name]
    assert len(services) == 4
    target = (FOLDER / "housing.target").read_text()
    for name in services:
        lines = set((FOLDER / name).read_text().splitlines())
        wanted = {"User=housing", "Restart=always", "ProtectSystem=strict", "NoNewPrivileges=yes"}
        assert wanted | {"EnvironmentFile=/etc/housing.env", "StateDirectory=housing"} <= lines
        assert name in target


def test_the_file_of_the_environment_names_settings_that_exist() -> None:
    lines = (FOLDER / "housing.env").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if not line.startswith("#")}
    assert {name for name in names if name.startswith("HOUSING_")} <= fields_by_name().keys()
