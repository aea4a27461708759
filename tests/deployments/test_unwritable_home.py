"""A home that cannot be written: every command that writes names it in one sentence."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments import environment
from deployments.processes import prefect_server, supervisor
from housing.errors import HousingError, StoreUnavailable
from housing.settings import load_settings
from housing.store.database.open import open_store

COMMANDS = {
    "retrain": ["retrain"],
    "up": ["up"],
    "ingest": ["ingest", "rows.csv"],
    "prune": ["prune"],
    "backup": ["backup", "create"],
    "status": ["status"],
    "doctor": ["doctor"],
    "serve": ["serve"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_read_only_home_names_the_home_and_the_next_step(
    command: str,
    small_disk: Callable[[str], Path],
    read_only: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = small_disk("8m") / "home"
    monkeypatch.setenv("HOUSING_HOME", str(home))
    open_store(load_settings()).close()
    (home / "prefect").mkdir()
    read_only(home.parent)
    program = [sys.executable, "-m", "deployments.cli", *COMMANDS[command]]
    wide = {**os.environ, "COLUMNS": "500"}  # so that no path is broken between two lines
    done = subprocess.run(program, env=wide, capture_output=True, text=True, check=False)
    said = " ".join(done.stderr.replace("Loading ...", "").split())
    assert (done.returncode, said) == (
        StoreUnavailable.exit_code,
        f"The folder {home} cannot be used: it is not writable. Make it writable, or set "
        "HOUSING_HOME to a folder that is.",
    )


@pytest.mark.parametrize(
    "act",
    [
        lambda home: prefect_server.start(home),
        lambda home: supervisor.up(home, 4200, 8000, print),
        lambda home: prefect_server.publish_url(home, "http://127.0.0.1:4200/api", "secret"),
    ],
)
def test_a_file_that_another_user_made_in_the_home_is_named(
    tmp_path: Path, act: Callable[[Path], object]
) -> None:
    for name in ("server.log", "up.lock", "server.json"):
        (tmp_path / "prefect" / name).mkdir(parents=True)  # cannot be opened, not even by root
    with pytest.raises(HousingError, match=rf"{tmp_path}/prefect/.*HOUSING_HOME"):
        act(tmp_path)


def test_a_folder_of_prefects_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "prefect").write_text("")
    with pytest.raises(StoreUnavailable, match=rf"{tmp_path}/prefect cannot.*HOUSING_HOME"):
        environment.prepare(tmp_path)
