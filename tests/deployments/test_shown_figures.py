"""Every command that prints figures writes percent and negative numbers in one way."""

import json
from pathlib import Path

import pytest

from housing.problem import MINUS
from tests.deployments.conftest import Housing
from tests.deployments.test_decisions import copied as copied
from tests.fixtures.shown_figures import visible, wrong_figures

SHOWN = (
    "status", "history", "champion", "models", "datasets", "batches", "runs", "curves",
    "show m2", "show r2", "show v2", "show b2", "show b3", "compare m1 m2",
    "gate explain r2", "gate power", "prune --dry-run",
)  # fmt: skip


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_writes_its_figures_as_every_other(housing: Housing, command: str) -> None:
    result = housing(*command.split())
    assert result.exit_code in (0, 3, 5), result.output
    assert wrong_figures(result.output) == []


@pytest.mark.system
def test_what_commands_show_that_write_to_the_home_is_written_likewise(copied: Housing) -> None:
    commands = "monitor --no-act", "readiness", "doctor", "dataset describe v2"
    texts = [copied(*command.split()).output for command in commands]
    monitor = json.loads(copied("monitor", "--json", "--no-act").stdout)
    card = json.loads(copied("card", "m2", "--json").stdout)
    pages = (Path(path).read_text() for path in (monitor["report"], card["html"]))
    for text in (*texts, *map(visible, pages)):
        assert wrong_figures(text) == []


def test_the_scan_finds_what_it_is_for() -> None:
    text = f"62.3% (95 % interval -1.9 to {MINUS}0.4 %), 2026-11-30, m-2 [-3; 4], longitude -122.2"
    assert [found.strip()[:9] for found in wrong_figures(text)] != []
    assert wrong_figures(f"62.3 % ({MINUS}1.9 to +2.1 %) on 2026-11-30, e-5") == []
