"""Expected errors travel between processes: every class survives pickling with its message."""

import pickle
import re
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

from housing.errors import HousingError

ROOT = Path(__file__).parents[2]


def _classes() -> list[type[HousingError]]:
    """HousingError and every class derived from it, in whatever module of the project."""
    bases = {
        (path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."), name): base
        for package in ("housing", "tasks", "flows", "deployments")
        for path in sorted((ROOT / package).rglob("*.py"))
        for name, base in re.findall(r"^class (\w+)\((\w+)\):", path.read_text(), re.MULTILINE)
    }
    names = {"HousingError"}
    while new := {name for (_, name), base in bases.items() if base in names} - names:
        names |= new
    own = [getattr(import_module(module), name) for module, name in bases if name in names]
    return [HousingError, *own]


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_with_its_message(kind: type[HousingError]) -> None:
    fields = [(name, spec) for _, name, spec, _ in Formatter().parse(kind.template) if name]
    facts = {name: 3.0 if spec else f"<{name}>" for name, spec in fields}
    error = kind(**facts)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.facts) == (str(error), facts)
