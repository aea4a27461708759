"""Figures are kept whole, with machine and time, and read back equal."""

import json

import numpy as np

from benchmarks import results


def test_figures_are_read_back_equal_and_name_their_machine(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    figures = {"share": np.float64(0.25), "many": list(range(500)), "deep": [{"a": [1, None]}] * 40}
    results.save("trial", figures)
    found = results.load("trial")
    assert {name: found[name] for name in figures} == figures
    assert found["benchmark"] == "trial"
    assert found["machine"]["python"]
    assert [file.name for file in tmp_path.iterdir()] == ["trial.json"]


def test_lines_of_kept_figures_stay_readable() -> None:
    value = {"many": list(range(500)), "rows": [{"name": "x" * 30, "ours": 1.5}] * 20}
    text = results.dumped(value)
    assert json.loads(text) == value
    assert max(map(len, text.splitlines())) <= results.WIDTH + 10


def test_a_soak_keeps_its_figures_only_where_that_is_asked(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.delenv("KEEP_FIGURES", raising=False)
    results.save_if_asked("soak", {"files": 1})
    assert results.load("soak") is None
    monkeypatch.setenv("KEEP_FIGURES", "1")
    results.save_if_asked("soak", {"files": 1})
    assert results.load("soak")["files"] == 1
