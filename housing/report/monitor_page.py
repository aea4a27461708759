"""Plots and page of the monitor: signals relative to their limits, and live errors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from housing.formatting import axis_labels, with_unit
from housing.monitoring.live_error import ASSUMED
from housing.monitoring.signals import STATES, label_of, state
from housing.report.plot_style import (
    LOOK,
    MOST_BARS,
    RenderedFigure,
    canvas,
    dates,
    finished,
    heading,
    interval_lines,
    legend,
    named,
    scale,
)
from housing.report.run_page import page

MOST_LINES = 5
"""Signals with a line of their own: those nearest to their limits."""

History = Sequence[tuple[datetime, Mapping[str, float]]]
"""For each window: when, and each signal's effect as a share of its limit."""


def distance(history: History) -> RenderedFigure | None:
    """Signals against their limits over time; None where nothing was measured."""
    names = sorted({name for _, values in history for name in values})
    if not names:
        return None
    peak = {name: max(values.get(name, 0.0) for _, values in history) for name in names}
    shown = sorted(names, key=lambda name: -peak[name])[:MOST_LINES]
    with canvas(3.4) as (figure, axes):
        for number, name in enumerate(shown):
            points = [(at, v[name]) for at, v in history if name in v]
            days, values = zip(*points, strict=True)
            color, marker = LOOK.families[number], LOOK.markers[number]
            size = 4 if len(history) <= MOST_BARS else 0
            axes.plot(days, values, color=color, marker=marker, ms=size, lw=1.2, label=named(name))
        axes.axhline(1.0, color=LOOK.bad, lw=1.2, ls="--", label="limit")
        dates(axes, [at for at, _ in history], "window")
        drawn = [v[name] for _, v in history for name in shown if name in v]
        scale(axes.yaxis, [*drawn, 1.0], axis_labels, zero=True)
        heading(axes, "value as a multiple of its limit")
        legend(figure, axes)
        over = [name for name in shown if peak[name] > 1]
        alt = (
            f"Signals over {len(history)} windows; beyond their limit: {', '.join(over) or 'none'}."
        )
        return finished(figure, "distance", alt)


def live(
    errors: Sequence[tuple[datetime, str, Mapping[str, float]]],
) -> RenderedFigure | None:
    """Live error of each model with its interval, per monitoring run; None without data."""
    if not errors:
        return None
    with canvas(3.0) as (figure, axes):
        for number, model in enumerate(dict.fromkeys(model for _, model, _ in errors)):
            style = number % len(LOOK.families)
            rows = [(at, e) for at, name, e in errors if name == model]
            days: list[Any] = [at for at, _ in rows]
            color = LOOK.families[style]
            values = np.array([(e["value"], e["lower"], e["upper"]) for _, e in rows])
            interval_lines(axes, days, values, color)
            marker = LOOK.markers[style] if len(rows) <= MOST_BARS else "-"
            axes.plot(days, values[:, 0], marker, color=color, ms=4, label=model)
        dates(axes, [at for at, *_ in errors], "run of the monitor")
        limits = [e[end] for _, _, e in errors for end in ("value", "lower", "upper")]
        scale(axes.yaxis, limits, axis_labels)
        heading(axes, with_unit("live error, RMSE"))
        legend(figure, axes)
        return finished(figure, "live", f"Live error by model, {len(errors)} measurements.")


COLOURS = {"alarm": "bad", "watching": "wait", "calm": "quiet"}


def render(windows: Mapping[str, Sequence[Any]], notices: Sequence[str]) -> str:
    """The page of the monitor; `windows` are recorded rows by the title of their source."""
    errors = [
        (r.recorded_at, e["model"], e["rmse"])
        for rows in windows.values() for r in rows for e in r.errors
    ]  # fmt: skip
    drawn = [(title, rows[-1] if rows else None, distance([*map(_shares, rows)]))
             for title, rows in windows.items()]  # fmt: skip
    shown = {"windows": drawn, "live": live(errors), "STATES": STATES, "state_of": state,
             "label_of": label_of, "ASSUMED": ASSUMED}  # fmt: skip
    return page("Monitoring", notices, template="monitor.html", COLOURS=COLOURS, **shown)


def _shares(row: Any) -> tuple[datetime, dict[str, float]]:
    measured = (s for s in row.signals if s["limit"] and s["effect"])
    return row.recorded_at, {label_of(s): s["effect"] / s["limit"] for s in measured}
