"""docs/notebook.ipynb: each cell runs on a home, in order; it holds no output and no path."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]


def test_it_holds_no_output_and_no_path() -> None:
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert str(NOTEBOOK.parents[2]) not in NOTEBOOK.read_text()


def test_every_cell_runs_in_order(populated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSING_HOME", str(populated_home))
    names: dict[str, Any] = {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(cell["id"]), "exec"), names)
    assert list(names["models"]["model"]) == ["m2", "m1"]
    assert names["status"]["champion"]["model"] == f"m{names['champion'].id}"
    assert len(names["train"]) + len(names["test"]) <= len(names["rows"])
    assert names["profile"].test_rows == len(names["test"])
    assert names["trials"]["error"].min() > 0
    assert names["metric"] == "rmse"
    assert len(names["out_of_fold"]) == len(names["train"])
    assert names["again"].agrees
    assert len(names["predicted"]) == names["evidence"].test_rows
    assert len(names["shown"]) == len(names["test"])
    assert 0.5 < names["inside"] <= 1
    assert sum(map(abs, names["explained"].contributions.values())) > 0
    assert names["live"] == ()
