"""Rules about the code itself that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

from housing.schema import CATALOGUE

ROOT = Path(__file__).parents[1]
PACKAGES = ("housing", "tasks", "flows", "deployments")
MODULES = sorted(
    path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py")
)

MAY_SPELL_COLUMNS = ("housing/problems/california/",)


def _strings(tree: ast.AST) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_the_domain_spells_a_column_name(module: Path) -> None:
    if module.as_posix().startswith(MAY_SPELL_COLUMNS):
        return
    spelled = _strings(ast.parse((ROOT / module).read_text())) & set(CATALOGUE)
    assert not spelled, f"{module} spells {sorted(spelled)}; ask housing.schema instead"


HOUSE_WORDS = re.compile(
    r"district|(?<![a-z])houses?(?![a-z])|dollar|california|ocean|census|longitude|latitude"
    r"|(?<![a-z])prices?(?![a-z])",
    re.IGNORECASE,
)
"""Words of the worked problem; the package, the command and the prefix are called housing."""

MAY_SAY = {
    "housing/schema.py": {"california"},  # the module of the default problem
    "housing/problem.py": {"latitude", "longitude"},  # the projection
}

SOURCES = sorted(
    path.relative_to(ROOT)
    for name in PACKAGES
    for path in (ROOT / name).rglob("*")
    if path.suffix in (".py", ".html", ".js", ".css", ".mako", ".sql", ".json")
)


@pytest.mark.parametrize("file", SOURCES, ids=str)
def test_only_the_worked_problem_has_its_words(file: Path) -> None:
    """Code, templates, pages and scripts serve any table."""
    if file.as_posix().startswith("housing/problems/"):
        return
    text = (ROOT / file).read_text() + file.as_posix()
    found = {match.lower() for match in HOUSE_WORDS.findall(text)}
    assert not found - MAY_SAY.get(file.as_posix(), set()), file


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_each_module_says_what_belongs_in_it(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / module).read_text()))
    assert docstring, f"{module} has no docstring"


def test_only_the_settings_read_the_environment() -> None:
    """And of the orchestrator's variables one, the address of its UI (PREFECT_UI_URL)."""
    readers = [
        str(module)
        for module in MODULES
        if re.search(r"os\.environ|getenv", (ROOT / module).read_text())
        and module.parts[0] == "housing"
    ]
    assert readers == ["housing/schema.py", "housing/serve_options.py", "housing/settings.py"]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_name_is_imported_from_the_module_that_defines_it(module: Path) -> None:
    """No `from x import y as y`, which offers a name a second time."""
    tree = ast.parse((ROOT / module).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [
        alias.name for node in imports for alias in node.names if alias.asname == alias.name
    ]


SQL = re.compile(r"\bsa\.(select|insert|update|delete|text)\(|\.(insert|update|delete)\(\)")

STILL_WRITE_SQL = {
    "deployments/watchdog/missed_runs.py",
    "housing/operations/automatic_rollback.py",
    "housing/operations/backup.py",
    "housing/operations/doctor.py",
    "housing/operations/heal.py",
    "housing/operations/labelled_predictions.py",
    "housing/operations/mirror/objects.py",
    "housing/operations/monitor_inputs.py",
    "housing/operations/monitor_windows.py",
    "housing/operations/prune.py",
    "housing/operations/sign.py",
    "housing/pipeline/evidence_context.py",
    "housing/pipeline/notices.py",
    "housing/pipeline/promote.py",
    "housing/pipeline/rollback_readiness.py",
    "housing/pipeline/run_context.py",
    "housing/pipeline/skip_check.py",
    "housing/pipeline/training_evidence.py",
}
"""Modules whose queries belong in `housing.store`: no module may be added."""


def test_sql_is_written_in_the_store_only() -> None:
    """A source reads other databases; what else is listed is to be moved."""
    own = ("housing/store/", "housing/sources/sql.py")
    writers = {
        module.as_posix()
        for module in MODULES
        if not module.as_posix().startswith(own) and SQL.search((ROOT / module).read_text())
    }
    assert writers == STILL_WRITE_SQL


def test_the_nightly_flow_fits_on_one_screen() -> None:
    assert len((ROOT / "flows" / "nightly.py").read_text().splitlines()) <= 60


def test_no_path_of_one_machine_and_no_index_address_is_in_the_lock_files() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text, lock
        assert "--hash=sha256:" in text


def test_make_lock_writes_every_lock_file() -> None:
    makefile = (ROOT / "Makefile").read_text()
    written = re.findall(r"-o (requirements/\S+)", makefile.partition("\nlock:")[2])
    present = {f"requirements/{path.name}" for path in (ROOT / "requirements").glob("*.txt")}
    assert set(written) == present - {"requirements/team.txt"}
