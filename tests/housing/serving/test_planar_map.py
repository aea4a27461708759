"""The map of a problem whose coordinates are already distances."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.plain_home import ROOT, environment
from tests.fixtures.planar_problem import plots

pytestmark = pytest.mark.system


def _found(home: Path, moved: float) -> dict[str, Any]:
    values = environment(home) | {"HOUSING_PROBLEM": "tests.fixtures.planar_problem"}
    command = [sys.executable, "-m", "tests.fixtures.planar_problem", str(moved)]
    done = subprocess.run(
        command, env=values, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_planar_map_has_its_own_unit_and_straight_distances(tmp_path: Path) -> None:
    found = _found(tmp_path / "here", 0)
    form = {name: found["form"][name] for name in ("columns", "unit", "ratio")}
    assert form == {"columns": ["easting", "northing"], "unit": "m", "ratio": 1.0}
    given = {(x, y): value for x, y, value in plots(0)[["easting", "northing", "yield"]].to_numpy()}
    shown = zip(found["map"]["x"], found["map"]["y"], found["map"]["value"], strict=True)
    assert all(given[x, y] == pytest.approx(value) for x, y, value in shown)
    nearest = found["nearest"]
    away = np.hypot(np.array(found["map"]["x"]) - 120.5, np.array(found["map"]["y"]) - 80.25)
    assert nearest["distance"] == pytest.approx(away.min())
    assert not found["prediction"]["extrapolates"]
    moved = _found(tmp_path / "there", 64_000)  # a shift that is exact in binary
    assert moved["nearest"]["distance"] == pytest.approx(nearest["distance"])
    assert moved["nearest"]["row"]["easting"] == nearest["row"]["easting"] + 64_000
    assert not moved["prediction"]["extrapolates"]
