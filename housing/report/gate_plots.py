"""Plots of the gate's evidence: slices, operating characteristic, drift, test-set reuse."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from housing.formatting import (
    axis_labels,
    change,
    change_labels,
    count,
    group_in_words,
    percent,
    share_labels,
)
from housing.gate import decision_rule
from housing.gate.evidence import Evidence, HoldoutReuse
from housing.gate.policy import GatePolicy
from housing.gate.power import DETECTION, OperatingCharacteristic
from housing.metric import MAE, RMSE, metric_named
from housing.records import ColumnDrift, Comparison, DriftReport
from housing.report.plot_style import (
    LOOK,
    RenderedFigure,
    canvas,
    counts,
    dates,
    finished,
    heading,
    height_of_rows,
    interval_lines,
    legend,
    named,
    rows,
    scale,
    wrapped,
)
from housing.report.plots import DASHED, LEAST_CHANGE
from housing.schema import CATALOGUE, WORDING

ForestRow = tuple[str, Comparison, float | None]


def forest_rows(evidence: Evidence, policy: GatePolicy) -> list[ForestRow]:
    """Rows of the forest plot: name, comparison, tolerated increase (None without a check)."""
    rows: list[ForestRow] = []
    if evidence.comparison is not None:
        limit = decision_rule.limit(decision_rule.effective_policy(evidence, policy))
        rows.append(("all rows", evidence.comparison, limit))
    rows += [
        (f"all rows, {metric_named(metric).label}", other, None)
        for metric, other in ((MAE, evidence.mae), (RMSE, evidence.rmse))
        if other is not None
    ]
    beside = (
        (evidence.recent, policy.recent_margin, policy.recent_min_rows),
        (evidence.uncapped, policy.uncapped_margin, policy.slice_min_rows),
        *((part, policy.slice_margin, policy.slice_min_rows) for part in evidence.slices),
    )
    for part, margin, fewest in beside:
        if part is not None and part.comparison is not None and part.rows >= fewest:
            rows.append((group_in_words(part.name), part.comparison, margin))
    return rows


def forest(evidence: Evidence, policy: GatePolicy) -> RenderedFigure | None:
    """Change of the error on all rows and on each part of them, with intervals; None without."""
    found = forest_rows(evidence, policy)
    if len(found) < 2:
        return None
    names = [f"{named(name)} ({count(c.rows)})" for name, c, _ in found]
    with canvas(0.8 + height_of_rows(names)) as (figure, axes):
        edge = _edge([c for _, c, _ in found])
        axes.axvline(0, color=LOOK.faint, lw=1, zorder=0)
        for y, (_, c, margin) in enumerate(found):
            if margin is not None and margin <= edge:
                axes.plot([margin, margin], [y - 0.4, y + 0.4], color=LOOK.bad, lw=1.5, ls=":")
            _draw_row(axes, y, c, edge, size=4 + 5 * (c.rows / found[0][1].rows) ** 0.5)
        rows(axes, names)
        scale(axes.xaxis, [-edge, edge], change_labels)
        label = metric_named(found[0][1].metric).label
        axes.set_xlabel(wrapped(f"change of the error ({label}); further left is better"))
        worst = max(found, key=lambda row: row[1].effect)
        alt = (
            f"Change of the error on {len(found)} sets of rows; the largest is "
            f"{change(worst[1].effect)}, on {worst[0]}."
        )
        return finished(figure, "forest", alt)


def _draw_row(axes: Axes, y: int, c: Comparison, edge: float, size: float) -> None:
    """An interval; an arrow where it goes on beyond the axis."""
    color = LOOK.bad if c.interval.lower > 0 else LOOK.good
    ends = np.clip([c.interval.lower, c.interval.upper], -edge, edge)
    axes.plot(ends, [y, y], color=color, lw=2)
    axes.plot([c.effect], [y], "s", color=color, ms=size)
    for goes_on, end, arrow in (
        (c.interval.lower < -edge, -edge, "<"),
        (c.interval.upper > edge, edge, ">"),
    ):
        if goes_on:
            axes.plot([end], [y], arrow, color=color, ms=6)


def _edge(comparisons: Sequence[Comparison]) -> float:
    """Half the width of the axis: all estimates, and the intervals but for the very widest."""
    reach = [max(abs(c.interval.lower), abs(c.interval.upper)) for c in comparisons]
    far = max(abs(c.effect) for c in comparisons)
    return max(float(np.quantile(reach, 0.9)), 1.1 * far, 0.01)


def characteristic(found: OperatingCharacteristic, effect: float | None = None) -> RenderedFigure:
    """How often a challenger passes, by how much worse or better it truly is."""
    with canvas(3.6) as (figure, axes):
        x = [point[0] for point in found.curve]
        y = [point[1] for point in found.curve]
        axes.plot(x, y, color=LOOK.ink, lw=2.2, label="this run")
        if found.earlier:
            first = [point[1] for point in found.first_curve]
            axes.plot(x, first, color=LOOK.faint, lw=1.2, ls=":", label="first comparison")
        axes.fill_between(x, y, where=[v >= 0 for v in x], color=LOOK.bad, alpha=0.16, lw=0)
        axes.fill_between(x, y, where=[v <= 0 for v in x], color=LOOK.good, alpha=0.10, lw=0)
        if effect is not None and x[0] <= effect <= x[-1]:
            measured = f"measured: {change(effect)}"
            axes.axvline(effect, color=LOOK.ink, lw=1, ls=DASHED, label=measured)
        if found.gain_needed is not None:
            gain = f"{change(-found.gain_needed)} passes in {percent(DETECTION, 0)} of runs"
            axes.plot([-found.gain_needed], [DETECTION], "o", color=LOOK.good, ms=7, label=gain)
        axes.plot(
            [found.regression], [found.passes], "D", color=LOOK.bad, ms=7,
            label=f"{change(found.regression)} passes in {percent(found.passes)} of runs",
        )  # fmt: skip
        points = [*x, found.regression, -(found.gain_needed or 0.0)]
        scale(axes.xaxis, points, change_labels, least=LEAST_CHANGE)
        scale(axes.yaxis, [0, 1], share_labels, zero=True)
        label = metric_named(found.metric).label
        axes.set_xlabel(wrapped(f"true change of the error ({label}); further left is better"))
        heading(axes, "probability of passing")
        legend(figure, axes)
        return finished(figure, "characteristic", found.message)


def drift_effects(drifts: Sequence[DriftReport], policy: GatePolicy) -> RenderedFigure | None:
    """The effect of each column in each table, against the effect that counts; None without."""
    shown = [d for d in drifts if d.columns]
    if not shown:
        return None
    names = list(dict.fromkeys(_column_name(c) for d in shown for c in d.columns))
    with canvas(1.9 + height_of_rows(names)) as (figure, axes):
        least = policy.drift.min_effect
        axes.axvline(least, color=LOOK.bad, lw=1.5, ls=DASHED, label=f"threshold {least:.3g}")
        for number, drift in enumerate(shown):
            style = number % len(LOOK.families)
            axes.plot(
                [c.effect for c in drift.columns],
                [names.index(_column_name(c)) for c in drift.columns], LOOK.markers[style],
                color=LOOK.families[style], ms=6,
                label=named(f"{drift.current} ({count(drift.rows)})"),
            )  # fmt: skip
        rows(axes, names)
        scale(axes.xaxis, [least, *(c.effect for d in shown for c in d.columns)], axis_labels, True)
        axes.set_xlabel(
            wrapped("distance of the distributions (0: the same, 1: nothing in common)")
        )
        heading(axes, f"against the {named(shown[0].reference)}")
        legend(figure, axes)
        largest = max((c for d in shown for c in d.columns), key=lambda c: c.effect)
        alt = (
            f"Drift of {len(names)} columns; the largest, {_column_name(largest)}: "
            f"{largest.effect:.2f} of 1, where {least:.3g} counts."
        )
        return finished(figure, "drift", alt)


def drift_shares(column: ColumnDrift, drift: DriftReport, number: int) -> RenderedFigure:
    """One column of some rows and of the reference, as shares; `number` keeps plots apart."""
    with canvas(3.0) as (figure, axes):
        where = np.arange(len(column.groups))
        axes.bar(
            where, column.reference_shares, width=0.9, color=LOOK.middle,
            label=named(drift.reference),
        )  # fmt: skip
        axes.stairs(
            column.shares, np.arange(len(where) + 1) - 0.5, color=LOOK.bad, lw=2,
            label=named(drift.current),
        )  # fmt: skip
        if column.kind == "number":
            ends = column.groups[0].split(" to ")[0], column.groups[-1].split(" to ")[-1]
            axes.set_xticks([-0.5, len(where) - 0.5], list(ends))
        else:
            few = where if len(where) <= MOST_GROUPS else where[:: -(-len(where) // MOST_GROUPS)]
            names = [named(column.groups[i])[:14] for i in few]
            axes.set_xticks(few, names, rotation=30, ha="right", rotation_mode="anchor")
        name = column.column
        unit = CATALOGUE[name].unit if name in CATALOGUE and column.kind == "number" else ""
        axes.set_xlabel(wrapped(named(_column_name(column)) + (f" ({unit})" if unit else "")))
        scale(axes.yaxis, [*column.reference_shares, *column.shares], share_labels, zero=True)
        heading(axes, f"share of {WORDING.rows}; distance {column.effect:.2f} of 1")
        legend(figure, axes)
        alt = f"{_column_name(column)} in the {drift.current} and in the {drift.reference}."
        return finished(figure, f"drift{number}", alt)


MOST_GROUPS = 6
"""Categories that are named below a plot."""


def _column_name(column: ColumnDrift) -> str:
    name = column.column.replace("_", " ")
    return f"{name} (missing)" if column.kind == "missing" else name


def holdout_reuse(runs: Sequence[tuple[datetime, HoldoutReuse]]) -> RenderedFigure | None:
    """Earlier decisions on each run's test set; below, the champion's error on unused rows relative
    to used ones, where it was measured. None for fewer than two runs.
    """
    ordered = sorted(runs, key=lambda each: each[0])
    if len(ordered) < 2:
        return None
    measured = [(day, w.difference) for day, w in ordered if w.difference is not None]
    with canvas(4.6 if measured else 2.6) as (figure, axes):
        days: list[Any] = [day for day, _ in ordered]
        decisions = [w.decisions for _, w in ordered]
        if measured:
            grid = figure.add_gridspec(2, 1)
            axes.set_subplotspec(grid[0])
            lower = figure.add_subplot(grid[1])
            lower.patch.set_visible(False)
            values = np.array([(d.value, d.lower, d.upper) for _, d in measured])
            lower.axhline(0, color=LOOK.faint, lw=0.8, ls=":")
            interval_lines(lower, [day for day, _ in measured], values, LOOK.good)
            scale(lower.yaxis, [0.0, *values.ravel()], change_labels, least=LEAST_CHANGE)
            heading(lower, "champion's error, unused against used rows")
            dates(lower, days)
        axes.plot(days, decisions, "o", color=LOOK.ink, ms=4, drawstyle="steps-post", ls="-", lw=1)
        counts(axes.yaxis, 0, max(decisions))
        dates(axes, days)
        heading(axes, "earlier decisions on the test set")
        alt = (
            f"Reuse of the test set over {len(ordered)} runs: {ordered[-1][1].decisions} "
            f"decisions served by now."
        )
        return finished(figure, "reuse", alt)
