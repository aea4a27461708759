"""Sources of rows, and their registry."""

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from housing.sources.base import Source, SourceOptions


def _imported(where: str) -> "Callable[[SourceOptions], Source]":
    """A source by module and class; imported on use, as settings only need the names."""
    return lambda options: resolve_name(f"housing.sources.{where}")(options)


SOURCES: "Mapping[str, Callable[[SourceOptions], Source]]" = {
    "census": _imported("census:Census"),
    "landing": _imported("landing:Landing"),
    "simulated": _imported("simulated.source:Simulated"),
    "sql": _imported("sql:SqlTable"),
}
"""Sources by the name that HOUSING_SOURCES__NAMES gives them."""
