"""What commands do not import: a shell that asks for help does not wait for scikit-learn."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = {
    "sklearn", "scipy", "pandas", "numpy", "pyarrow", "matplotlib", "joblib", "prefect",
    "sqlalchemy", "alembic", "fsspec", "s3fs", "cryptography", "uvicorn", "fastapi",
}  # fmt: skip


def _imported(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import housing.settings",
        "from housing.settings import load_settings; load_settings()",
        "import deployments.cli.main",
        "from typer.testing import CliRunner\n"
        "from deployments.cli.main import app\n"
        "for words in (['--help'], ['retrain', '--help'], ['replay', '--help']):\n"
        "    assert CliRunner().invoke(app, words).exit_code == 0",
    ],
    ids=["settings", "settings are loaded", "command line", "help"],
)
def test_quick_commands_import_no_slow_library(code: str) -> None:
    assert _imported(code) & SLOW == set()


@pytest.mark.parametrize("command", ["status", "models", "runs", "history", "settings"])
def test_read_only_commands_import_no_numerical_library(
    populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """`housing status` answers within 0.6 s of processor time; each of these costs 0.1 or more."""
    monkeypatch.setenv("HOUSING_HOME", str(shutil.copytree(populated_home, tmp_path / "home")))
    monkeypatch.chdir(tmp_path)
    code = (
        "from typer.testing import CliRunner\n"
        "from deployments.cli.main import app\n"
        f"done = CliRunner().invoke(app, [{command!r}])\n"
        "assert done.exit_code == 0, done.output"
    )
    assert _imported(code) & SLOW <= {"sqlalchemy", "cryptography"}
