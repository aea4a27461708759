"""The types that describe a table and its model: what a team writes for its own table.

A problem is a package outside or inside the project whose module has `PROBLEM = Problem(...)`;
HOUSING_PROBLEM names that module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import cos, radians
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # settings read the problem's name and sources, and start without numpy
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from housing.array_types import Floats

Kind = Literal["number", "category"]

MARK = "#"
"""Prefix of the columns that the system adds in frames and stored files; no column of a table has
it."""

MINUS = "\N{MINUS SIGN}"
"""The sign of negative numbers that people read."""

KM_PER_DEGREE = 111.2
"""Length of a degree of latitude."""


def significant(value: float, digits: int = 6) -> str:
    """At most this number of significant digits."""
    return f"{value:,.{digits}g}".replace("-", MINUS)


@dataclass(frozen=True)
class Column:
    """One column of a landing file.

    `minimum` and `maximum` are inclusive and in `unit`; `resolution` is the step to which a number
    of the key is rounded (None: exact); `cap` is the value at which the source cuts off what is
    larger.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    categories: tuple[str, ...] = ()
    resolution: float | None = None
    cap: float | None = None

    @property
    def label(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")

    @property
    def unit_beside(self) -> str:
        """The unit to write beside the label; "" where the label has its words already."""
        return "" if {*self.unit.split()} <= {*self.label.split()} else self.unit

    def written(self, value: float) -> str:
        """A number with its unit: of "10,000 euros", 3.87 is "38,700 euros"."""
        first, _, rest = self.unit.partition(" ")
        if rest and first.replace(",", "").isdigit():
            return f"{significant(float(f'{value:.6g}') * int(first.replace(',', '')), 15)} {rest}"
        return f"{significant(value)} {self.unit_beside}".rstrip()

    @property
    def range(self) -> str:
        """The allowed numbers in words: "0 to 200", "0 or more", "any"."""
        low, high = (
            None if limit is None else f"{limit:,}".replace("-", MINUS)
            for limit in (self.minimum, self.maximum)
        )
        if low and high:
            return f"{low} to {high}"
        return f"{low} or more" if low else f"{high} or less" if high else "any"


@dataclass(frozen=True)
class Bins:
    """Rows grouped by where a number falls between `edges` (in the column's unit)."""

    column: str
    edges: tuple[float, ...]

    def names(self) -> tuple[str, ...]:
        """One name a group, lowest first."""
        inner = [f"{a:g}-{b:g}" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return (f"<={self.edges[0]:g}", *inner, f">{self.edges[-1]:g}")

    def codes(self, frame: "pd.DataFrame") -> "npt.NDArray[np.int16]":
        """Group of each row, shape (n,); a group holds its upper edge."""
        import numpy as np

        values = frame[self.column].to_numpy(dtype=np.float64)
        return np.searchsorted(np.asarray(self.edges), values, side="left").astype(np.int16)


@dataclass(frozen=True)
class Levels:
    """Rows grouped by category, in the column's order of categories."""

    column: str
    categories: tuple[str, ...]

    def names(self) -> tuple[str, ...]:
        """One name a group."""
        return self.categories

    def codes(self, frame: "pd.DataFrame") -> "npt.NDArray[np.int16]":
        """Group of each row, shape (n,); values must be of `categories`."""
        import numpy as np
        import pandas as pd

        categories = pd.CategoricalDtype(list(self.categories))
        return np.asarray(frame[self.column].astype(categories).cat.codes, dtype=np.int16)


Groups = tuple[Bins | Levels, ...]


@dataclass(frozen=True)
class Table:
    """What a row is: columns, target, key and groups.

    `key` names the columns whose values identify a row that carries no id of its own; empty: all
    but the target. `id_column` (the row's own id) and `time_column` (when it was recorded: ISO
    8601, UTC without an offset) are optional in a delivery. `not_above` are pairs (part, whole):
    in no row can the part exceed the whole. `strata` are represented in the test set as they are
    in the table; in no group of `slices` may a model regress.
    """

    columns: tuple[Column, ...]
    target: str
    key: tuple[str, ...] = ()
    id_column: str = "row_id"
    time_column: str = "recorded_at"
    not_above: tuple[tuple[str, str], ...] = ()
    strata: Groups = ()
    slices: Groups = ()

    @cached_property
    def catalogue(self) -> Mapping[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Columns that a model is given, in the table's order."""
        return tuple(c.name for c in self.columns if c.name != self.target)

    @property
    def positive(self) -> bool:
        """Whether every value of the target is above zero: relative errors have a meaning."""
        lowest = self.catalogue[self.target].minimum
        return lowest is not None and lowest > 0

    @property
    def non_negative(self) -> bool:
        """Whether no value of the target is below zero."""
        lowest = self.catalogue[self.target].minimum
        return lowest is not None and lowest >= 0

    @cached_property
    def key_columns(self) -> tuple[str, ...]:
        """Columns that identify a row without an id of its own."""
        return self.key or self.features

    def named(self, kind: Kind, features_only: bool = False) -> tuple[str, ...]:
        """Names of the columns of a kind; with `features_only` without the target."""
        return tuple(
            c.name
            for c in self.columns
            if c.kind == kind and not (features_only and c.name == self.target)
        )


@dataclass(frozen=True)
class Amount:
    """How a value of the target is written: `unit` in words, `symbol` before the number.

    All have `decimals` (0 to 6); None: four significant digits, whole from 1,000.
    """

    unit: str
    symbol: str = ""
    decimals: int | None = None


@dataclass(frozen=True)
class Wording:
    """What people read: nouns, titles and the paragraphs of the model card.

    `row` and `rows` name a row ("car"), `value` and `values` the target ("consumption");
    `target` is the target in a sentence ("the fuel consumption of a car"). `request_key`
    is another name for `rows` in a JSON request. `title` heads the page for people, `page` is its
    name in menus, `caution` stands below a prediction.
    """

    row: str = "row"
    rows: str = "rows"
    value: str = "value"
    values: str = "values"
    target: str = "the target of a row"
    title: str = "Predictions"
    page: str = "Predictions"
    caution: str = "A prediction is an estimate."
    source: str = "the deliveries of this installation"
    uses: tuple[str, ...] = ()
    no_uses: tuple[str, ...] = ()
    request_key: str = "rows"


@dataclass(frozen=True)
class Location:
    """Where a row lies: two coordinate columns, the distance between rows, and the cell size.

    `geographic` coordinates are longitude and latitude in degrees; they are projected to a flat
    map whose scale is exact on the parallel `middle_latitude` (degrees), within a few per cent
    over a state. `planar` coordinates are already distances, in `unit`. Errors of rows in cells of
    `cell` (in the coordinates' own unit) and of neighbouring cells are taken as correlated.
    Maps show `outlines` (closed lines, such as a coast) and the names of `landmarks`.
    """

    columns: tuple[str, str]
    cell: float
    kind: Literal["geographic", "planar"] = "geographic"
    middle_latitude: float = 0.0
    unit: str = "km"
    outlines: tuple[tuple[tuple[float, float], ...], ...] = ()
    landmarks: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Length of a step of the first coordinate against one of the second."""
        return cos(radians(self.middle_latitude)) if self.kind == "geographic" else 1.0

    @property
    def scale(self) -> float:
        """Length of a step of the second coordinate, in `unit`."""
        return KM_PER_DEGREE if self.kind == "geographic" else 1.0

    def written(self, name: str, value: float) -> str:
        """A coordinate for people: "122.23° W", "37.88° N", "3.5 km"."""
        if self.kind == "planar":
            return f"{significant(value)} {self.unit}"
        positive, negative = ("E", "W") if name == self.columns[0] else ("N", "S")
        return f"{abs(value):.6g}° {negative if value < 0 else positive}"

    def flat(self, x: "Floats", y: "Floats") -> "Floats":
        """Positions on the flat map in `unit`, shape (n, 2)."""
        import numpy as np

        return np.column_stack([x * self.ratio, y]) * self.scale


@dataclass(frozen=True)
class SourceClass:
    """A source of rows as "module:class", and the class of its own options, if it has any.

    Both are imported on use: settings only need the names of sources, and the options of those
    that have some set.
    """

    where: str
    options: str = ""

    def __call__(self, options: Any) -> Any:
        """The source (`housing.sources.base.Source`) with these options (`SourceOptions`)."""
        return resolve_name(self.where)(options)

    @property
    def own_options(self) -> Any:
        """Its class of options (a `SettingsGroup`); None where it has none of its own."""
        return resolve_name(self.options) if self.options else None


@dataclass(frozen=True)
class Behaviour:
    """A behavioural test of a model: what a change of a row must not do to its prediction.

    `change` gets test rows (the features, numbered from 0) and returns them changed; it may leave
    rows out or reorder them, as they are known by their number. The prediction is the `same`,
    `not lower` or `not higher`, but for `tolerance`, relative to the prediction before. `name`
    is of lower-case words with hyphens; `meaning` is what holds, in a sentence without a full stop.
    """

    name: str
    meaning: str
    change: Callable[["pd.DataFrame"], "pd.DataFrame"]
    direction: Literal["same", "not lower", "not higher"] = "same"
    tolerance: float = 1e-9


@dataclass(frozen=True)
class Problem:
    """One table, its words and its models.

    `name` is stored with dataset versions and models. `models` names the module that has
    `FAMILIES` and `BASELINES` (each a mapping of name to `housing.training.families.ModelFamily`);
    it is imported on first use, so that commands start without scikit-learn. `sources` are named by
    HOUSING_SOURCES__NAMES, beside `landing` and `sql`. `default_family` is
    searched unless HOUSING_SEARCH__FAMILIES names others, `default_sources` are read unless
    HOUSING_SOURCES__NAMES does. `short_names` are other names, after HOUSING_, of an option of a
    source: {"file": ("archive", "path")} makes HOUSING_FILE set SOURCES__OPTIONS__ARCHIVE__PATH.
    `behaviours` are behavioural tests that each challenger takes before a promotion.
    """

    name: str
    table: Table
    amount: Amount
    models: str
    wording: Wording = field(default_factory=Wording)
    location: Location | None = None
    sources: Mapping[str, SourceClass] = field(default_factory=dict)
    default_family: str = "boosting"
    default_sources: tuple[str, ...] = ("landing",)
    short_names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    behaviours: tuple[Behaviour, ...] = ()
