"""A first draft of a problem package, guessed from a file of rows, for a person to edit.

Guesses are marked EDIT in the text. Not here: whether a package works (`problem_check`).
"""

import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from pprint import pformat
from typing import Any

import numpy as np
import pandas as pd

from housing.errors import NotPossible
from housing.formatting import percent
from housing.problem import MARK

SAMPLE_ROWS = 200_000
"""Rows at the start of the file that the guesses are made from."""

MOST_CATEGORIES = 200
"""Different texts up to which a column is taken for categories; beyond, it is left out."""

CLOSE = 0.98
"""Rank correlation with the target from which on a column is named."""

FEW_LEVELS = 8
"""Categories up to which a column can make strata."""

_CONSTANTS = ("COLUMNS", "GROUPS", "PROBLEM")
"""Names that the written module has besides those of categories."""

_ID_NAMES = ("id", "key", "uuid", "number")


@dataclass(frozen=True)
class Draft:
    """A package that was written, and what a person should know of it."""

    folder: Path
    name: str
    rows: int  # that were looked at
    notes: tuple[str, ...]


def write_draft(file: Path, target: str, name: str, folder: Path) -> Draft:
    """Write the package `folder`/`name` for the table in `file`.

    Raises NotPossible where the target is no number, or where the package is there already.
    """
    package = folder / name
    what = f"A problem named {name}"
    if not name.isidentifier() or iskeyword(name):
        raise NotPossible(what=what, why="the name must be letters, digits and underscores")
    if package.exists():
        raise NotPossible(what=what, why=f"{package} exists already; give another --name")
    if find_spec(name) is not None:
        raise NotPossible(what=what, why="Python has a module of that name; give another --name")
    frame = read_sample(file).rename(columns=lambda name: str(name).strip())
    if target not in frame or not pd.api.types.is_numeric_dtype(frame[target]):
        numbers = ", ".join(frame.select_dtypes("number").columns)
        why = f"{target} is no column of numbers in {file.name}; these are: {numbers or 'none'}"
        raise NotPossible(what=what, why=why)
    guess = _Guess(frame, target)
    package.mkdir(parents=True)
    text = _module(guess, name, file.name)
    (package / "__init__.py").write_text(text, encoding="utf-8")
    return Draft(package, name, len(frame), tuple(guess.notes))


def read_sample(file: Path, *, text: bool = False) -> pd.DataFrame:
    """The first rows of a CSV or Parquet file, with `text` a CSV's fields as they stand there.

    NotPossible where it cannot be read.
    """
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False} if text else {}
    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(file).head(SAMPLE_ROWS)
        marks = (",", ";", "\t")
        read = [pd.read_csv(file, nrows=SAMPLE_ROWS, sep=mark, **options) for mark in marks]
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise NotPossible(what=f"Reading {file}", why=f"{error}.") from error
    widest: pd.DataFrame = max(read, key=lambda frame: frame.shape[1])
    return widest


class _Guess:
    """What the columns of a table seem to be."""

    def __init__(self, frame: pd.DataFrame, target: str) -> None:
        self.notes: list[str] = []
        self.target = target
        self.id = self.time = ""
        self.kept: dict[str, pd.Series] = {}
        self.constants: dict[str, str] = {}  # of the columns of categories
        for column in map(str, frame.columns):
            self._place(column, frame[column])
        for name, values in self.kept.items():
            if not pd.api.types.is_numeric_dtype(values):
                self.constants[name] = self._constant(name)
        self.strata = self._strata()
        self._name_close_columns()
        if not self.id:
            self._check_key(frame)

    def _place(self, name: str, values: pd.Series) -> None:
        if name == self.target:
            self.kept[name] = values
        elif name.startswith(MARK):
            self.notes.append(f"{name} is left out: the system's own columns begin with {MARK}")
        elif values.nunique() < 2:
            self.notes.append(f"{name} is left out: it has one value")
        elif not self.id and _is_id(name, values):
            self.id = name
        elif pd.api.types.is_bool_dtype(values):
            self.kept[name] = values.astype(str)
        elif pd.api.types.is_numeric_dtype(values):
            self.kept[name] = values.astype(np.float64)
        elif not self.time and _is_time(values):
            self.time = name
        elif values.nunique() <= MOST_CATEGORIES:
            self.kept[name] = values.astype(str).where(values.notna())
        else:
            count = values.nunique()
            self.notes.append(f"{name} is left out: {count:,} different texts are no categories")

    @property
    def skewed(self) -> bool:
        """Whether the target is above zero, but so near to it that models may predict less."""
        values = self.kept[self.target]
        return bool(0 < values.min() < values.std())

    def numbers(self) -> list[str]:
        """Columns of numbers but the target, the most predictive (Spearman) first."""
        y = self.kept[self.target].rank()
        strength = {
            name: abs(values.rank().corr(y))
            for name, values in self.kept.items()
            if name != self.target and pd.api.types.is_numeric_dtype(values)
        }
        return sorted(strength, key=lambda name: -np.nan_to_num(strength[name]))

    def _name_close_columns(self) -> None:
        """A column that nearly is the target is often known only after it."""
        y = self.kept[self.target].rank()
        for name in self.numbers():
            close = abs(self.kept[name].rank().corr(y))
            if close > CLOSE:
                self.notes.append(
                    f"{name} follows {self.target} closely (rank correlation {close:.2f}): delete "
                    f"its line if it is not known before {self.target} is"
                )

    def _constant(self, name: str) -> str:
        """A Python name for the categories of a column, that nothing else has in the module."""
        found = re.sub(r"\W+", "_", name).strip("_").upper()
        if not found.isidentifier():
            found = f"COLUMN_{found}"
        while found in (*_CONSTANTS, *self.constants.values()):
            found += "_"
        return found

    def _strata(self) -> list[str]:
        found = []
        for name in self.numbers()[:1]:
            edges = np.unique([_short(q) for q in self.kept[name].quantile([0.2, 0.4, 0.6, 0.8])])
            found.append(f"Bins({_text(name)}, ({', '.join(map(repr, edges.tolist()))},))")
        levels = {
            name: values.nunique()
            for name, values in self.kept.items()
            if name != self.target and not pd.api.types.is_numeric_dtype(values)
        }
        few = [name for name, count in levels.items() if count <= FEW_LEVELS]
        return [*found, *(f"Levels({_text(name)}, {self.constants[name]})" for name in few[:1])]

    def _check_key(self, frame: pd.DataFrame) -> None:
        features = [name for name in self.kept if name != self.target]
        share = frame.duplicated(features, keep=False).mean()
        if share > 0:
            self.notes.append(
                f"{percent(share, 2)} of the rows have the same inputs as another row and would be "
                "rejected as the same row twice: add a column that identifies a row, and name it "
                "in id_column"
            )


def _is_id(name: str, values: pd.Series) -> bool:
    """Whether a column is different in each row and named or written like an id."""
    if not values.is_unique or values.isna().any() or pd.api.types.is_float_dtype(values):
        return False
    named = name.lower().startswith("unnamed") or name.lower().split("_")[-1] in _ID_NAMES
    return named or not (pd.api.types.is_numeric_dtype(values) or _is_time(values))


def _is_time(values: pd.Series) -> bool:
    """Whether a column of text or dates is ISO 8601 throughout."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return True
    text = values.dropna().astype(str)
    return bool(
        len(text)
        and text.str.match(r"\d{4}-\d{2}-\d{2}").all()
        and pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").notna().all()
    )


def _short(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")


def _limits(values: pd.Series, *, is_target: bool) -> tuple[float, float]:
    """An allowed range that is wider than what was seen: a tenth of the lowest, ten times the
    highest, and below zero only where there are such values."""
    low, high = float(values.min()), float(values.max())
    most = _short(10 * max(abs(low), abs(high))) or 1.0
    if low < 0:
        return -most, most
    return (_short(low / 10) if is_target else 0.0), most


def _decimals(values: pd.Series) -> int:
    """Decimals at which a tenth of the spread of the values, as errors may be, has three digits."""
    spread = float(values.std())
    return 0 if not spread > 0 else int(np.clip(3 - np.floor(np.log10(spread)), 0, 6))


def _text(value: str) -> str:
    """A text as Python source."""
    return json.dumps(value, ensure_ascii=False)


def _column(guess: _Guess, name: str, values: pd.Series) -> str:
    is_target, label = name == guess.target, name.replace("_", " ").capitalize()
    empty = ", nullable=True" if values.isna().any() and not is_target else ""
    if not pd.api.types.is_numeric_dtype(values):
        return (
            f'    Column({_text(name)}, "category", "category", {_text(label)}, '
            f"categories={guess.constants[name]}{empty}),\n"
        )
    low, high = _limits(values, is_target=is_target)
    return (
        f'    Column({_text(name)}, "number", "", {_text(label)}, '
        f"minimum={low!r}, maximum={high!r}{empty}),\n"
    )


def _module(guess: _Guess, name: str, file: str) -> str:
    """The text of the package's first module."""
    kinds = [kind for kind in ("Bins", "Levels") if any(s.startswith(kind) for s in guess.strata)]
    names = ", ".join(sorted(["Amount", "Column", "Problem", "Table", "Wording", *kinds]))
    categories = "".join(
        f"# EDIT: from low to high, if they have an order\n{constant} = "
        f"{pformat((*sorted(guess.kept[column].dropna().unique()),), width=96, compact=True)}\n"
        for column, constant in guess.constants.items()
    )
    columns = "".join(_column(guess, column, values) for column, values in guess.kept.items())
    groups = "".join(f"    {line},\n" for line in guess.strata)
    rows, value = name.replace("_", " "), guess.target.replace("_", " ")
    row, values = rows.removesuffix("s"), value if value.endswith("s") else f"{value}s"
    family = '    default_family="boosting-log",  # predictions above zero, as all values are\n'
    return f'''"""The table of {file}: edit what is marked EDIT (`housing problem new`)."""

from housing.problem import {names}

{categories}
COLUMNS = (
    # EDIT: units, meanings and allowed ranges
{columns})

GROUPS = (  # EDIT: groups that the test set must represent
{groups})

PROBLEM = Problem(
    name="{name}",
    table=Table(
        columns=COLUMNS,
        target={_text(guess.target)},
        id_column={_text(guess.id or "row_id")},
        time_column={_text(guess.time or "recorded_at")},
        strata=GROUPS,
        slices=GROUPS,
    ),
    # EDIT: e.g. "euros", "€"
    amount=Amount(unit="", symbol="", decimals={_decimals(guess.kept[guess.target])}),
    models="housing.problems.template.models",
{family if guess.skewed else ""}    wording=Wording(  # EDIT
        row="{row}",
        rows="{rows}",
        value={_text(value)},
        values={_text(values)},
        target={_text(f"the {value} of each {row}")},
        title="Predictions for {rows}",
    ),
)
'''
