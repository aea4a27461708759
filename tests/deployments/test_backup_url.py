"""A backup place that is not there or cannot be written: one sentence, whatever the command."""

from pathlib import Path

import pytest

from housing.errors import HousingError
from tests.deployments.conftest import Housing
from tests.deployments.test_decisions import copied as copied

COMMANDS = (
    "status", "doctor", "backup create", "backup verify", "backup list", "backup restore", "heal",
    "prune --dry-run", "prune", "promote m1 --override --reason r", "rollback --reason r",
)  # fmt: skip
WITHOUT_IT = ("status", "heal", "prune --dry-run", "prune", "rollback --reason r")
"""Commands that need no backup as long as nothing is damaged and nothing was ever backed up."""


@pytest.mark.system
@pytest.mark.parametrize("url", ["/proc/none/below", "FILE/below"])
def test_each_command_names_what_is_wrong_with_the_backup(
    copied: Housing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    (tmp_path / "file").touch(0o600)
    url = url.replace("FILE", str(tmp_path / "file"))
    monkeypatch.setenv("HOUSING_BACKUP_URL", url)
    for command in COMMANDS:
        result = copied(*command.split())
        if isinstance(result.exception, HousingError):
            said = str(result.exception)
            assert "\n" not in said
            known = "HOUSING_BACKUP_URL" in said or "There is no backup in" in said
            assert known, (command, said)
        else:
            assert result.exception is None or isinstance(result.exception, SystemExit), command
            assert command in WITHOUT_IT or command in ("doctor", "backup list"), command
