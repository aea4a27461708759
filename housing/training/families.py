"""A model family: a builder, a search space, and what its library needs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sklearn.pipeline import Pipeline

EVERY_ROW = 2**62
"""No limit."""

LOCKED = {"lightgbm": "make extras", "catboost": "make catboost"}
"""Packages that have a lock file, and the command that installs it."""


@cache
def _missing(package: str) -> str:
    if find_spec(package) is None:
        how = LOCKED.get(package, f"python -m pip install {package}")
        return f"{package} is not installed; `{how}` installs it"
    try:
        import_module(package)
    except OSError as error:  # e.g. "libgomp.so.1: cannot open shared object file"
        library = re.match(r"(lib[\w+-]+)\.so\.?(\d*):", str(error))
        named = f"; install the system's package {library[1]}{library[2]}" if library else ""
        return f"{package} cannot be loaded ({error}){named}"
    return ""


def _small_cost(_parameters: Mapping[str, Any]) -> float:
    return 0.1


@dataclass(frozen=True)
class ModelFamily:
    """A model family.

    `build` takes the seed of everything random inside and returns an unfitted pipeline with the
    steps `preprocess` and `model`. `space` maps its parameter names to a list of values or to a
    scipy distribution. `cost` estimates one fit (seconds at 10,000 rows) from a candidate's
    parameters; it orders the work and estimates its time. `grid` has the values that a grid search
    combines; empty: those of `space`, where it holds only lists. `extra` is a package that only
    this family needs, and the name of the project's extra that installs it. `trusted` names types
    of other packages in its fitted models, e.g. "lightgbm.basic.Booster": they may be loaded.
    A model is fitted on at most `most_rows` rows, where time or memory grows faster than they do.
    """

    name: str
    build: Callable[[int], Pipeline]
    explanation: str
    space: Mapping[str, Any] = field(default_factory=dict)
    cost: Callable[[Mapping[str, Any]], float] = _small_cost
    extra: str = ""
    trusted: tuple[str, ...] = ()
    most_rows: int = EVERY_ROW
    grid: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def lists(self) -> Mapping[str, list[Any]] | None:
        """The values that a grid search combines; None where only distributions are known."""
        if self.grid:
            return self.grid
        return dict(self.space) if all(isinstance(v, list) for v in self.space.values()) else None

    @property
    def installed(self) -> bool:
        """Whether the package that it needs can be imported."""
        return not self.missing

    @property
    def missing(self) -> str:
        """Why that package cannot be imported, and what to install; empty where it can."""
        return _missing(self.extra) if self.extra else ""
