"""A model family: a builder, a search space, and what its library needs.

Not here: the families of a problem, and how candidates are drawn, scored or refitted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from sklearn.pipeline import Pipeline


def _constant_cost(_parameters: Mapping[str, Any]) -> float:
    return 0.1


@dataclass(frozen=True)
class ModelFamily:
    """A model family.

    `build` takes the seed of everything random inside and returns an unfitted pipeline with the
    steps `preprocess` and `model`. `space` maps its parameter names to a list of values or to a
    scipy distribution. `cost` estimates one fit (seconds at 10,000 rows) from a candidate's
    parameters; it only orders the work. `extra` is a package that only this family needs, and the
    name of the project's extra that installs it. `trusted` names types of other packages in its
    fitted models, e.g. "lightgbm.basic.Booster": they may be loaded.
    """

    name: str
    build: Callable[[int], Pipeline]
    explanation: str
    space: Mapping[str, Any] = field(default_factory=dict)
    cost: Callable[[Mapping[str, Any]], float] = _constant_cost
    extra: str = ""
    trusted: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is installed."""
        return not self.extra or find_spec(self.extra) is not None
