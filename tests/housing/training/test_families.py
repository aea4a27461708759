"""A family whose package or whose system library is missing names what to install."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from housing.training import families
from housing.training.candidates import FAMILIES
from housing.training.search_config import SearchPlan

BROKEN = """
raise OSError("libgomp.so.1: cannot open shared object file: No such file or directory")
"""


@pytest.fixture
def without_libgomp(tmp_path: Path) -> dict[str, str]:
    """The path of a process in which LightGBM is installed and its system library is not."""
    (tmp_path / "lightgbm").mkdir()
    (tmp_path / "lightgbm" / "__init__.py").write_text(BROKEN)
    return {"PYTHONPATH": str(tmp_path)}


def _run(program: str, environment: dict[str, str]) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not ran.stderr, ran.stderr
    return ran.stdout


def test_a_missing_system_library_is_named_where_the_family_is_asked_for(
    without_libgomp: dict[str, str],
) -> None:
    program = (
        "from housing.settings import SettingsInvalid, load_settings\n"
        "try:\n    load_settings(search={'families': ('lightgbm',)})\n"
        "except SettingsInvalid as error:\n    print(error)\n"
    )
    shown = _run(program, without_libgomp)
    assert "install the system's package libgomp1" in shown


def test_commands_that_need_no_family_work_without_its_system_library(
    without_libgomp: dict[str, str],
) -> None:
    program = (
        "from housing.store.models.trusted_types import trusted_types\n"
        "from housing.training.candidates import feature_groups\n"
        "from housing.settings import load_settings\n"
        "load_settings()\n"
        "print(len(trusted_types()) > 0, len(feature_groups()) > 0)\n"
    )
    assert _run(program, without_libgomp) == "True True\n"


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    families._missing.cache_clear()
    monkeypatch.setattr(families, "find_spec", lambda _: None)
    assert not FAMILIES["lightgbm"].installed
    with pytest.raises(ValidationError, match="lightgbm is not installed"):
        SearchPlan(families=("lightgbm",))
    families._missing.cache_clear()
