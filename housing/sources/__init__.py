"""Sources of rows, and their registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from housing.schema import PROBLEM

if TYPE_CHECKING:
    from pydantic import BaseModel

    from housing.sources.base import Source, SourceOptions


@dataclass(frozen=True)
class Imported:
    """A source by module and class; imported on use, as settings only need the names."""

    where: str

    def __call__(self, options: "SourceOptions") -> "Source":
        """The source with these options."""
        made: Source = self._kind()(options)
        return made

    @property
    def own_options(self) -> "type[BaseModel] | None":
        """Its class `Options`; None where every option of it is a field of SourceSettings."""
        return getattr(self._kind(), "Options", None)

    def _kind(self) -> Any:
        return resolve_name(self.where)


SOURCES: Mapping[str, Imported] = {
    "landing": Imported("housing.sources.landing:Landing"),
    "sql": Imported("housing.sources.sql:SqlTable"),
    **{name: Imported(where) for name, where in PROBLEM.sources.items()},
}
"""Sources by the name that HOUSING_SOURCES__NAMES gives them."""
