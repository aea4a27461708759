"""Each command that prints facts prints them as one JSON document too, and names simulated rows."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from deployments.cli.main import app
from housing.problems.california.simulated.scenarios import simulate
from tests.deployments.conftest import Housing
from tests.deployments.test_decisions import copied as copied
from tests.deployments.test_listings import NUMBERS, fields
from tests.fixtures.populated_home import mark_simulated

UNTIL_STOPPED = {"up", "serve", "watchdog"}
"""They run until a person stops them, and print what they do."""

OF_NO_ROWS = {"settings", "problem new"}
"""They print nothing of a dataset."""

ELSEWHERE = {"retrain", "replay", "problem check", "mirror"}
"""Their JSON is read in test_retrain.py, test_replay.py, test_mirror.py and
problems/test_tables.py: they run for long, need a server, or change the environment of their
process."""

REASON = ("--reason", "to be looked at")
BEFORE: dict[str, list[tuple[str, ...]]] = {
    "unblock": [("block", "m1", *REASON)],
    "dataset restore": [("dataset", "withdraw", "b2", *REASON)],
    "backup verify": [("backup", "create")],
    "backup restore": [("backup", "create")],
    "gate verify": [("gate", "export", "-o", "verdict.json")],
}
"""What makes a command possible."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "ingest": ("rows.csv",), "show": ("m1",), "compare": ("m1", "m2"), "rollback": REASON,
    "promote": ("m1", "--override", *REASON), "block": ("b2", *REASON), "unblock": ("m1",),
    "approve": ("r2",), "reject": ("r2", *REASON), "judge": ("m1",), "reproduce": ("m1",),
    "sign": REASON, "predict": ("rows.csv",), "export": ("m1",), "monitor": ("--no-act",),
    "dataset rollback": ("v1", *REASON), "dataset withdraw": ("b2", *REASON),
    "dataset restore": ("b2", *REASON), "dataset discard": ("b3",), "dataset accept": ("b3",),
    "problem new": ("rows.csv", "--target", "median_house_value", "--name", "of_mine"),
    "gate verify": ("verdict.json",),
}  # fmt: skip

# `reproduce` ends with 1: the home's small models are none of the families of its settings.

IMPOSSIBLE = {"approve", "reject", "backup restore", "ingest"}
"""Nothing awaits approval, the store is not empty, and its rows are simulated while the file's are
not: refused, without half a document."""


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its whole name."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        whole = f"{path} {name}".strip()
        yield from commands(command, whole) if hasattr(command, "commands") else [(whole, command)]


ALL = dict(commands())


@pytest.mark.parametrize("name", sorted(ALL.keys() - UNTIL_STOPPED))
def test_each_command_that_ends_has_the_option(name: str) -> None:
    assert any("--json" in option.opts for option in ALL[name].params)


@pytest.mark.parametrize("name", sorted(ALL.keys() - UNTIL_STOPPED - ELSEWHERE))
def test_its_output_is_one_document_whose_ids_have_letters_beside_a_note_of_simulated_rows(
    copied: Housing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    mark_simulated(Path(os.environ["HOUSING_HOME"]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOUSING_BACKUP_URL", str(tmp_path / "backups"))
    simulate(300, 0, day=7).to_csv("rows.csv", index=False)
    for before in BEFORE.get(name, ()):
        assert copied(*before).exit_code == 0
    done = copied(*name.split(), *ARGUMENTS.get(name, ()), "--json")
    if name in IMPOSSIBLE:
        assert (done.stdout, done.exit_code) == ("", 1)
        return
    assert name in OF_NO_ROWS or "SIMULATED DISTRICTS" in done.output
    assert done.exit_code in (0, 3, 4, 1 if name == "reproduce" else 0), done.output
    found = json.loads(done.stdout)
    for field, value in fields(found):
        assert field not in NUMBERS or not isinstance(value, int), (field, value)
