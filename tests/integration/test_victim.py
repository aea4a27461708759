"""The fork server keeps the environment of the first test that starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = """
import sys
from pathlib import Path
from tests.integration.conftest import _fork

if __name__ == "__main__":
    sys.exit(_fork({}, Path("fits").absolute(), Path(sys.argv[1])))
"""


@pytest.mark.system
def test_a_run_has_no_setting_of_who_started_the_fork_server(tmp_path: Path) -> None:
    """It would use another's database, and find models there of another home's key."""
    home, foreign = tmp_path / "home", tmp_path / "foreign"
    home.mkdir()
    foreign.mkdir()
    others = {
        "HOUSING_DATABASE_URL": f"sqlite:///{foreign / 'housing.db'}",
        "HOUSING_BLOB_URL": str(foreign / "blobs"),
        "PYTHONPATH": str(ROOT),
    }
    (foreign / "run.py").write_text(CODE)
    command = [sys.executable, str(foreign / "run.py"), str(home)]
    done = subprocess.run(
        command, env={**os.environ, **others}, cwd=tmp_path, capture_output=True, check=False
    )
    assert b"NothingToTrainOn" in done.stderr or done.returncode != 0
    assert (home / "housing.db").is_file()
    assert [path.name for path in foreign.iterdir()] == ["run.py"]
