"""The table of the problem in force: its columns by role, from the module HOUSING_PROBLEM names.

Dtypes, row rules, SQL, documentation and forms derive from this catalogue.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from housing.errors import ProblemInvalid
from housing.problem import MARK, Column, Problem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from housing.array_types import Floats

VARIABLE = "HOUSING_PROBLEM"
DEFAULT = "housing.problems.california"
_NEXT = "Name a module that is installed or on PYTHONPATH and defines PROBLEM = Problem(...)"


NEIGHBOUR = frozenset({"distance", "value"})
"""Fields of a neighbour beside its coordinates."""

CHALLENGER, CHAMPION = f"{MARK}challenger", f"{MARK}champion"
"""Predictions of the two models of an evaluation, beside the target of the test rows."""


def load_problem(name: str) -> Problem:
    """`PROBLEM` of the module `name`; ProblemInvalid where there is no usable one."""
    try:
        found = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ProblemInvalid(name=name, why=f"there is no such module. {_NEXT}") from error
    problem = getattr(found, "PROBLEM", None)
    if not isinstance(problem, Problem):
        raise ProblemInvalid(name=name, why=f"it has no PROBLEM. {_NEXT}")
    if why := fault_of(problem):
        raise ProblemInvalid(name=name, why=why)
    return problem


def fault_of(problem: Problem) -> str:
    """What makes a problem unusable, or ""."""
    table, numbers = problem.table, problem.table.named("number")
    names = [column.name for column in table.columns]
    used = {*table.key, *(group.column for group in (*table.strata, *table.slices))}
    every = [*names, table.id_column, table.time_column]
    if marked := [name for name in every if name.startswith(MARK)]:
        return f"the system's own columns begin with {MARK}, as does {', '.join(marked)}"
    if twice := sorted({name for name in every if every.count(name) > 1}):
        return f"its table has {', '.join(twice)} twice"
    if table.target not in numbers:
        return f"its target {table.target} is no column of numbers of its table"
    if strangers := sorted({*used, *sum(table.not_above, ())} - {*names}):
        return f"its key, groups or pairs name {', '.join(strangers)}, no columns of its table"
    if location := sorted({*(problem.location.columns if problem.location else ())} - {*numbers}):
        return f"its location names {', '.join(location)}, no columns of numbers of its table"
    if taken := sorted({*(problem.location.columns if problem.location else ())} & NEIGHBOUR):
        return f"a neighbour in a response has {', '.join(taken)} beside its coordinates: rename it"
    if problem.amount.decimals not in (None, *range(7)):
        return f"its amount has {problem.amount.decimals} decimals; 0 to 6 can be shown"
    if empty := [c.name for c in table.columns if c.kind == "category" and not c.categories]:
        return f"the column {', '.join(empty)} has no categories"
    return ""


MODULE = os.environ.get(VARIABLE) or dotenv_values(".env").get(VARIABLE) or DEFAULT
PROBLEM = load_problem(MODULE)
TABLE = PROBLEM.table
LOCATION = PROBLEM.location
WORDING = PROBLEM.wording
UNIT = PROBLEM.amount.unit

COLUMNS: tuple[Column, ...] = TABLE.columns
CATALOGUE: Mapping[str, Column] = TABLE.catalogue
TARGET = TABLE.target
FEATURES: tuple[str, ...] = TABLE.features
REQUIRED: tuple[str, ...] = tuple(name for name in FEATURES if not CATALOGUE[name].nullable)
NUMBERS: tuple[str, ...] = TABLE.named("number")
CATEGORIES: tuple[str, ...] = TABLE.named("category")
COORDINATES: tuple[str, ...] = LOCATION.columns if LOCATION else ()

CELL = LOCATION.cell if LOCATION else 0.0
"""Side of the smallest location cell, in the coordinates' own unit; 0 without a location."""

KEY: tuple[str, ...] = TABLE.key_columns
"""Columns whose rounded values identify a row that carries no id of its own."""

ID_COLUMN = TABLE.id_column
"""Optional in a landing file: the row's own id, which then is its key."""

TIME_COLUMN = TABLE.time_column
"""Optional in a landing file: when the row was recorded (ISO 8601, UTC without an offset)."""

OPTIONAL_COLUMNS: tuple[str, ...] = (ID_COLUMN, TIME_COLUMN)

LABEL_CAP = CATALOGUE[TARGET].cap
"""The source records every larger value as this one; None: it cuts nothing off."""


def unused_name(name: str) -> str:
    """A name for a column beside those of the table in a file that people read.

    It is `name`, with an underscore after it where the table has a column of that name.
    """
    while name in {*CATALOGUE, *OPTIONAL_COLUMNS}:
        name += "_"
    return name


_RANGE = CATALOGUE[TARGET].minimum, CATALOGUE[TARGET].maximum


def in_range(values: "npt.NDArray[np.floating[Any]]") -> "Floats":
    """Predictions with those beyond the target's declared range set to its limit.

    No value of the table is beyond it, so that none of them gets worse. A prediction that is no
    finite number stays what it is, for the gate to find.
    """
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    if _RANGE == (None, None):
        return found
    return np.where(np.isfinite(found), np.clip(found, *_RANGE), found)


def dtypes(names: tuple[str, ...] = tuple(CATALOGUE)) -> "dict[str, str | pd.CategoricalDtype]":
    """Pandas dtypes of a validated table: float64, or the category type with catalogue order."""
    import pandas as pd

    return {
        name: "float64"
        if CATALOGUE[name].kind == "number"
        else pd.CategoricalDtype(list(CATALOGUE[name].categories))
        for name in names
    }


def written(name: str, value: float) -> str:
    """A number of a column for people: with its unit, or as a coordinate."""
    if LOCATION is not None and name in COORDINATES:
        return LOCATION.written(name, value)
    return CATALOGUE[name].written(value)
