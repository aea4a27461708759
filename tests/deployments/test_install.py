"""What `make` does before anything is installed: progress, Ctrl-C, and installations cut short."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from deployments import install

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, str(ROOT / "deployments" / "install.py"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel, and the lock file that names it."""
    folder = tmp_path_factory.mktemp("wheels")
    metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "THERE = True\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", metadata)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", tags)
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    (folder / "lock.txt").write_text("tiny==1.0\n")
    return folder


def test_an_editable_install_is_a_path_and_no_import_when_python_starts(tmp_path: Path) -> None:
    """Until our own code runs, Python answers Ctrl-C with a traceback: no import prolongs that."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for package in ("housing", "tasks", "flows", "deployments"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    build = "from setuptools.build_meta import build_editable; build_editable('out')"
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (start,) = (n for n in opened.namelist() if n.endswith(".pth"))
        assert opened.read(start).decode().strip() == str(tmp_path)


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that was made again, as Ctrl-C had left it with a part of pip."""
    folder = tmp_path_factory.mktemp("environments") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (_site(folder) / "pip").mkdir()
    (_site(folder) / "pip" / "__init__.py").touch()
    python = install.environment(folder)
    subprocess.run([python, "-m", "pip", "--version"], check=True)
    return folder


def _arguments(wheels: Path) -> list[str]:
    return ["--no-index", "--find-links", str(wheels), "-r", str(wheels / "lock.txt")]


def _site(venv: Path) -> Path:
    (found,) = venv.glob("lib/python*/site-packages")
    return found


def _program(venv: Path, arguments: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*PROGRAM, str(venv), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def test_the_installer_shows_its_steps_in_lines_that_fit_a_terminal(
    venv: Path, wheels: Path
) -> None:
    shutil.rmtree(_site(venv) / "tiny-1.0.dist-info", ignore_errors=True)
    shown, _ = (program := _program(venv, _arguments(wheels))).communicate(timeout=120)
    assert program.returncode == 0, shown
    first, *_, last = shown.splitlines()
    assert "0 of 1, starting pip (0:00 min)" in first
    assert "done" in last
    assert (_site(venv) / "tiny.py").exists()


def test_a_program_that_prints_nothing_is_no_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(install, "WITHOUT_TERMINAL", 0.0)
    lines = []

    def state(line: str) -> str:
        lines.append(line)
        if len(lines) == 5:
            (tmp_path / "enough").touch()
        return f"looked {len(lines)} times"

    wait = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0)"
    install.run([sys.executable, "-c", wait, str(tmp_path / "enough")], "Waiting", state)
    assert len(capsys.readouterr().out.splitlines()) >= 5


def test_a_package_that_was_half_unpacked_is_installed_again(venv: Path, wheels: Path) -> None:
    assert install.main(str(venv), *_arguments(wheels)) == 0
    (_site(venv) / "tiny.py").unlink()
    (_site(venv) / "tiny-1.0.dist-info" / "INSTALLER").unlink()  # pip writes it last
    assert install.main(str(venv), *_arguments(wheels)) == 0
    assert (_site(venv) / "tiny.py").exists()


def test_a_failure_shows_the_last_lines_and_the_next_step(
    venv: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(str(venv), "--no-index", "-r", str(wheels / "lock.txt"), "missing") == 1
    shown = capsys.readouterr().out
    assert "No matching distribution found" in shown
    assert "The same command goes on with it." in shown


def test_ctrl_c_is_one_line_and_leaves_no_process(venv: Path, wheels: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # an index that never answers
        index = f"http://127.0.0.1:{mute.getsockname()[1]}/simple"
        program = _program(venv, ["--index-url", index, "another==1"])
        connection, _ = mute.accept()
        with connection:
            os.killpg(program.pid, signal.SIGINT)
            shown, _ = program.communicate(timeout=120)
    assert program.returncode == 130
    assert shown.splitlines()[-1].startswith("Interrupted.")
    assert "Traceback" not in shown
    with pytest.raises(ProcessLookupError):
        os.killpg(program.pid, 0)
    assert install.main(str(venv), *_arguments(wheels)) == 0


def test_a_census_that_is_not_there_is_reported_before_anything_is_installed(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "no such table.csv"
    table = "HOUSING_CENSUS"
    made = subprocess.run(
        ["make", "retrain", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT, env={**os.environ, table: str(missing)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 2
    assert f"There is no file {missing}." in made.stderr + made.stdout
    assert not (tmp_path / "venv").exists()


def test_ctrl_c_while_it_loads_is_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise KeyboardInterrupt")
    ran = subprocess.run(
        [sys.executable, "-S", install.__file__, str(tmp_path / "venv")],
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = "Interrupted. The same command goes on with the installation."
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (130, said, "")
