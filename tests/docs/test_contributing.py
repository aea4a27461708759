"""The five recipes of CONTRIBUTING.md, each tried as it stands there."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone

from housing import schema
from housing.gate.check import CHECKS, judge
from housing.gate.evidence import Contender, Evidence
from housing.gate.policy import GatePolicy
from housing.notify import NOTIFIERS, Message, NotifySettings, send_all
from housing.settings import load_settings
from housing.sources import SOURCES
from housing.sources.simulated.scenarios import simulate
from housing.steps.intake import bring_in
from housing.store.opening import open_store
from housing.training.candidates import CANDIDATES
from housing.training.plan import SearchPlan
from housing.training.search import run_search

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def recipe(heading: str) -> dict[str, Any]:
    """Run the Python block below a heading; returns its names."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    block = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(block[1], heading, "exec"), names)
    return names


def test_a_data_source(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "feather", recipe("Add a data source")["Feather"])  # type: ignore[arg-type]
    monkeypatch.setattr("housing.settings.SOURCE_NAMES", tuple(SOURCES))
    monkeypatch.setenv("HOUSING_SOURCE", "feather")
    settings = load_settings()
    assert settings.landing_dir is not None
    settings.landing_dir.mkdir(parents=True)
    simulate(200, 0).to_feather(settings.landing_dir / "a.feather")
    with open_store(settings) as store:
        assert bring_in(store, settings, run=None).accepted == 200
        assert bring_in(store, settings, run=None).stored == 0


def test_a_derived_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    from housing.features import preprocess

    added = recipe("Add a derived feature")["PEOPLE_PER_ROOM"]
    monkeypatch.setattr(preprocess, "RATIOS", (*preprocess.RATIOS, added))
    frame = simulate(200, 0)
    fitted = preprocess.recipe(0).fit(frame[list(schema.FEATURES)], frame[schema.TARGET])
    assert any("people_per_room" in name for name in fitted.get_feature_names_out())


def test_a_model_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CANDIDATES, "lasso", recipe("Add a model family")["LASSO"])  # type: ignore[arg-type]
    frame = simulate(300, 0)
    X, y = frame[list(schema.FEATURES)], frame[schema.TARGET]
    plan = SearchPlan(families=("lasso",), n_iter=2, folds=2, n_jobs=1)
    trials = run_search(X, y, plan).trials
    assert [trial.error for trial in trials] == ["", ""]
    assert clone(CANDIDATES["lasso"].build(0)) is not None


def test_a_gate_check() -> None:
    check = recipe("Add a gate check")["FreshRows"]()
    contender = Contender(1, "a" * 64, 10, 0, 0, 0, None)
    evidence = Evidence(1, 1000, read_rows=0, rejected_rows=0, challenger=contender)
    verdict = judge(evidence, GatePolicy(), (*CHECKS, check))
    found = {result.name: result.outcome for result in verdict.checks}
    assert found["fresh-rows"] == "unsure"


def test_a_notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("logger") is None:
        pytest.skip("there is no program `logger` on this machine")
    notifier = recipe("Add a notifier")["to_command"]
    monkeypatch.setitem(NOTIFIERS, "command", notifier)  # type: ignore[arg-type]
    failed = send_all(Message("kept", "All is well.", "r1"), NotifySettings())
    assert failed in ((), ("command",)), "where no log daemon runs, the failure is named"
