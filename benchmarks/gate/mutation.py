"""Does a test fail when the gate's code is wrong? Every comparison and constant, flipped once.

In a copy of the project each module of the gate is changed in one place at a time, and the tests
of that module are run until the first failure. A change that no test notices has survived. The
changes: a comparison at its border (< and <=), a comparison turned round (< and >), `and` and
`or`, a dropped `not`, `min` and `max`, `any` and `all`, + and -, a number by one. Not changed:
texts, subscripts, digits to which a figure is rounded for people.

A mutant takes about a second: each runs in a fork of one process that has the libraries
imported and the tests compiled. What survives and cannot matter is named with its reason in
EQUIVALENT.

    python -m benchmarks.gate.mutation [--module gate/rules]
"""

import argparse
import ast
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gate import results

ROOT = Path(__file__).parents[2]
TIMEOUT = 120  # seconds; a mutant that hangs is noticed by that

HERE = "tests/housing/gate"


def _tests(*names: str) -> tuple[str, ...]:
    """The module's own tests first, then what asks all checks together."""
    return tuple(f"{HERE}/test_{name}.py" for name in (*names, "check", "needs"))


MODULES = {
    "gate/rules": _tests("model_checks", "power"),
    "gate/check": _tests(),
    "gate/data_checks": _tests("data_checks"),
    "gate/model_checks": _tests("model_checks"),
    "gate/part_checks": _tests("part_checks"),
    "gate/service_checks": _tests("service_checks"),
    "gate/power": _tests("power"),
    "gate/replay": _tests("replay"),
    "gate/gather": _tests("gather", "evidence"),
    "gate/policy": _tests("policy", "part_checks", "data_checks"),
    "gate/words": _tests("model_checks", "part_checks"),
    "evaluation/compare": (
        "tests/housing/evaluation/test_compare.py",
        *_tests("part_checks", "gather"),
    ),
    "evaluation/drift": ("tests/housing/evaluation/test_drift.py", *_tests("data_checks")),
    "evaluation/metrics": (
        "tests/housing/evaluation/test_metrics.py",
        "tests/housing/evaluation/test_compare.py",
    ),
    "evaluation/nearness": (
        "tests/housing/evaluation/test_nearness.py",
        "tests/housing/evaluation/test_compare.py",
    ),
}
EQUIVALENT: Mapping[tuple[str, str, str], str] = {
    ("gate/rules", "LtE -> Lt", "if len(history) <= most:"): (
        "both ways give the whole history where there are as many as are asked for"
    ),
}
"""Survivors that change nothing that anyone could see: module, change, line -> why."""
BORDER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
TURNED = {
    ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
UNTOUCHED = ("round", "percent", "roughly")  # calls whose numbers are for people
SIGNS = {ast.Add: ast.Sub, ast.Sub: ast.Add}


@dataclass(frozen=True)
class Mutant:
    """One changed place; `source` is the whole module with it."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    count = len(list(_places(ast.parse(source))))
    for number in range(count):
        tree = ast.parse(source)
        node, change, apply = list(_places(tree))[number]
        apply()
        yield Mutant(node.lineno, change, ast.unparse(ast.fix_missing_locations(tree)))


def _places(tree: ast.AST) -> Iterator[tuple[Any, str, Any]]:
    """Nodes that can be changed, what the change is, and how it is made."""
    for node in _code(tree):
        if isinstance(node, ast.Compare):
            for i, op in enumerate(node.ops):
                for table in (BORDER, TURNED):
                    if new := table.get(type(op)):
                        change = f"{type(op).__name__} -> {new.__name__}"
                        yield node, change, _setter(node.ops, i, new())
        elif isinstance(node, ast.BoolOp):
            new_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield node, f"-> {type(new_op).__name__}", _attribute(node, "op", new_op)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, "not dropped", _attribute(node, "op", ast.UAdd())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield node, "minus dropped", _attribute(node, "op", ast.UAdd())
        elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
            new = SIGNS[type(node.op)]
            yield node, f"-> {new.__name__}", _attribute(node, "op", new())
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMES:
            name = NAMES[node.func.id]
            yield node, f"-> {name}", _attribute(node.func, "id", name)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            value = node.value + 1 if isinstance(node.value, int) else node.value * 1.1 + 0.001
            yield node, f"{node.value} -> {value:g}", _attribute(node, "value", value)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but texts for people, annotations and subscripts; of a Field its default alone."""
    yield tree
    children: list[ast.AST] = list(ast.iter_child_nodes(tree))
    if isinstance(tree, ast.JoinedStr | ast.Subscript):
        children = []
    elif isinstance(tree, ast.Call):
        name = getattr(tree.func, "id", getattr(tree.func, "attr", ""))
        if name == "Field":
            default = [k.value for k in tree.keywords if k.arg == "default"]
            children = [*tree.args[:1], *default]
        elif name in UNTOUCHED:
            children = []
    elif isinstance(tree, ast.AnnAssign):
        children = [tree.value] if tree.value is not None else []
    elif isinstance(tree, ast.arg):
        children = []
    for child in children:
        yield from _code(child)


def _setter(items: list[Any], index: int, value: Any) -> Any:
    return lambda: items.__setitem__(index, value)


def _attribute(node: Any, name: str, value: Any) -> Any:
    return lambda: setattr(node, name, value)


def noticed(folder: Path, tests: tuple[str, ...]) -> bool:
    """Whether a test fails in the copy; in a fork, so that libraries are imported once."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _silence()
            os.chdir(folder)
            sys.path.insert(0, str(folder))
            import pytest

            # No plugins but the one that is needed: they would be half of the time.
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header"]
            options += ["-p", "_hypothesis_pytestplugin", "-p", "pytest_timeout"]
            # The fixtures of the whole suite start servers, which no test of the gate needs.
            options += ["--confcutdir", "tests/housing"]
            # hypothesis is imported already, which its plugin would warn about.
            options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
            os._exit(int(pytest.main([*options, *tests])))
        os._exit(99)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(TIMEOUT)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return status != 0


def _silence() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def copy_of_the_project(folder: Path) -> None:
    """What the tests need, without anything that is not under version control."""
    for name in ("housing", "tests", "deployments", "flows", "tasks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def preload() -> None:
    """Third-party libraries, once for all forks; nothing of ours, which is what changes."""
    import hypothesis  # noqa: F401
    import matplotlib  # noqa: F401
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import pytest  # noqa: F401
    import scipy.sparse
    import scipy.spatial
    import scipy.stats  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import sqlalchemy  # noqa: F401


def main() -> int:
    """Change, test and keep what survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", choices=list(MODULES), action="append")
    options = parser.parse_args()
    preload()
    sys.path[:] = [p for p in sys.path if p not in ("", str(ROOT))]
    for name in [n for n in sys.modules if n.split(".")[0] in ("housing", "tests")]:
        del sys.modules[name]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_of_the_project(folder)
        for module in options.module or MODULES:
            found = _module(folder, module)
            # Kept module by module: a run that is cut off, or another beside it, loses nothing.
            results.save("mutation", {"modules": {**_kept(), module: found}})
    return 0


def _kept() -> dict[str, Any]:
    try:
        modules: dict[str, Any] = results.load("mutation")["modules"]
    except FileNotFoundError:
        return {}
    return modules


def _module(folder: Path, module: str) -> dict[str, Any]:
    path = folder / "housing" / f"{module}.py"
    source = path.read_text()
    sys.dont_write_bytecode = False  # the tests are compiled once
    if noticed(folder, MODULES[module]):
        raise SystemExit(f"{module}: its tests fail without any change; nothing can be said")
    sys.dont_write_bytecode = True  # a mutant never is: two of one second could be mixed up
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    survived, count = [], 0
    for mutant in mutants(source):
        count += 1
        path.write_text(mutant.source)
        if not noticed(folder, MODULES[module]):
            line = source.splitlines()[mutant.line - 1].strip()
            why = EQUIVALENT.get((module, mutant.change, line), "")
            survived.append(
                {"line": mutant.line, "change": mutant.change, "code": line, "why": why}
            )
            print(f"  survived: {module}:{mutant.line} {mutant.change}: {line}", flush=True)
    path.write_text(source)
    print(f"{module}: {count} mutants, {len(survived)} survived", flush=True)
    return {"mutants": count, "survived": survived}


if __name__ == "__main__":
    sys.exit(main())
