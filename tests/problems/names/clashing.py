"""The problem with names that the system uses too."""

from dataclasses import replace

from tests.problems.names import CLASHING
from tests.problems.names.plain import PROBLEM as PLAIN

_TABLE = PLAIN.table
_GROUPS = tuple(replace(group, column=CLASHING[group.column]) for group in _TABLE.strata)
PROBLEM = replace(
    PLAIN,
    name="clashing_names",
    table=replace(
        _TABLE,
        columns=tuple(replace(c, name=CLASHING[c.name]) for c in _TABLE.columns),
        target=CLASHING[_TABLE.target],
        id_column=CLASHING[_TABLE.id_column],
        time_column=CLASHING[_TABLE.time_column],
        strata=_GROUPS,
        slices=_GROUPS,
    ),
)
