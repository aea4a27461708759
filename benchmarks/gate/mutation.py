"""Does a test fail when the gate's code is wrong? Every comparison and constant, changed once.

In a copy of the project each module of the gate is changed in one place at a time (`mutants`)
and the tests of that module are run until the first failure. A change that none notices survives.
One that never comes to an end is told by processor time, which a busy machine does not use up,
and is counted by itself: no test has said anything about it. Examples that hypothesis draws are
the same for every mutant, and no test is held against the clock.

A mutant takes a second or two: each runs in a fork of one process that has the libraries
imported and the tests compiled. What survives and cannot matter is named with its reason in
EQUIVALENT. Fates are kept after every mutant, and a run that was cut goes on where it was; all but
those that a test noticed are tried again, as a test may have been written since.

    python -m benchmarks.gate.mutation [--module gate/rules] [--fresh]
"""

import argparse
import contextlib
import hashlib
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from benchmarks.gate import results
from benchmarks.gate.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
PATIENCE, LEAST = 3, 15
"""A mutant may take this many times the processor seconds of the tests without a change, and at
the least so many."""

WALL = 10
"""Wall seconds for each of these: a busy machine must not look like a mutant that hangs."""

HERE = "tests/housing/gate"


def _tests(*names: str) -> tuple[str, ...]:
    """The module's own tests first, then what asks all checks together."""
    return tuple(f"{HERE}/test_{name}.py" for name in (*names, "check", "needs"))


MODULES = {
    "gate/rules": _tests("model_checks", "power", "part_checks"),
    "gate/check": _tests(),
    "gate/data_checks": _tests("data_checks"),
    "gate/model_checks": _tests("model_checks"),
    "gate/part_checks": _tests("part_checks"),
    "gate/service_checks": _tests("service_checks"),
    "gate/power": _tests("power"),
    "gate/replay": _tests("replay"),
    "gate/gather": _tests("gather", "evidence"),
    "gate/policy": _tests("policy", "part_checks", "data_checks"),
    "gate/words": _tests("words", "model_checks", "part_checks"),
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
    ("gate/words", "Lt -> LtE", "if 0 < share < 0.0005:"): (
        "nothing at all reads as 0 % with one digit, two or three, and nobody asks for none"
    ),
    (
        "gate/gather",
        "-> Sub",
        "actual, actual + errors.champion[rows], policy.confidence, errors.places.of(rows)",
    ): ("the figures of a model are made of how far it is from the truth, not on which side"),
    (
        "evaluation/nearness",
        "1 -> 2",
        "low, span = where.min(axis=0), np.ptp(where, axis=0) + 1",
    ): ("with a longer row the same cells are numbered in the same order, and read back alike"),
    ("gate/words", "Gt -> GtE", 'direction = "above" if comparison.effect > 0 else "below"'): (
        "an effect of zero has been answered in the line before"
    ),
}
"""Survivors that change nothing that anyone could see: module, change, line -> why."""
Fate = Literal["failed", "survived", "out of time"]
LETTERS: Mapping[Fate, str] = {"failed": "f", "survived": "s", "out of time": "t"}
"""How fates are kept: a letter a mutant, in the order of `mutants`; a blank: not tried."""


def fate(folder: Path, tests: tuple[str, ...], most: int) -> tuple[Fate, float]:
    """What the tests say in the copy, and their processor seconds, of which `most` are allowed.

    In a fork, so that libraries are imported once. RuntimeError: the tests could not be run.
    """
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _tested(folder, tests, most)
        os._exit(99)
    late: list[bool] = []

    def stop(*_: Any) -> None:
        late.append(True)
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(WALL * most)
    _, status, used = os.wait4(child, 0)
    signal.alarm(0)
    seconds = used.ru_utime + used.ru_stime
    code = os.waitstatus_to_exitcode(status)
    if late or code == -signal.SIGXCPU:
        return "out of time", seconds
    # 1: a test failed; 2: the tests could not be collected, as the module could not be imported.
    if code not in (0, 1, 2):
        raise RuntimeError(f"the tests ended with {code}: that says nothing about a mutant")
    return "survived" if code == 0 else "failed", seconds


def said_of(folder: Path, module: str, most: int) -> tuple[Fate, float]:
    """`fate` by the module's own tests and, where they notice nothing, by the others."""
    tests, seconds = MODULES[module], 0.0
    for part in (tests[:1], tests[1:]):
        said, took = fate(folder, part, most)
        seconds += took
        if said != "survived":
            break
    return said, seconds


def _tested(folder: Path, tests: tuple[str, ...], most: int) -> None:
    """Run the tests and leave the process with pytest's exit code."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    import pytest

    # No plugins but the one that is needed: they would be half of the time.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header"]
    options += ["-p", "_hypothesis_pytestplugin", "-p", "pytest_timeout"]
    options += ["--hypothesis-profile", "ci", "--timeout", "0"]
    # The fixtures of the whole suite start servers, which no test of the gate needs.
    options += ["--confcutdir", "tests/housing"]
    # hypothesis is imported already, which its plugin would warn about.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    os._exit(int(pytest.main([*options, *tests])))


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


def digest(module: str, folder: Path = ROOT) -> str:
    """By which a result is known to be of the module as it is."""
    return hashlib.sha256((folder / "housing" / f"{module}.py").read_bytes()).hexdigest()[:16]


def main() -> int:
    """Change, test and keep what survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", choices=list(MODULES), action="append")
    parser.add_argument("--fresh", action="store_true", help="forget what was found before")
    options = parser.parse_args()
    preload()
    sys.path[:] = [p for p in sys.path if p not in ("", str(ROOT))]
    for name in [n for n in sys.modules if n.split(".")[0] in ("housing", "tests")]:
        del sys.modules[name]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_of_the_project(folder)
        for module in options.module or MODULES:
            _module(folder, module, "" if options.fresh else _fates(module, folder))
    return 0


def _kept() -> dict[str, Any]:
    try:
        modules: dict[str, Any] = results.load("mutation")["modules"]
    except FileNotFoundError:
        return {}
    return modules


def _fates(module: str, folder: Path) -> str:
    """What is known of the module as it is: a letter a mutant, as far as they were tried."""
    found = _kept().get(module, {})
    return str(found.get("fates", "")) if found.get("source") == digest(module, folder) else ""


def _keep(module: str, found: Mapping[str, Any]) -> None:
    """Keep one module's figures: another run beside this one, or a cut, loses nothing."""
    results.save("mutation", {"modules": {**_kept(), module: dict(found)}}, quiet=True)


def _left(changed: list[Mutant], fates: list[str], source: str) -> Iterator[dict[str, Any]]:
    """Of the mutants that were tried, those that no test noticed."""
    names = {letter: name for name, letter in LETTERS.items() if name != "failed"}
    lines = source.splitlines()
    for mutant, letter in zip(changed, fates, strict=True):
        if letter in names:
            line = lines[mutant.line - 1].strip()
            yield {
                "line": mutant.line,
                "change": mutant.change,
                "code": line,
                "fate": names[letter],
            }


def _module(folder: Path, module: str, before: str) -> None:
    path = folder / "housing" / f"{module}.py"
    source, version = path.read_text(), digest(module, folder)
    sys.dont_write_bytecode = False  # the tests are compiled once
    said, seconds = said_of(folder, module, 3600)
    if said != "survived":
        raise SystemExit(f"{module}: its tests fail without any change; nothing can be said")
    most = max(LEAST, round(PATIENCE * seconds))
    sys.dont_write_bytecode = True  # a mutant never is: two of one second could be mixed up
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    changed = list(mutants(source))
    fates = list(before.ljust(len(changed)))
    for number, mutant in enumerate(changed):
        if fates[number] == LETTERS["failed"]:
            continue
        path.write_text(mutant.source)
        said, _ = said_of(folder, module, most)
        fates[number] = LETTERS[said]
        left = list(_left(changed, fates, source))
        if said != "failed":
            line = source.splitlines()[mutant.line - 1].strip()
            print(f"  {said}: {module}:{mutant.line} {mutant.change}: {line}", flush=True)
        found = {"source": version, "mutants": len(changed), "fates": "".join(fates), "left": left}
        _keep(module, found)
    path.write_text(source)
    counts = ", ".join(f"{fates.count(letter)} {name}" for name, letter in LETTERS.items())
    print(f"{module}: {len(changed)} mutants: {counts}; {most} processor seconds each", flush=True)


if __name__ == "__main__":
    sys.exit(main())
