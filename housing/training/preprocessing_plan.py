"""The columns that the families of a search compute, checked before any candidate is scored.

Each preprocessing step is fitted on a sample of the training side: its output columns, their units
and gaps are shown, and a column that says nothing, repeats another or is a sign of leakage ends the
run.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from housing.array_types import Floats, Integers
from housing.errors import NotPossible
from housing.features.derived import Derived, compute, identity, inputs_of
from housing.features.preprocess import SIMILAR, derived_columns, group_of, groups_of
from housing.features.statistics import GROUPS
from housing.formatting import signed
from housing.schema import CATALOGUE, WORDING
from housing.training.candidates import FAMILIES, unfitted
from housing.training.families import ModelFamily
from housing.training.search_config import SearchPlan, describe
from housing.training.workers import one_thread

ROWS = 3000
"""Training rows, at random, that a step is fitted on here."""

FEWEST = 100
"""Training rows from which on a column is refused: of fewer, chance explains too much."""

COPY = 0.9999
"""Rank correlation with the target from which on a column holds the target. An honest column of
which the target is a multiple, but for a few per cent, stays below."""

OF_LABEL = GROUPS["labels"].unit
"""Unit of features of other rows' labels."""

STANDARD_ERRORS = 8.0
"""Of the rank correlation with shuffled labels: the most that a column may have."""


@dataclass(frozen=True)
class OutputColumn:
    """One column that a preprocessing step computes."""

    families: str  # that have the step
    name: str
    unit: str
    missing: float  # share of rows without a value, after imputation
    correlation: float  # rank correlation with the target
    finding: str = ""  # what is unusual and not refused


def output_columns(
    X: pd.DataFrame,
    y: npt.ArrayLike,
    plan: SearchPlan,
    families: Mapping[str, ModelFamily] = FAMILIES,
) -> list[OutputColumn]:
    """The columns of each step that the plan's families have; X has shape (n, features), y (n,).

    NotPossible where a derived column is constant or equals another column, or where any column
    orders the rows as the target does or follows shuffled labels. A number of the table that is
    constant or equals another one, as it may in the first rows, is only marked. A step that cannot
    be fitted is left to the search, which reports it.
    """
    labels = np.asarray(y, dtype=np.float64)
    rows = np.sort(np.random.default_rng(plan.seed).permutation(len(X))[:ROWS])
    found: list[OutputColumn] = []
    for step, names in _steps(plan, families):
        who = ", ".join(names)
        try:
            with one_thread():
                features = _features(step, X.iloc[rows], labels[rows])
                shuffled = np.random.default_rng(plan.seed).permutation(labels[rows])
                by_chance = _correlations(_features(step, X.iloc[rows], shuffled), shuffled)
        except Exception:  # noqa: BLE001, S112 - the search records what each of its candidates raises
            continue
        related = _correlations(features, labels[rows])
        faults, twice = _constant_or_twice(step, X, rows)
        if len(rows) >= FEWEST:
            own = related | _where_given(step, X.iloc[rows], features, labels[rows])
            _refuse(who, step, faults | dict(_leaking(own, by_chance, len(rows))))
        found += [
            OutputColumn(
                who, name, unit_of(step, name), float(features[name].isna().mean()),
                related[name],
                "constant" if features[name].nunique(dropna=False) == 1 else twice.get(name, ""),
            )
            for name in map(str, features)
        ]  # fmt: skip
    return found


def _steps(
    plan: SearchPlan, families: Mapping[str, ModelFamily]
) -> Iterator[tuple[Any, list[str]]]:
    """Each different preprocessing step of the plan's families, and who has it."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for name in dict.fromkeys(plan.families):
        step = unfitted(name, plan.seed, families, plan.exclude_features)["preprocess"]
        if not isinstance(step, str):
            found.setdefault(json.dumps(describe(step)), (step, []))[1].append(name)
    yield from found.values()


def _features(step: Any, X: pd.DataFrame, y: Floats) -> pd.DataFrame:
    fitted = clone(step)
    values = np.asarray(fitted.fit_transform(X, y), dtype=np.float64)
    return pd.DataFrame(values, columns=[str(name) for name in fitted.get_feature_names_out()])


def _correlations(features: pd.DataFrame, y: Floats) -> dict[str, float]:
    """Rank correlation of each column with y; a gap counts as the mean rank, a constant as 0."""
    ranks, own = features.rank(), rankdata(y)
    deviations, own = (ranks - ranks.mean()).fillna(0.0).to_numpy(), own - own.mean()
    scale = np.sqrt(np.square(deviations).sum(axis=0) * np.square(own).sum())
    found = own @ deviations / np.where(scale > 0, scale, np.inf)
    return dict(zip(map(str, features), found.tolist(), strict=True))


def _where_given(step: Any, X: pd.DataFrame, features: pd.DataFrame, y: Floats) -> dict[str, float]:
    """Rank correlation of each column with gaps, over the rows that have a value in the table.

    Over all rows the filled gaps would hide a copy of the target.
    """
    found: dict[str, float] = {}
    for name, column in own_columns(step).items():
        given = X[list(column.inputs)].notna().all(axis=1).to_numpy()
        if name in features and FEWEST <= given.sum() < len(X):
            found |= _correlations(features.loc[given, [name]], y[given])
    return found


def own_columns(step: Any) -> dict[str, Derived]:
    """The numbers of the table and the derived columns in a step, by their full name."""
    found: dict[str, Derived] = {}
    for entry, each, columns in getattr(step, "transformers", ()):
        its = derived_columns(each)
        if entry == "number" and not its:
            its = tuple(Derived(name, "", "", (name,), identity) for name in columns)
        found |= {f"{entry}__{column.name}": column for column in its}
    return found


def _constant_or_twice(
    step: Any, X: pd.DataFrame, rows: Integers
) -> tuple[dict[str, str], dict[str, str]]:
    """What is wrong with derived columns, and which numbers of the table are equal; by name.

    All rows are read to be sure. What is derived of constant numbers alone, or of one without any
    value, is not wrong: in the first rows of a table it may be constant, e.g. a month.
    """
    columns = own_columns(step)

    def values(name: str, frame: pd.DataFrame) -> "pd.Series[float]":
        column = columns[name]
        inputs = frame[list(inputs_of((column,)))].reset_index(drop=True)
        return pd.Series(compute(inputs, (column,))[:, 0])

    some = {name: values(name, X.iloc[rows]) for name in columns}
    faults, twice = dict[str, str](), dict[str, str]()
    for place, (name, own) in enumerate(some.items()):
        if own.nunique(dropna=False) == 1:
            inputs = X[list(columns[name].inputs)]
            varies = inputs.nunique(dropna=False).gt(1).any() and inputs.notna().any().all()
            if varies and values(name, X).nunique(dropna=False) == 1:
                faults[name] = f"is {own[0]:g} in all of them"
            continue
        for other in [each for each in list(some)[:place] if own.equals(some[each])]:
            if values(name, X).equals(values(other, X)):
                given = all(columns[each].inputs == (columns[each].name,) for each in (name, other))
                found = twice if given else faults
                found[name] = f"equals {_shown(other)}{'' if given else ' in each of them'}"
    return faults, twice


def _shown(name: str) -> str:
    """A column as people know it: a number of the table has its own name."""
    return name.removeprefix("number__")


def _leaking(
    related: Mapping[str, float], by_chance: Mapping[str, float], rows: int
) -> Iterator[tuple[str, str]]:
    """Columns that hold labels, and how that shows."""
    for name, r in related.items():
        if abs(r) >= COPY:
            yield (
                name,
                f"orders the {WORDING.rows} as the target does (rank correlation {signed(r, 4)})",
            )
        elif abs(chance := by_chance[name]) > STANDARD_ERRORS / np.sqrt(rows):
            yield (
                name,
                f"follows labels that were shuffled (rank correlation {signed(chance)}): it is "
                f"computed from the {WORDING.row}'s own label",
            )


def _refuse(families: str, step: Any, faults: Mapping[str, str]) -> None:
    """NotPossible with a sentence a column, and what to change."""
    if not faults:
        return
    known, found = groups_of(step), {name: group_of(name) for name in faults}
    groups = [group for group in dict.fromkeys(found.values()) if group in known]
    ways = [f"set HOUSING_SEARCH__EXCLUDE_FEATURES={','.join(groups)}"] if groups else []
    if any(group not in known for group in found.values()):
        ways.append("take it out of the columns that HOUSING_PROBLEM names")
    raise NotPossible(
        what=f"The preprocessing of {families}",
        why=f"on the training {WORDING.rows} "
        + "; ".join(f"{_shown(name)} {why}" for name, why in faults.items())
        + f". To go on, {', and '.join(ways)}.",
    )


def unit_of(step: Any, name: str) -> str:
    """The unit of an output column, by its full name."""
    entry, group = name.partition("__")[0], group_of(name)
    own = own_columns(step).get(name)
    parts = step.get_params()
    if any(n.startswith(f"{entry}__") and isinstance(p, StandardScaler) for n, p in parts.items()):
        return "standard deviations"
    if own is not None:
        return own.unit or CATALOGUE[own.name].unit
    if group in GROUPS:
        return GROUPS[group].unit
    return {"category": "0 or 1", "geo": "similarity, 0 to 1", SIMILAR: OF_LABEL}.get(
        group or entry, ""
    )
