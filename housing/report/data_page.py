"""The page of a dataset version: its columns, how they are related, its strata, what changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, MaxNLocator

from housing import formatting
from housing.formatting import axis_labels, group_in_words, value_text
from housing.quality.description import Correlations, NumberFacts, StratumShare
from housing.report.plot_style import (
    LOOK,
    RenderedFigure,
    canvas,
    dots,
    finished,
    legend,
    scale,
    thinned,
    wrapped,
)
from housing.report.plots import on_map
from housing.report.run_page import rendered
from housing.report.small_svg import grid, histogram
from housing.schema import CATALOGUE, LOCATION, TARGET, WORDING

MATRIX_COLUMNS = 4
"""Columns of the scatter matrix: the target and those most strongly correlated with it."""

MATRIX_POINTS = 500
DOUBLE = 0.9
"""Correlation from which two columns show the same."""

STRATA_SHOWN = 30
QUARTERS = (LOOK.middle, LOOK.families[4], LOOK.good, LOOK.bad)
"""Colours of the map, the lowest quarter first."""


@dataclass(frozen=True)
class ColumnChange:
    """A column's figures in two versions: missing share, median and mean in the column's unit."""

    name: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class DataPage:
    """All data of the page. `training` has the training side's rows: numbers and derived columns.

    Test labels are on no picture: who sees them chooses by them.
    """

    version: int
    created_at: datetime  # UTC
    rows: int
    train_rows: int
    test_rows: int
    batches: Sequence[str]
    simulated: bool
    training: pd.DataFrame
    facts: Mapping[str, NumberFacts]
    categories: Mapping[str, Mapping[str, int]]  # of the training side
    units: Mapping[str, str]
    correlations: Correlations
    strata: Sequence[StratumShare]
    compared: int | None = None
    compared_rows: int = 0
    changes: Sequence[ColumnChange] = ()

    @property
    def without_values(self) -> Sequence[str]:
        """Columns of which no training row has a value."""
        return [name for name in map(str, self.training) if name not in self.facts]

    @property
    def with_target(self) -> Mapping[str, float]:
        """Correlation of each column with the target, the strongest first."""
        return self.correlations.of(TARGET)


def render(data: DataPage) -> str:
    """The whole page."""
    return rendered(
        "data.html",
        data=data,
        label=label,
        signed=formatting.signed,
        number=lambda value: "" if value is None else formatting.number(value),
        histograms=[
            histogram(label(name), data.units[name], facts, cap_of(name))
            for name, facts in data.facts.items()
        ],
        matrix=scatter_matrix(data.training, strongest(data.correlations)),
        grid=grid(data.correlations, [label(name) for name in data.correlations.names]),
        map=target_map(data.training),
        strata_shown=[
            replace(one, name=group_in_words(one.name)) for one in data.strata[:STRATA_SHOWN]
        ],
        target=TARGET,
    )


def strongest(found: Correlations) -> tuple[str, ...]:
    """The target and the columns that predict it best, none of them a double of another."""
    chosen = [TARGET]
    for name in found.of(TARGET):
        others = (found.of(name).get(other, 0.0) for other in chosen[1:])
        if len(chosen) < MATRIX_COLUMNS and all(abs(r) < DOUBLE for r in others):
            chosen.append(name)
    return tuple(chosen)


def label(name: str) -> str:
    """A column's name as people read it."""
    return CATALOGUE[name].label if name in CATALOGUE else name.replace("_", " ")


def cap_of(name: str) -> float | None:
    """The value at which the source cuts a column off, if any."""
    return CATALOGUE[name].cap if name in CATALOGUE else None


def scatter_matrix(rows: pd.DataFrame, names: Sequence[str]) -> RenderedFigure:
    """Each of `names` against each other, and their histograms on the diagonal."""
    shown = rows.iloc[:: max(-(-len(rows) // MATRIX_POINTS), 1)]
    size = len(names)
    with canvas(LOOK.width) as (figure, first):
        first.remove()
        figure.set_layout_engine(None)  # three times as fast; the grid is regular
        figure.subplots_adjust(0.16, 0.13, 0.97, 0.98, wspace=0.15, hspace=0.15)
        cells = figure.subplots(size, size, sharex="col", squeeze=False)
        for (i, j), axes in np.ndenumerate(cells):
            x, y = (shown[names[place]].to_numpy() for place in (j, i))
            axes.patch.set_visible(False)
            if i == j:
                axes.hist(x[np.isfinite(x)], bins=20, color=LOOK.good, alpha=0.75)
                axes.set_yticks([])
            else:
                both = np.isfinite(x) & np.isfinite(y)
                dots(axes, x[both], y[both], LOOK.good, 1.6, 0.5)
                scale(axes.yaxis, y, axis_labels)
            scale(axes.xaxis, x, axis_labels)
            for axis in (axes.xaxis, axes.yaxis) if i != j else (axes.xaxis,):
                axis.set_major_locator(FixedLocator(_inner_ticks(*axis.get_view_interval())))
            axes.tick_params(
                labelsize=LOOK.font_size - 2, labelleft=j == 0, labelbottom=i == size - 1
            )
            if i == size - 1:
                axes.set_xlabel(wrapped(label(names[j]), 14), fontsize=LOOK.font_size - 2)
            if j == 0:
                axes.set_ylabel(wrapped(label(names[i]), 14), fontsize=LOOK.font_size - 2)
        alt = f"Scatter matrix of {', '.join(label(name) for name in names)}."
        return finished(figure, "matrix", alt)


def _inner_ticks(low: float, high: float) -> list[float]:
    """Ticks away from the ends, so that those of neighbouring cells do not touch."""
    edge = 0.15 * (high - low)
    ticks = MaxNLocator(3).tick_values(low, high)
    return [float(tick) for tick in ticks if low + edge < tick < high - edge]


def target_map(rows: pd.DataFrame) -> RenderedFigure | None:
    """Where rows with low and high targets lie, by quarters; None without a location."""
    if LOCATION is None or not len(rows):
        return None
    part = rows.iloc[thinned(len(rows))]
    target = part[TARGET].to_numpy()
    limits = np.quantile(rows[TARGET], (0, 0.25, 0.5, 0.75, 1))
    with canvas(5.4) as (figure, axes):
        for quarter, color in enumerate(QUARTERS):
            low, high = limits[quarter], limits[quarter + 1]
            inside = (target <= high) & ((target > low) | (quarter == 0))
            x, y = (part[name].to_numpy()[inside] for name in LOCATION.columns)
            dots(axes, x, y, color, 2.6, 0.8)
            words = f"{value_text(low)} to {value_text(high)}"
            axes.plot([], [], "o", ms=5, color=color, label=words)
        on_map(axes, *(rows[name].to_numpy() for name in LOCATION.columns))
        legend(figure, axes)
        alt = f"Map of {len(part):,} training {WORDING.rows} by quarters of the {WORDING.value}."
        return finished(figure, "target-map", alt)


def as_json(data: DataPage) -> dict[str, Any]:
    """The page's figures as plain JSON."""
    names = data.correlations.names
    return {
        "dataset": f"v{data.version}",
        "rows": data.rows,
        "train_rows": data.train_rows,
        "test_rows": data.test_rows,
        "batches": list(data.batches),
        "simulated": data.simulated,
        "columns": {
            name: {
                "unit": data.units[name],
                "missing": f.missing,
                **dict(zip(("min", "q25", "median", "q75", "max"), f.quartiles, strict=True)),
                "mean": f.mean,
                "sd": f.deviation,
                "outliers": f.outliers,
                "at_cap": f.at_cap,
                "histogram": {"edges": f.edges, "counts": f.counts, "beyond": f.beyond},
            }
            for name, f in data.facts.items()
        }
        | {name: {"unit": data.units[name], "missing": 1.0} for name in data.without_values},
        "categories": {name: dict(counts) for name, counts in data.categories.items()},
        "correlations": {
            name: {
                other: None if np.isnan(value) else float(value)
                for other, value in zip(names, row, strict=True)
            }
            for name, row in zip(names, data.correlations.values, strict=True)
        },
        "with_target": dict(data.with_target),
        "strata": [
            {
                "stratum": s.name, "rows": s.rows, "share": s.share, "train": s.train,
                "test": s.test, "error": s.error, "random_error": s.chance_error,
            }
            for s in data.strata
        ],
        "compared": None if data.compared is None else f"v{data.compared}",
        "changes": [
            {"column": c.name, "before": dict(c.before), "after": dict(c.after)}
            for c in data.changes
        ],
    }  # fmt: skip
