"""Columns may have any name: under names that the system uses too, everything stays the same."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.fixtures.plain_home import ROOT, environment
from tests.problems.names import CLASHING
from tests.problems.tables import TableMissing, diamonds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ADDED = ("predicted", "lower", "upper", "extrapolates", "model", "error")
TIMES = re.compile(r"\d+\.\d+ m?s\b|/\S+")


def used(problem: str, home: Path) -> str:
    """What a process prints that does everything with a table."""
    own = {
        "HOUSING_PROBLEM": f"tests.problems.names.{problem}",
        "HOUSING_SOURCES__NAMES": "landing",
    }
    command = [sys.executable, "-m", "tests.problems.own_process", "every-use", str(home)]
    done = subprocess.run(
        command, env=environment(home) | own, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return TIMES.sub("", done.stdout)


def test_names_of_columns_change_no_figure_and_no_file(tmp_path: Path) -> None:
    try:
        diamonds()
    except TableMissing as missing:
        pytest.skip(str(missing))
    plain, clashing = tmp_path / "plain", tmp_path / "clashing"
    plain.mkdir(), clashing.mkdir()
    assert used("clashing", clashing) == used("plain", plain)
    for name in ("predicted.csv", "sample.csv", "export/check.csv"):
        expected, found = (pd.read_csv(folder / name) for folder in (plain, clashing))
        kept = [CLASHING.get(column) for column in expected]
        assert [f for f, k in zip(found, kept, strict=True) if k] == [k for k in kept if k], name
        assert found.columns.is_unique
        pd.testing.assert_frame_equal(found.set_axis(expected.columns, axis=1), expected)
    added = list(pd.read_csv(clashing / "predicted.csv"))[-len(ADDED) :]
    taken = set(CLASHING.values())
    assert added == [f"{name}_" if name in taken else name for name in ADDED]
    facts = json.loads((clashing / "export" / "model.json").read_text())
    assert {feature["name"] for feature in facts["features"]} < taken
