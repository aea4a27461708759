"""Runs in fast motion: real ones, in a folder of their own, telling nobody."""

import json
from pathlib import Path

import pandas as pd
import pytest

from deployments.cli.replay import _cut, _set
from housing.gate.policy import GatePolicy
from tests.deployments.conftest import Command
from tests.fixtures.small_settings import SMALL


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_each_row_of_the_table_is_in_exactly_one_run(runs: int) -> None:
    table = pd.DataFrame({"row": range(101)})
    parts = _cut(table, runs)
    assert len(parts) == runs
    assert sorted(pd.concat(parts)["row"]) == list(range(101))
    assert [p["row"].tolist() for p in parts] == [p["row"].tolist() for p in _cut(table, runs)]
    if runs > 1:
        assert len(parts[0]) == 50
        assert {len(part) for part in parts[1:]} <= {51 // (runs - 1), 51 // (runs - 1) + 1}


def test_a_replay_takes_over_the_settings_that_decide_a_run() -> None:
    assert dict(_set(GatePolicy(rule="superior", margin=0.02))) == {
        "rule": "superior",
        "margin": "0.02",
    }
    assert dict(_set(GatePolicy())) == {}


@pytest.mark.slow
def test_a_replay_of_a_scenario_makes_two_runs(command: Command, tmp_path: Path) -> None:
    settings = {
        name: value
        for name, value in SMALL.items()
        if name.startswith(("HOUSING_GATE", "HOUSING_SEA"))
    }
    # The team's address is no place for invented runs: it would be an error to ask it.
    (tmp_path / ".env").write_text("HOUSING_NOTIFY__WEBHOOK_URL=http://127.0.0.1:9/never\n")
    ran = command(
        "replay", "--runs", "2", "--scenario", "slow drift", "--families", "linear",
        "--n-trials", "1", "--json", HOUSING_SOURCES__OPTIONS__SIMULATED__ROWS="600", **settings,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [run["number"] for run in found["runs"]] == [1, 2]
    assert "failed" not in {run["outcome"] for run in found["runs"]}
    home = Path(found["home"])
    assert home == tmp_path / "home" / "replays" / "1"
    assert Path(found["runs"][1]["report"]).is_relative_to(home)
    assert not (tmp_path / "home" / "housing.db").exists(), "the installation's own is not touched"
    assert "127.0.0.1:9" not in ran.stderr


def test_a_scenario_that_is_not_there(command: Command) -> None:
    ran = command("replay", "--scenario", "earthquake")
    assert ran.returncode == 2
    assert "calm, slow drift" in ran.stderr
