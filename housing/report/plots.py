"""Plots of a report. Lines and text are vectors; scatter points are rasterized in the SVG."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator

from housing.formatting import amount, axis_labels, bound, change, percent, value_text, with_unit
from housing.records import Comparison, Interval, Trial
from housing.report.data import Column, TestSet
from housing.report.plot_style import (
    LOOK,
    AmountFormatter,
    RenderedFigure,
    canvas,
    dates,
    finished,
    named,
    thinned,
)
from housing.schema import CATALOGUE, LABEL_CAP, LOCATION, WORDING

_DASHED = (0, (4, 2))
_DIVERGING = LinearSegmentedColormap.from_list("low-high", [LOOK.good, LOOK.middle, LOOK.bad])


def decision(
    comparisons: Mapping[str, Comparison], limit: float, limit_label: str
) -> RenderedFigure:
    """Each comparison (label -> figures, at least one) against the limit of its upper bound.

    The thick line ends at the one-sided bound, which decides; the thin one is two-sided.
    """
    with canvas(5.2, 1.0 + 0.6 * len(comparisons)) as (figure, axes):
        edges = [v for c in comparisons.values() for v in (c.interval.lower, c.interval.upper)]
        low, high = min(*edges, limit, 0.0), max(*edges, limit, 0.0)
        room = 0.15 * (high - low) or LOOK.error_limit / 10
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(len(comparisons) - 0.45, -0.65)
        axes.axvspan(low - room, limit, color=LOOK.good, alpha=0.10, lw=0)
        axes.axvspan(limit, high + room, color=LOOK.bad, alpha=0.16, lw=0)
        axes.axvline(0, color=LOOK.faint, lw=1)
        axes.axvline(limit, color=LOOK.bad, lw=1.5, ls=_DASHED)
        axes.annotate(
            f"{limit_label} {change(limit)}", (limit, 1), (0, 4), ("data", "axes fraction"),
            textcoords="offset points", ha="center", color=LOOK.bad,
        )  # fmt: skip
        for row, c in enumerate(comparisons.values()):
            _draw_interval(axes, row, c, limit)
        axes.set_yticks(range(len(comparisons)), [named(label) for label in comparisons])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: change(value)))
        axes.set_xlabel("change of the error (RMSE): further left is better")
        words = "; ".join(
            f"{label} {change(c.effect)}, interval {change(c.interval.lower)} to "
            f"{change(c.interval.upper)}, at worst {bound(c.upper)}".strip()
            for label, c in comparisons.items()
        )
        alt = f"Change of the error: {words}. {limit_label} {change(limit)}."
        return finished(figure, "decision", alt)


def _draw_interval(axes: Axes, row: int, c: Comparison, limit: float) -> None:
    color = LOOK.good if c.effect <= 0 and c.upper <= limit else LOOK.bad
    axes.plot([c.interval.lower, c.interval.upper], [row, row], color=color, lw=1.5)
    axes.plot([c.effect, c.upper], [row, row], color=color, lw=6, solid_capstyle="butt")
    axes.plot([c.effect], [row], "o", color=color, ms=9)
    axes.annotate(
        change(c.effect), (c.effect, row), (0, 8),
        textcoords="offset points", ha="center", fontweight="bold",
    )  # fmt: skip
    axes.annotate(
        f"at worst {bound(c.upper)}", (c.upper, row), (0, -7),
        textcoords="offset points", ha="center", va="top", fontsize=LOOK.font_size - 1,
    )  # fmt: skip


def search(trials: Sequence[Trial], best: int | None) -> RenderedFigure | None:
    """Score of each candidate by family with the spread of its folds, and the best so far.

    None where nothing was scored. Candidates far above the others are marked at the upper edge.
    """
    scored = sorted((t for t in trials if not t.error), key=lambda trial: trial.candidate.index)
    if not scored:
        return None
    with canvas(6.4, 3.0) as (figure, axes):
        edge = _upper_edge(scored)
        for number, family in enumerate(dict.fromkeys(t.candidate.family for t in trials)):
            _draw_family(axes, number, [t for t in scored if t.candidate.family == family], edge)
        indices = [trial.candidate.index for trial in scored]
        lowest = np.minimum.accumulate([min(trial.rmse, edge) for trial in scored])
        axes.step(indices, lowest, where="post", color=LOOK.faint, zorder=0, label="best so far")
        if failed := [trial.candidate.index for trial in trials if trial.error]:
            axes.plot(failed, [edge] * len(failed), "x", color=LOOK.bad, label="failed")
        for trial in scored:
            if trial.candidate.index == best:
                axes.annotate(
                    value_text(trial.so_far), (best, min(trial.fold_rmse)), (0, -12),
                    textcoords="offset points", ha="center", fontweight="bold",
                )  # fmt: skip
        axes.margins(x=0.05, y=0.15)
        if len(trials) == 1:
            axes.set_xlim(indices[0] - 1, indices[0] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(AmountFormatter())
        axes.set_xlabel("trial")
        axes.set_ylabel(f"error on unseen folds\n{with_unit('RMSE')}")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, handletextpad=0.3)
        first = min(scored, key=lambda trial: (trial.rmse, trial.so_far))
        count = sum(trial.stopped for trial in scored)
        stopped = f" and {count} were stopped as too far behind" if count else ""
        alt = (
            f"Scores of {len(trials)} trials, of which {len(failed)} failed{stopped}. "
            f"The lowest error is {amount(first.so_far)}: trial {first.candidate.index}, "
            f"{first.candidate.family}."
        )
        return finished(figure, "search", alt)


def _draw_family(axes: Axes, number: int, trials: Sequence[Trial], edge: float) -> None:
    style = number % len(LOOK.families)
    color, marker = LOOK.families[style], LOOK.markers[style]
    shown = [trial for trial in trials if trial.so_far <= edge]
    for trial in shown:
        ends = (min(trial.fold_rmse), min(max(trial.fold_rmse), edge))
        axes.plot([trial.candidate.index] * 2, ends, color=color, lw=1.2, alpha=0.7)
    where = [trial.candidate.index for trial in shown]
    label = named(trials[0].candidate.family) if trials else None
    axes.plot(where, [trial.so_far for trial in shown], marker, color=color, ms=6, label=label)
    for trial in trials:
        if trial.so_far > edge:
            axes.plot([trial.candidate.index], [edge], marker, color=color, ms=6, fillstyle="none")
            axes.annotate(
                f"\N{UPWARDS ARROW}{axis_labels([trial.so_far])[0]}",
                (trial.candidate.index, edge), (0, 6),
                textcoords="offset points", ha="center", fontsize=LOOK.font_size - 2,
            )  # fmt: skip


def _upper_edge(scored: Sequence[Trial]) -> float:
    """Score from which a candidate is marked at the edge, so that outliers do not flatten it."""
    scores = np.array([trial.so_far for trial in scored])
    middle, best = float(np.median(scores)), float(scores.min())
    spread = max(max(trial.fold_rmse) for trial in scored if trial.so_far <= middle)
    return max(best + LOOK.search_range * (middle - best), spread)


def importances(values: Mapping[str, float], unit: str) -> RenderedFigure:
    """The largest importances (at least one) as bars, the largest on top."""
    top = sorted(values.items(), key=lambda item: item[1], reverse=True)[: LOOK.most_bars]
    with canvas(4.8, 0.7 + 0.25 * len(top)) as (figure, axes):
        names = [named(name) for name, _ in top]
        axes.barh(range(len(top)), [value for _, value in top], color=LOOK.good, height=0.7)
        axes.set_yticks(range(len(top)), names)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(unit)
        alt = f"Importances of columns; the most important: {', '.join(names[:3])}."
        return finished(figure, "importances", alt)


def predicted_vs_actual(test: TestSet) -> RenderedFigure:
    """Predicted against recorded values; on the line a prediction is exact."""
    rows = thinned(len(test.actual))
    with canvas(4.6, 4.3) as (figure, axes):
        both = np.concatenate([test.actual, test.predicted])
        low, high = float(both.min()), float(both.max())
        low = min(low, 0.0) if low < high / 2 else low  # the axes begin at zero if it is near
        top, bottom = high + 0.04 * (high - low), low - (0.04 * (high - low) if low else 0)
        axes.scatter(
            test.actual[rows], test.predicted[rows],
            s=6, color=LOOK.good, alpha=0.35, lw=0, rasterized=True,
        )  # fmt: skip
        axes.plot([bottom, top], [bottom, top], color=LOOK.ink, lw=1)
        exact = bottom + 0.2 * (top - bottom)
        axes.annotate("exact", (exact, exact), (8, -8), textcoords="offset points", va="top")
        capped = 0 if LABEL_CAP is None else int(np.sum(test.actual >= LABEL_CAP))
        if capped and LABEL_CAP is not None:
            axes.axvline(LABEL_CAP, color=LOOK.bad, lw=1, ls=_DASHED)
            axes.annotate(
                f"{capped:,} at the cap\nof the records", (LABEL_CAP, bottom), (-5, 5),
                textcoords="offset points", color=LOOK.bad, ha="right",
            )  # fmt: skip
        axes.set_xlim(bottom, top)
        axes.set_ylim(bottom, top)
        axes.set_aspect("equal")
        for axis, word in ((axes.xaxis, "recorded"), (axes.yaxis, "predicted")):
            axis.set_major_formatter(AmountFormatter())
            axis.set_label_text(with_unit(f"{word} {WORDING.value}"))
        near = np.abs(test.predicted - test.actual) <= LOOK.far_off * np.abs(test.actual)
        alt = (
            f"Predicted against recorded {WORDING.value} of {len(test.actual):,} test "
            f"{WORDING.rows}; "
            f"{percent(float(near.mean()), 0)} of them are within {percent(LOOK.far_off, 0)}."
        )
        return finished(figure, "predicted", alt)


def error_map(test: TestSet) -> RenderedFigure | None:
    """Where the challenger's predictions are too high and too low; one point a test row.

    None for a table without a location.
    """
    if test.coordinates is None or LOCATION is None:
        return None
    rows = thinned(len(test.actual))
    x, y = (values[rows] for values in test.coordinates)
    relative = _relative_error(test.predicted[rows], test.actual[rows])
    with canvas(4.6, 5.2) as (figure, axes):
        cloud = axes.scatter(
            x, y, c=relative,
            s=8, lw=0, alpha=0.9, rasterized=True,
            cmap=_DIVERGING, norm=Normalize(-LOOK.error_limit, LOOK.error_limit),
        )  # fmt: skip
        axes.set_aspect(1 / LOCATION.ratio)
        for axis, name in zip((axes.xaxis, axes.yaxis), LOCATION.columns, strict=True):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_label_text(f"{CATALOGUE[name].label} ({CATALOGUE[name].unit})")
        percents = FuncFormatter(lambda value, _: change(value, 0))
        bar = figure.colorbar(
            cloud, ax=axes, location="bottom", shrink=0.8, aspect=30, extend="both", format=percents
        )
        bar.outline.set_visible(False)
        if bar.solids is not None:
            bar.solids.set_rasterized(True)
        bar.set_label("predicted too low  \N{LEFT RIGHT ARROW}  too high")
        high = percent(float(np.mean(relative > LOOK.far_off)), 0)
        low = percent(float(np.mean(relative < -LOOK.far_off)), 0)
        far = percent(LOOK.far_off, 0)
        alt = (
            f"Map of the errors: {high} of {WORDING.rows} are more than {far} too high, {low} too "
            "low."
        )
        return finished(figure, "map", alt)


def _relative_error(predicted: Column, actual: Column) -> Column:
    """(predicted - actual) / |actual|, shape (n,); where actual is 0 infinite, or 0 if exact."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative: Column = (predicted - actual) / np.abs(actual)
    return np.nan_to_num(relative, nan=0.0, posinf=np.inf, neginf=-np.inf)


def history(runs: Sequence[tuple[datetime, Interval]]) -> RenderedFigure:
    """The champion's error per run (at least one), each on that run's test set."""
    with canvas(6.4, 2.4) as (figure, axes):
        ordered = sorted(runs, key=lambda each: each[0])
        days: list[Any] = [day for day, _ in ordered]
        values = [interval.value for _, interval in ordered]
        ends = [[i.value - i.lower for _, i in ordered], [i.upper - i.value for _, i in ordered]]
        axes.errorbar(days, values, yerr=ends, fmt="none", ecolor=LOOK.good, alpha=0.45, lw=2)
        axes.plot(days, values, "o-", color=LOOK.good, ms=5, lw=1.2)
        axes.annotate(
            value_text(values[-1]), (days[-1], values[-1]), (8, 0), va="center",
            textcoords="offset points", fontweight="bold", annotation_clip=False,
        )  # fmt: skip
        axes.yaxis.set_major_formatter(AmountFormatter())
        axes.margins(x=0.08, y=0.15)
        dates(axes)
        axes.set_ylabel(f"champion's error\n{with_unit('RMSE')}")
        alt = (
            f"The champion's error over {len(values)} runs: first {amount(values[0])}, last "
            f"{amount(values[-1])}, highest {amount(max(values))}."
        )
        return finished(figure, "history", alt)
