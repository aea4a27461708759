"""A work pool's run does not keep its results in a folder that is deleted."""

from pathlib import Path

import pytest

from tasks.home import STORED_IN_HOME, TemporaryHome, refuse_temporary_home

MOUNTS = """\
20 1 0:30 / / rw,relatime - overlay overlay rw
21 20 254:0 /volumes/housing /var/lib/housing rw,relatime master:1 - ext4 /dev/vda rw
22 20 254:0 /pods/7/volumes/kubernetes.io~empty-dir/scratch /scratch rw - ext4 /dev/vda rw
"""


@pytest.fixture(autouse=True)
def started_by_a_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "0a1b")
    for name in ("HOME", *STORED_IN_HOME):
        monkeypatch.delenv(f"HOUSING_{name}", raising=False)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    return mounts


@pytest.mark.parametrize(
    ("home", "why"),
    [
        ("", "relative to"),
        ("var", "relative to"),
        ("/opt/home", "no volume"),
        ("/scratch/home", "no volume"),
    ],
)
def test_a_home_that_is_deleted_is_refused_with_the_settings_to_change(
    home: str, why: str, monkeypatch: pytest.MonkeyPatch, started_by_a_worker: Path
) -> None:
    monkeypatch.setenv("HOUSING_HOME", home)
    with pytest.raises(TemporaryHome, match=why) as refused:
        refuse_temporary_home(started_by_a_worker)
    assert all(f"HOUSING_{name}" in str(refused.value) for name in STORED_IN_HOME)


def test_a_volume_is_a_home(monkeypatch: pytest.MonkeyPatch, started_by_a_worker: Path) -> None:
    monkeypatch.setenv("HOUSING_HOME", "/var/lib/housing")
    refuse_temporary_home(started_by_a_worker)


def test_any_home_does_where_everything_is_kept_elsewhere(
    monkeypatch: pytest.MonkeyPatch, started_by_a_worker: Path
) -> None:
    for name in STORED_IN_HOME:
        monkeypatch.setenv(f"HOUSING_{name}", "s3://elsewhere/than-in-the-home-of-this-run")
    refuse_temporary_home(started_by_a_worker)


def test_a_command_at_a_terminal_uses_any_folder(
    monkeypatch: pytest.MonkeyPatch, started_by_a_worker: Path
) -> None:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID")
    refuse_temporary_home(started_by_a_worker)
