"""Sources of rows, and their registry."""

from collections.abc import Mapping

from housing.problem import SourceClass
from housing.schema import PROBLEM

SOURCES: Mapping[str, SourceClass] = {
    "landing": SourceClass("housing.sources.landing:Landing"),
    "sql": SourceClass("housing.sources.sql:SqlTable"),
    **PROBLEM.sources,
}
"""Sources by the name that HOUSING_SOURCES__NAMES gives them."""
