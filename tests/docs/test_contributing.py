"""The five recipes of CONTRIBUTING.md, each tried as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone

import housing
from housing import schema
from housing.gate.check import CHECKS, judge
from housing.gate.evidence import Evidence, ModelMetrics
from housing.gate.policy import GatePolicy
from housing.notify import NOTIFIERS, Message, NotifySettings, send_all
from housing.pipeline import ingest
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import load_settings
from housing.sources import SOURCES
from housing.store.database.open import open_store
from housing.training.candidates import FAMILIES
from housing.training.search import run_search
from housing.training.search_config import SearchPlan

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(heading: str) -> list[str]:
    """The Python blocks below a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


def recipe(heading: str) -> dict[str, Any]:
    """Run the first Python block below a heading; returns its names."""
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(blocks(heading)[0], heading, "exec"), names)
    return names


def test_a_data_source(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "feather", recipe("Add a data source")["Feather"])  # type: ignore[arg-type]
    monkeypatch.setenv("HOUSING_SOURCES__NAMES", "feather")
    settings = load_settings()
    assert settings.sources.landing_dir is not None
    settings.sources.landing_dir.mkdir(parents=True)
    simulate(200, 0).to_feather(settings.sources.landing_dir / "a.feather")
    with open_store(settings) as store:
        assert ingest.ingest(store, settings, run=None).accepted == 200
        assert ingest.ingest(store, settings, run=None).stored == 0


def test_a_derived_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    from housing.problems.california import models

    added = recipe("Add a derived feature")["PEOPLE_PER_ROOM"]
    monkeypatch.setattr(models, "RATIOS", (*models.RATIOS, added))
    frame = simulate(200, 0)
    fitted = models.reference(0).fit(frame[list(schema.FEATURES)], frame[schema.TARGET])
    assert any("people_per_room" in name for name in fitted.get_feature_names_out())


ADDED = """
from housing import schema
from housing.problems.california.features import COVARIATES, LOGS, RATIOS
from housing.records import Candidate, Member
from housing.problems.california.simulated.scenarios import simulate
from housing.pipeline.train import check_families
from housing.store.models import artifacts
from housing.training.fit import fit_members
from housing.training.search_config import SearchPlan
from housing.inference.fast_predictor import predictor

assert (RATIOS[-1].name, LOGS[-1].name) == ("people_per_room", "log_age")
assert [column.name for column in COVARIATES] == [
    "east", "north", "log_income", "age", "log_rooms_per_house", "log_people_per_house",
    "bedrooms_per_room", "log_population", "people_per_room",
]
rows = simulate(400, 0)
X, y = rows[list(schema.FEATURES)].astype(schema.dtypes(schema.FEATURES)), rows[schema.TARGET]
check_families(SearchPlan(families=("boosting", "linear")), X, y)
for family, name in (("boosting", "ratios__people_per_room"), ("linear", "logs__log_age")):
    model = fit_members(X, y, [Member(Candidate(0, family, {}), 1)]).model
    assert name in model[:-1].get_feature_names_out(), name
    artifacts.check_storable(model, X[:20], family)
    fast = predictor(model)
    assert fast.parts and fast.agrees(X)
print("all is well")
"""


@pytest.mark.system
def test_features_at_the_end_of_registries_and_one_with_a_function_of_its_own(
    tmp_path: Path,
) -> None:
    """The recipe is followed in a copy of the package, word by word."""
    shutil.copytree(Path(housing.__file__).parent, tmp_path / "housing")
    module = tmp_path / "housing" / "problems" / "california" / "features.py"
    text = module.read_text(encoding="utf-8")
    ours = "\n".join(blocks("Add a derived feature"))
    ours = re.sub(r"^from housing.features.derived .*\n|^import numpy .*\n", "", ours, flags=re.M)
    assert text.count("_SKEWED = ") == 1
    text = text.replace("_SKEWED = ", f"{ours}\n_SKEWED = ")
    for registry, name in (
        ("RATIOS", "PEOPLE_PER_ROOM"), ("LOGS", "LOG_AGE"), ("COVARIATES", "PEOPLE_PER_ROOM"),
    ):  # fmt: skip
        head, tail = text.split(f"\n{registry}: tuple[Derived, ...] = (\n")
        rows, rest = tail.split("\n)", 1)
        text = f"{head}\n{registry}: tuple[Derived, ...] = (\n{rows}\n    {name},\n){rest}"
    module.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ADDED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "HOUSING_HOME": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "all is well\n", done.stderr


def test_a_model_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "lasso", recipe("Add a model family")["LASSO"])  # type: ignore[arg-type]
    frame = simulate(300, 0)
    X, y = frame[list(schema.FEATURES)], frame[schema.TARGET]
    plan = SearchPlan(families=("lasso",), n_trials=2, folds=2, n_jobs=1)
    trials = run_search(X, y, plan).trials
    assert [trial.error for trial in trials] == ["", ""]
    assert clone(FAMILIES["lasso"].build(0)) is not None


def test_a_gate_check() -> None:
    check = recipe("Add a gate check")["FreshRows"]()
    contender = ModelMetrics(1, "a" * 64, 10, 0, 0, 0, None)
    evidence = Evidence(1, 1000, read_rows=0, rejected_rows=0, challenger=contender)
    verdict = judge(evidence, GatePolicy(), (*CHECKS, check))
    found = {result.name: result.outcome for result in verdict.checks}
    assert found["fresh-rows"] == "inconclusive"


def test_a_notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("logger") is None:
        pytest.skip("there is no program `logger` on this machine")
    notifier = recipe("Add a notifier")["to_command"]
    monkeypatch.setitem(NOTIFIERS, "command", notifier)  # type: ignore[arg-type]
    failed = send_all(Message("kept", "All is well.", "r1"), NotifySettings())
    assert failed in ((), ("command",)), "where no log daemon runs, the failure is named"
