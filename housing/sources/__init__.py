"""Edge 1: where fresh rows come from, and the registry of sources."""

from collections.abc import Callable, Mapping

from housing.sources.base import Source, SourceOptions
from housing.sources.census import Census
from housing.sources.landing import Landing
from housing.sources.simulated.source import Simulated
from housing.sources.sql import SqlTable

SOURCES: Mapping[str, Callable[[SourceOptions], Source]] = {
    "census": Census,
    "landing": Landing,
    "simulated": Simulated,
    "sql": SqlTable,
}
"""Sources by the name that HOUSING_SOURCE gives them."""
