"""Plots of the gate's evidence: slices, operating characteristic, drift, test-set reuse."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from housing.formatting import change, count, percent
from housing.gate import decision_rule
from housing.gate.evidence import Evidence, HoldoutReuse
from housing.gate.policy import GatePolicy
from housing.gate.power import DETECTION, OperatingCharacteristic
from housing.records import ColumnDrift, Comparison, DriftReport, Interval
from housing.report.plot_style import LOOK, RenderedFigure, canvas, dates, finished, named

_DASHED = (0, (4, 2))
_changes = FuncFormatter(lambda value, _: change(value, 0))
_shares = FuncFormatter(lambda value, _: percent(value, 0))


ForestRow = tuple[str, Comparison, float | None]


def forest_rows(evidence: Evidence, policy: GatePolicy) -> list[ForestRow]:
    """Rows of the forest plot: name, comparison, tolerated increase (None without a check)."""
    rows: list[ForestRow] = []
    if evidence.comparison is not None:
        limit = decision_rule.limit(decision_rule.effective_policy(evidence, policy))
        rows.append(("all rows", evidence.comparison, limit))
    if evidence.mae is not None:
        rows.append(("all rows, mean absolute error", evidence.mae, None))
    beside = (
        (evidence.recent, policy.recent_margin, policy.recent_min_rows),
        (evidence.uncapped, policy.uncapped_margin, policy.slice_min_rows),
        *((part, policy.slice_margin, policy.slice_min_rows) for part in evidence.slices),
    )
    for part, margin, fewest in beside:
        if part is not None and part.comparison is not None and part.rows >= fewest:
            rows.append((part.name, part.comparison, margin))
    return rows


def forest(evidence: Evidence, policy: GatePolicy) -> RenderedFigure | None:
    """Change of the error on all rows and on each part of them, with intervals; None without."""
    rows = forest_rows(evidence, policy)
    if len(rows) < 2:
        return None
    with canvas(5.0, 0.9 + 0.24 * len(rows)) as (figure, axes):
        edge = _edge([c for _, c, _ in rows])
        axes.axvline(0, color=LOOK.faint, lw=1, zorder=0)
        for y, (_, c, margin) in enumerate(rows):
            color = LOOK.bad if c.interval.lower > 0 else LOOK.good
            if margin is not None:
                axes.plot([margin, margin], [y - 0.4, y + 0.4], color=LOOK.bad, lw=1.5, ls=":")
            ends = np.clip([c.interval.lower, c.interval.upper], -edge, edge)
            axes.plot(ends, [y, y], color=color, lw=2)
            size = 4 + 5 * (c.rows / rows[0][1].rows) ** 0.5
            axes.plot([np.clip(c.effect, -edge, edge)], [y], "s", color=color, ms=size)
        axes.set_yticks(range(len(rows)), [f"{named(n)}  ({count(c.rows)})" for n, c, _ in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(-1.05 * edge, 1.05 * edge)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(_changes)
        axes.set_xlabel("change of the error: further left is better")
        worst = max(rows, key=lambda row: row[1].effect)
        alt = (
            f"Change of the error on {len(rows)} sets of rows; the largest is "
            f"{change(worst[1].effect)}, on {worst[0]}."
        )
        return finished(figure, "forest", alt)


def _edge(comparisons: Sequence[Comparison]) -> float:
    """Half the width of the axis: all estimates, and the intervals but for the very widest."""
    reach = [max(abs(c.interval.lower), abs(c.interval.upper)) for c in comparisons]
    far = max(abs(c.effect) for c in comparisons)
    return max(float(np.quantile(reach, 0.9)), 1.1 * far, 0.01)


def characteristic(found: OperatingCharacteristic, effect: float | None = None) -> RenderedFigure:
    """How often a challenger passes, by how much worse or better it truly is."""
    with canvas(5.0, 2.6) as (figure, axes):
        x = [point[0] for point in found.curve]
        y = [point[1] for point in found.curve]
        axes.plot(x, y, color=LOOK.good, lw=2.2, label="this run")
        if found.earlier:
            first = [point[1] for point in found.first_curve]
            axes.plot(x, first, color=LOOK.faint, lw=1.2, ls=":", label="first comparison")
            axes.legend(loc="upper right")
        axes.fill_between(x, y, where=[v >= 0 for v in x], color=LOOK.bad, alpha=0.16, lw=0)
        axes.fill_between(x, y, where=[v <= 0 for v in x], color=LOOK.good, alpha=0.10, lw=0)
        axes.plot([found.regression], [found.passes], "o", color=LOOK.bad, ms=6)
        axes.annotate(
            f"{change(found.regression)} worse passes\nin {percent(found.passes)} of runs",
            (found.regression, found.passes), (12, 16), textcoords="offset points",
            color=LOOK.bad, va="bottom",
        )  # fmt: skip
        if found.gain_needed is not None:
            axes.plot([-found.gain_needed], [DETECTION], "o", color=LOOK.good, ms=6)
            # On the side of the curve away from the measured change.
            right = effect is not None and effect < -found.gain_needed
            axes.annotate(
                f"{change(-found.gain_needed)} passes\nin {percent(DETECTION, 0)} of runs",
                (-found.gain_needed, DETECTION), (10, 2) if right else (-10, -4),
                textcoords="offset points", ha="left" if right else "right",
                va="center" if right else "top",
            )  # fmt: skip
        if effect is not None and x[0] <= effect <= x[-1]:
            axes.axvline(effect, color=LOOK.ink, lw=1, ls=_DASHED)
            axes.annotate(
                f"measured {change(effect)}", (effect, 1.0), (4, 4),
                textcoords="offset points", annotation_clip=False,
            )  # fmt: skip
        axes.set_ylim(0, 1.02)
        axes.set_xlim(x[0], x[-1])
        axes.xaxis.set_major_formatter(_changes)
        axes.yaxis.set_major_formatter(_shares)
        axes.set_xlabel("true change of the challenger's error: further left is better")
        axes.set_ylabel("chance of passing")
        return finished(figure, "characteristic", found.message)


def drift_effects(drifts: Sequence[DriftReport], policy: GatePolicy) -> RenderedFigure | None:
    """The effect of each column in each table, against the effect that counts; None without."""
    shown = [d for d in drifts if d.columns]
    if not shown:
        return None
    names = list(dict.fromkeys(_column_name(c) for d in shown for c in d.columns))
    with canvas(6.4, 0.9 + 0.25 * len(names)) as (figure, axes):
        axes.axvline(policy.drift.min_effect, color=LOOK.bad, lw=1.5, ls=_DASHED)
        for number, drift in enumerate(shown):
            style = number % len(LOOK.families)
            rows = [names.index(_column_name(c)) for c in drift.columns]
            axes.plot(
                [c.effect for c in drift.columns], rows, LOOK.markers[style],
                color=LOOK.families[style], ms=6, label=f"{drift.current} ({count(drift.rows)})",
            )  # fmt: skip
        axes.set_yticks(range(len(names)), [named(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"difference from the {shown[0].reference} (0 the same, 1 all)")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, handletextpad=0.3)
        largest = max((c for d in shown for c in d.columns), key=lambda c: c.effect)
        alt = f"Drift of {len(names)} columns; the largest, {_column_name(largest)}: "
        return finished(figure, "drift", f"{alt}{largest.effect:.2f}.")


def drift_shares(column: ColumnDrift, drift: DriftReport, number: int) -> RenderedFigure:
    """One column of some rows and of the reference, as shares; `number` keeps plots apart."""
    with canvas(3.4, 2.2) as (figure, axes):
        where = np.arange(len(column.groups))
        axes.bar(
            where, column.reference_shares, width=0.9, color=LOOK.middle, label=drift.reference
        )
        axes.step(
            np.r_[where - 0.45, where[-1] + 0.45], np.r_[column.shares, column.shares[-1]],
            where="post", color=LOOK.bad, lw=2, label=drift.current,
        )  # fmt: skip
        if column.kind == "number":
            axes.set_xticks([])
            axes.set_xlabel(f"{column.groups[0].split(' to ')[0]} to "
                            f"{column.groups[-1].split(' to ')[-1]}")  # fmt: skip
        else:
            axes.set_xticks(where, [named(g) for g in column.groups], rotation=30, ha="right")
        axes.yaxis.set_major_formatter(_shares)
        axes.set_title(f"{named(_column_name(column))}: {column.effect:.2f}", loc="left")
        axes.legend(fontsize=LOOK.font_size - 2)
        alt = f"{_column_name(column)} in the {drift.current} and in the {drift.reference}."
        return finished(figure, f"drift{number}", alt)


def _column_name(column: ColumnDrift) -> str:
    name = column.column.replace("_", " ")
    return f"{name} (missing)" if column.kind == "missing" else name


def holdout_reuse(runs: Sequence[tuple[datetime, HoldoutReuse]]) -> RenderedFigure | None:
    """Earlier decisions on each run's test set, and the champion's error on unused rows relative
    to used ones; None for fewer than two runs.
    """
    ordered = sorted(runs, key=lambda each: each[0])
    if len(ordered) < 2:
        return None
    with canvas(6.4, 2.4) as (figure, axes):
        days: list[Any] = [day for day, _ in ordered]
        axes.step(days, [w.decisions for _, w in ordered], where="mid", color=LOOK.faint)
        axes.set_ylabel("decisions served")
        axes.set_ylim(bottom=0)
        right = axes.twinx()
        right.patch.set_visible(False)
        measured: list[tuple[Any, Interval]] = [
            (day, w.difference) for day, w in ordered if w.difference is not None
        ]
        right.axhline(0, color=LOOK.faint, lw=0.8, ls=":")
        for day, d in measured:
            right.plot([day, day], [d.lower, d.upper], color=LOOK.good, lw=2, alpha=0.5)
            right.plot([day], [d.value], "o", color=LOOK.good, ms=5)
        right.set_ylabel("champion's error on\nfresh rows, against used")
        right.spines["right"].set_visible(True)
        right.yaxis.set_major_formatter(_changes)
        axes.margins(x=0.05)
        dates(axes)
        alt = (
            f"Reuse of the test set over {len(ordered)} runs: {ordered[-1][1].decisions} "
            f"decisions served by now."
        )
        return finished(figure, "reuse", alt)
