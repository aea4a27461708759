"""A home that cannot be written: every command that writes names it in one sentence."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments import environment
from deployments.cli import __main__ as entry
from deployments.cli import main as commands
from deployments.processes import prefect_server, supervisor
from housing.errors import HousingError, StoreUnavailable
from housing.operations import problem_draft
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


@contextmanager
def _closed(folder: Path) -> Iterator[Path]:
    """A folder that this process may not look into, as another user's."""
    folder.mkdir()
    folder.chmod(0)
    user = os.geteuid()
    if not user:
        os.seteuid(65_534)
    try:
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


@pytest.mark.parametrize("create", [True, False])
def test_a_home_in_a_folder_of_another_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, create: bool
) -> None:
    home = tmp_path / "closed" / "home"
    monkeypatch.setenv("HOUSING_HOME", str(home))
    settings = load_settings()
    wanted = rf"The folder {home} cannot be used: Permission denied\. .*HOUSING_HOME"
    with _closed(home.parent), pytest.raises(StoreUnavailable, match=wanted):
        open_store(settings, create=create)


def test_another_path_that_may_not_be_used_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.app
    assert problem_draft.write_draft, "imported while everything may be read"
    monkeypatch.setenv("HOUSING_PROBLEM", "housing.problems.california")
    place = tmp_path / "closed"
    options = ["--target", "price", "--name", "drafted", "--to", str(place)]
    monkeypatch.setattr(sys, "argv", ["housing", "problem", "new", "rows.csv", *options])
    with _closed(place), pytest.raises(SystemExit) as ended:
        entry._run()
    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said.endswith("cannot be used: Permission denied. Check the path and its permissions.")
