"""The problem with plain names."""

from dataclasses import replace

from housing.problem import Column
from tests.problems.diamonds import PROBLEM as DIAMONDS
from tests.problems.names import NOISE

_NOISE = (Column(name, "number", "", "Noise", minimum=-10, maximum=10) for name in NOISE)
_COLUMNS = (*DIAMONDS.table.columns, *_NOISE)
PROBLEM = replace(DIAMONDS, name="plain_names", table=replace(DIAMONDS.table, columns=_COLUMNS))
