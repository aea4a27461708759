"""Sources of rows, and their registry."""

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from housing.schema import PROBLEM

if TYPE_CHECKING:
    from housing.sources.base import Source, SourceOptions


def _imported(where: str) -> "Callable[[SourceOptions], Source]":
    """A source by module and class; imported on use, as settings only need the names."""
    return lambda options: resolve_name(where)(options)


SOURCES: "Mapping[str, Callable[[SourceOptions], Source]]" = {
    "landing": _imported("housing.sources.landing:Landing"),
    "sql": _imported("housing.sources.sql:SqlTable"),
    **{name: _imported(where) for name, where in PROBLEM.sources.items()},
}
"""Sources by the name that HOUSING_SOURCES__NAMES gives them."""
