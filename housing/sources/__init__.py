"""Edge 1: where fresh rows come from, and the registry of sources."""

from collections.abc import Callable, Mapping
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from housing.sources.base import Source, SourceOptions


def _source(where: str, options: "SourceOptions") -> "Source":
    source: Source = resolve_name(where)(options)
    return source


def _imported(where: str) -> "Callable[[SourceOptions], Source]":
    """A source by module and class; imported when it is made, as settings only need the names."""
    return partial(_source, f"housing.sources.{where}")


SOURCES: "Mapping[str, Callable[[SourceOptions], Source]]" = {
    "census": _imported("census:Census"),
    "landing": _imported("landing:Landing"),
    "simulated": _imported("simulated.source:Simulated"),
    "sql": _imported("sql:SqlTable"),
}
"""Sources by the name that HOUSING_SOURCES__NAMES gives them."""
