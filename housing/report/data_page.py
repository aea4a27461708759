"""The page of a dataset version: its columns, how they are related, its strata, what changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from housing import formatting
from housing.formatting import value_text
from housing.quality.description import Correlations, NumberFacts, StratumShare
from housing.report.plot_style import (
    LOOK,
    AmountFormatter,
    RenderedFigure,
    canvas,
    finished,
    named,
    thinned,
)
from housing.report.run_page import environment
from housing.report.small_svg import grid, histogram
from housing.schema import CATALOGUE, LOCATION, TARGET, WORDING

MATRIX_COLUMNS = 4
"""Columns of the scatter matrix: the target and those most strongly correlated with it."""

MATRIX_POINTS = 2_000
DOUBLE = 0.9
"""Correlation from which two columns show the same."""

STRATA_SHOWN = 30
MAP_SIZE = (4.6, 5.2)


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
    def with_target(self) -> Mapping[str, float]:
        """Correlation of each column with the target, the strongest first."""
        return self.correlations.of(TARGET)


def render(data: DataPage) -> str:
    """The whole page."""
    text = (
        environment()
        .get_template("data.html")
        .render(
            data=data,
            label=label,
            number=number,
            histograms=[
                histogram(label(name), data.units[name], facts, cap_of(name))
                for name, facts in data.facts.items()
            ],
            matrix=scatter_matrix(data.training, strongest(data.correlations)),
            grid=grid(data.correlations, [label(name) for name in data.correlations.names]),
            map=target_map(data.training),
            strata_shown=data.strata[:STRATA_SHOWN],
            target=TARGET,
        )
    )
    return formatting.writable(text)


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


def number(value: float | None) -> str:
    """A number of any column, four significant digits."""
    return "" if value is None else value_text(value)


def scatter_matrix(rows: pd.DataFrame, names: Sequence[str]) -> RenderedFigure:
    """Each of `names` against each other, and their histograms on the diagonal."""
    shown = rows.iloc[_every(len(rows), MATRIX_POINTS)]
    size = len(names)
    with canvas(1.75 * size, 1.65 * size) as (figure, first):
        first.remove()
        figure.set_layout_engine(None)  # three times as fast; the grid is regular
        figure.subplots_adjust(0.1, 0.09, 0.99, 0.99, wspace=0.32, hspace=0.12)
        cells = figure.subplots(size, size, sharex="col", squeeze=False)
        for (i, j), axes in np.ndenumerate(cells):
            axes.patch.set_visible(False)
            x, y = shown[names[j]].to_numpy(), shown[names[i]].to_numpy()
            if i == j:
                axes.hist(x[np.isfinite(x)], bins=30, color=LOOK.good, alpha=0.75)
            else:
                axes.scatter(x, y, s=3, lw=0, alpha=0.4, color=LOOK.good, rasterized=True)
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.yaxis.set_major_locator(MaxNLocator(3))
            axes.xaxis.set_major_formatter(AmountFormatter())
            axes.yaxis.set_major_formatter(AmountFormatter())
            axes.tick_params(labelsize=LOOK.font_size - 2)
            if i == size - 1:
                axes.set_xlabel(named(label(names[j])), fontsize=LOOK.font_size - 1)
            if j == 0:
                axes.set_ylabel(named(label(names[i])), fontsize=LOOK.font_size - 1)
        alt = f"Scatter matrix of {', '.join(label(name) for name in names)}."
        return finished(figure, "matrix", alt)


def _every(rows: int, most: int) -> slice:
    return slice(None, None, max(-(-rows // most), 1))


def target_map(rows: pd.DataFrame) -> RenderedFigure | None:
    """Where rows with low and high targets lie; None for a table without a location."""
    if LOCATION is None:
        return None
    part = rows.iloc[thinned(len(rows))].sort_values(TARGET)
    x, y = (part[name] for name in LOCATION.columns)
    with canvas(*MAP_SIZE) as (figure, axes):
        cloud = axes.scatter(x, y, c=part[TARGET], s=7, lw=0, cmap="viridis", rasterized=True)
        axes.set_aspect(1 / LOCATION.ratio)
        for axis, name in zip((axes.xaxis, axes.yaxis), LOCATION.columns, strict=True):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_label_text(f"{CATALOGUE[name].label} ({CATALOGUE[name].unit})")
        bar = figure.colorbar(
            cloud, ax=axes, location="bottom", shrink=0.8, aspect=30, format=AmountFormatter()
        )
        bar.outline.set_visible(False)
        if bar.solids is not None:
            bar.solids.set_rasterized(True)
        bar.set_label(formatting.with_unit(f"{WORDING.value}, training set"))
        alt = f"Map of {len(part):,} training {WORDING.rows}, coloured by {WORDING.value}."
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
        },
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
