"""The recipes of CONTRIBUTING.md, each followed word by word in a fresh copy of the project."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^## (Add a .*)$", PAGE, flags=re.MULTILINE)
COPIED = ("housing", "flows", "tasks", "deployments", "tests", "pyproject.toml")


def blocks(heading: str) -> Iterator[tuple[str, str, str]]:
    """File, place in it and code of each Python block below a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    for block in re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL):
        first, code = block.split("\n", 1)
        file, _, place = first.removeprefix("# ").partition(", ")
        yield file, place, code


def copy_of_the_project(folder: Path) -> Path:
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def follow(project: Path, heading: str) -> list[str]:
    """Do what a recipe says; returns the files that it names."""
    files = []
    for file, place, code in blocks(heading):
        path = project / file
        files.append(file)
        assert path.exists() == bool(place), f"{file}: a new file has no place, another has one"
        path.write_text(_with(path.read_text(), place, code) if place else code)
    return list(dict.fromkeys(files))


def _with(module: str, place: str, code: str) -> str:
    """A module with code above a registry, in it or at the end; imports go to the top."""
    imports = re.match(r"((from|import) .*\n|\n)*", code)
    assert imports is not None
    lines, code = module.splitlines(), code[imports.end() :].rstrip()
    preposition, _, registry = place.rpartition(" ")
    if preposition == "above":
        lines[_registry(module, registry).lineno - 1 : 0] = [code, "", ""]
    elif preposition == "in":
        lines[(_registry(module, registry).end_lineno or 0) - 1 : 0] = [code]
    else:
        assert place == "at the end"
        lines += ["", "", code]
    first = next(node for node in ast.parse(module).body if isinstance(node, ast.ImportFrom))
    lines.insert(first.lineno - 1, imports.group())
    return "\n".join(lines) + "\n"


def _registry(module: str, name: str) -> ast.stmt:
    return next(
        node
        for node in ast.parse(module).body
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == name
    )


def run(project: Path, *command: str) -> None:
    """Run a module's program in the copy."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_recipe_has_one_registry_line_and_one_test() -> None:
    assert len(RECIPES) == 5
    for heading in RECIPES:
        found = [(file, place.partition(" ")[0]) for file, place, _ in blocks(heading)]
        assert sorted(place for _, place in found if place) in (
            ["in"],
            ["above", "in"],
            ["at", "in"],
        )
        assert sum(file.startswith("tests/") for file, _ in found) == 1
        assert len({file for file, _ in found}) <= 3


@pytest.mark.system
@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_works_as_it_stands(tmp_path: Path, heading: str) -> None:
    project = copy_of_the_project(tmp_path / "project")
    files = follow(project, heading)
    run(project, "ruff", "check", "-q", "--fix", "--select", "I", *files)
    run(project, "ruff", "format", "-q", *files)
    run(project, "ruff", "check", *files)
    added = next(file for file in files if file.startswith("tests/"))
    run(project, "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", added)


EVERYWHERE = """
from housing import schema
from housing.problems.california.features import COVARIATES, LOGS, RATIOS
from housing.inference.fast_predictor import predictor
from housing.records import Candidate, Member
from housing.problems.california.simulated.scenarios import simulate
from housing.store.models import artifacts
from housing.training.fit import fit_members

assert (RATIOS[-1].name, LOGS[-1].name) == ("people_per_room", "log_age")
assert COVARIATES[-1] is LOGS[-1]
rows = simulate(400, 0)
X, y = rows[list(schema.FEATURES)].astype(schema.dtypes(schema.FEATURES)), rows[schema.TARGET]
for family, name in (("boosting", "ratios__people_per_room"), ("linear", "logs__log_age")):
    model = fit_members(X, y, [Member(Candidate(0, family, {}), 1)]).model
    assert name in model[:-1].get_feature_names_out(), name
    artifacts.check_storable(model, X[:20], family)
    fast = predictor(model)
    assert fast.parts and fast.agrees(X)
"""


PEOPLE_PER_ROOM = """    Derived(
        "people_per_room", "people a room", "Crowded rooms are cheaper",
        ("population", "total_rooms"), ratio,
    ),"""


@pytest.mark.system
def test_a_feature_may_stand_at_the_end_of_each_registry(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path / "project")
    follow(project, "Add a derived feature")
    module = project / "housing" / "problems" / "california" / "features.py"
    for registry, row in (("RATIOS", PEOPLE_PER_ROOM), ("COVARIATES", '    _BY_NAME["log_age"],')):
        module.write_text(_with(module.read_text(), f"in {registry}", row))
    (project / "everywhere.py").write_text(EVERYWHERE)
    run(project, "everywhere")
