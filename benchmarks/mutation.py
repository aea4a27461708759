"""Does a test fail when a module is wrong? cosmic-ray changes the module in one place at a time.

`make mutate MODULE="housing/gate/decision_rule housing/gate/power" [SAMPLE=30] [TESTS=tests/x.py]`
works on a copy of the project. The tests of a module are the mirrored ones,
`tests/<path>/test_<name>.py` (or `test_<name>_*.py`); without one, the files of that folder that
name the module, most mentions first. They run until the first failure. A mutant that takes more
than TIMES the seconds of the unchanged module is timed out and counted on its own. Cosmic-ray has
an environment of its own (requirements/mutation.txt) and is no part of the product's locks.
"""

import argparse
import ast
import hashlib
import os
import random
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.markdown import table

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "build/mutation/bin/cosmic-ray"
SAMPLE, SEED = 30, 1
TIMES, LEAST = 4, 60
"""Time limit of a mutant: TIMES the unchanged module's time, and at least LEAST seconds."""

OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not browser")
UNUSED = ("ReplaceBinaryOperator_BitOr", "RemoveDecorator")
"""Operators that mostly change annotations (`int | None`) and `@dataclass`: they show nothing."""

EQUIVALENT: Mapping[tuple[str, str], str] = {}
"""Survivors that change nothing that can be observed: (module, changed line) -> reason."""


def tests_of(module: str) -> list[str]:
    """The test files of a module, relative to the project; SystemExit where there are none."""
    path = ROOT / f"{module}.py"
    folder = ROOT / "tests" / path.relative_to(ROOT).parent
    own = sorted(folder.glob(f"test_{path.stem}.py")) or sorted(
        folder.glob(f"test_{path.stem}_*.py")
    )
    if not own:
        name = re.compile(rf"\b{path.stem}\b")
        counts = {file: len(name.findall(file.read_text())) for file in folder.glob("test_*.py")}
        own = sorted((file for file in counts if counts[file]), key=lambda file: -counts[file])
    if not own:
        raise SystemExit(f"{module}: no test in {folder} names it; name some with TESTS=")
    return [str(file.relative_to(ROOT)) for file in own]


def copy_project(folder: Path) -> None:
    """The files under version control, as they are in the working tree."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


class Session:
    """One module in a copy of the project: its mutants, a random sample of them, their fates."""

    def __init__(self, folder: Path, module: str, tests: list[str]) -> None:
        self.folder, self.module = folder, module
        self.database, self.config = folder / "session.sqlite", folder / "mutation.toml"
        self.command = shlex.join([sys.executable, "-m", "pytest", *OPTIONS, *tests])
        self.environment = {**os.environ, "PYTHONPATH": str(folder)}

    def seconds(self) -> float:
        """Of the tests of the unchanged module; SystemExit where they fail."""
        began = time.perf_counter()
        done = subprocess.run(
            shlex.split(self.command), cwd=self.folder, env=self.environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{self.module}: its tests fail unchanged:\n{done.stdout[-2000:]}")
        return time.perf_counter() - began

    def prepare(self, sample: int, timeout: float) -> int:
        """Plan all mutants, keep a random sample of them; the number of all."""
        self.config.write_text(
            f'[cosmic-ray]\nmodule-path = "{self.module}.py"\ntimeout = {timeout:.0f}\n'
            f"excluded-modules = []\ntest-command = {self.command!r}\n"
            '[cosmic-ray.distributor]\nname = "local"\n'
        )
        self._run("init")
        with closing(sqlite3.connect(self.database)) as database, database:
            where = "ORDER BY start_pos_row, start_pos_col, operator_name, occurrence"
            rows = database.execute(f"SELECT job_id, operator_name FROM mutation_specs {where}")
            jobs = [job for job, operator in rows if not any(name in operator for name in UNUSED)]
            chosen = random.Random(SEED).sample(jobs, min(sample, len(jobs)))
            marks = ",".join("?" * len(chosen))
            for name in ("mutation_specs", "work_items"):
                database.execute(f"DELETE FROM {name} WHERE job_id NOT IN ({marks})", chosen)
        return len(jobs)

    def execute(self) -> list[tuple[int, str, str, str, str]]:
        """Line, operator, diff, outcome and output of each mutant of the sample."""
        self._run("exec")
        query = """SELECT start_pos_row, operator_name, diff, test_outcome, output
            FROM mutation_specs JOIN work_results USING (job_id) ORDER BY 1, 2, 3"""
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(query).fetchall()

    def _run(self, step: str) -> None:
        command = [str(TOOL), step, str(self.config), str(self.database)]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)


def survivor(module: str, line: int, operator: str, diff: str) -> dict[str, Any]:
    """A mutant that no test noticed: the line before and after."""
    changed = [text for text in diff.splitlines() if re.match(r"[-+](?!--? |\+\+ )", text)]
    before, after = (
        " ".join(text[1:].strip() for text in changed if text[0] == sign) for sign in "-+"
    )
    found = {"line": line, "operator": operator.removeprefix("core/"), "before": before}
    return {**found, "after": after, "reason": EQUIVALENT.get((module, after), "")}


def measure(module: str, tests: list[str], sample: int) -> dict[str, Any]:
    """Mutate one module and count."""
    with tempfile.TemporaryDirectory(prefix="housing-mutation-") as name:
        folder = Path(name)
        copy_project(folder)
        session = Session(folder, module, tests)
        mutants = session.prepare(sample, max(LEAST, TIMES * session.seconds()))
        rows = session.execute()
    late = [row for row in rows if row[4] == "timeout"]
    left = [row for row in rows if row[3] != "KILLED"]
    return {
        "source": digest(module), "tests": tests, "mutants": mutants, "sample": len(rows),
        "noticed": len(rows) - len(late) - len(left), "timed_out": len(late),
        "survivors": [survivor(module, *row[:3]) for row in left],
    }  # fmt: skip


def digest(module: str) -> str:
    """Of the module's code without comments, docstrings and layout; "" where it is gone."""
    path = ROOT / f"{module}.py"
    code = ast.dump(ast.parse(path.read_text())) if path.is_file() else ""
    return hashlib.sha256(code.encode()).hexdigest()[:16] if code else ""


def counts(modules: Mapping[str, Any]) -> str:
    """The table: module, mutants, sample, noticed, timed out, equivalent, survivors."""
    rows = []
    for module, found in modules.items():
        alike = sum(bool(each["reason"]) for each in found["survivors"])
        figures = [found[n] for n in ("mutants", "sample", "noticed", "timed_out")]
        rows.append([f"`{module}`", *map(str, [*figures, alike, len(found["survivors"]) - alike])])
    head = ["module", "mutants", "sample", "noticed", "timed out", "equivalent", "survivors"]
    return table(head, rows) if rows else ""


def survivors(modules: Mapping[str, Any]) -> str:
    """A line for each survivor."""
    return "\n".join(
        f"- `{module}`, `{s['before']}` became `{s['after']}`: "
        f"{s['reason'] or '**a test is missing**'}"
        for module, found in modules.items()
        for s in found["survivors"]
    )


def main() -> None:
    """Mutate the named modules, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "modules", nargs="+", help="housing/gate/rules or housing/gate/decision_rule.py"
    )
    parser.add_argument("--sample", type=int, default=SAMPLE, help="mutants a module")
    parser.add_argument("--tests", nargs="*", help="these instead of the mirrored ones")
    parser.add_argument("--keep", action="store_true", help="as the figures of docs/gate.md")
    options = parser.parse_args()
    found = {}
    for module in (name.removesuffix(".py") for name in options.modules):
        found[module] = measure(module, options.tests or tests_of(module), options.sample)
        print(f"\n{counts(found)}\n\n{survivors(found)}", flush=True)
        if options.keep:
            kept = results.load("mutation") or {"modules": {}}
            modules = {**kept["modules"], module: found[module]}
            results.save("mutation", {"modules": dict(sorted(modules.items()))})
