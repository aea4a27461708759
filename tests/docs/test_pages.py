"""The docs say what the code does: made pages are fresh, commands exist, links lead somewhere."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.generate_docs import PAGES
from housing import schema
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import OPEN, PREFIX, SHORT, fields_by_name
from housing.store.database.engine import Store
from housing.store.database.tables import metadata

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "node_modules" not in path.parts
)


@pytest.mark.parametrize("name", PAGES)
def test_pages_made_from_the_code_are_fresh(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run `make docs`"


def _commands() -> list[tuple[str, str]]:
    found = []
    for path in [path for path in TEXTS if path.name not in PAGES]:
        text = path.read_text()
        blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
        lines = [line[2:] for block in blocks for line in block.splitlines() if line[:2] == "$ "]
        lines += re.findall(r"`(housing [^`]+)`", text)
        found += [(path.name, line.split("  #")[0].strip()) for line in lines]
    return sorted({pair for pair in found if pair[1].startswith("housing ")})


@pytest.mark.parametrize(("page", "line"), _commands())
def test_each_command_of_the_docs_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: there is no command {line!r}"
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("-"):
            assert word in options, f"{page}: {line!r} has no option {word}"


# What must have been done before, and the exit code of a finding (b3 is quarantined).
FIRST = {"housing backup verify": ["backup", "create"]}
TELLS = {"housing monitor": 3}


def _readme_commands() -> list[str]:
    """Those of the README, but for `retrain` and `serve` (which tests elsewhere run) and the
    batches of its table."""
    lines = [line for page, line in _commands() if page == "README.md"]
    return [line for line in lines if not re.search(r"retrain|serve|\bb7\b", line)]


@pytest.mark.parametrize("line", _readme_commands())
def test_each_command_of_the_readme_runs(
    line: str, populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(populated_home, home)
    for name in [n for n in os.environ if n.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOUSING_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    simulate(20, seed=1).drop(columns=schema.TARGET).to_csv("districts.csv", index=False)
    if line in FIRST:
        CliRunner().invoke(app, FIRST[line], catch_exceptions=False)
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == TELLS.get(line, 0), result.output
    assert result.output.strip()


def test_each_make_target_of_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for path in TEXTS:
        named = set(re.findall(r"[`$] ?make ([a-z]+)", path.read_text()))
        assert named <= targets, f"{path.name}: {named - targets}"


def test_each_setting_of_the_docs_exists() -> None:
    settings = set(fields_by_name())
    groups = {name.rpartition("__")[0] for name in settings}
    for path in [path for path in TEXTS if path.name != "CHANGELOG.md"]:
        for name in re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", path.read_text()):
            declared = any(name.startswith(f"{mapping}__") for mapping in OPEN)
            assert declared or name in settings | groups | SHORT, f"{path.name}: {name}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_database_page_names_every_table_and_view(store: Store) -> None:
    page = (ROOT / "docs" / "database.md").read_text()
    with store.read() as connection:
        views = sa.inspect(connection).get_view_names()
    for name in (*metadata.tables, *views):
        assert f"| `{name}` |" in page, name
