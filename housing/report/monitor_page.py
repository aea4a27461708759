"""Plots and page of the monitor: signals relative to their limits, and live errors."""

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from housing.formatting import axis_labels, with_unit
from housing.monitoring.signals import STATES
from housing.report.design.stylesheet import css
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
        heading(axes, "effect as a multiple of its limit")
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


def page(title: str, parts: Sequence[str], notices: Sequence[str] = ()) -> str:
    """A complete page without scripts or external resources; `parts` are HTML, notices text."""
    shown = (f'<p class="notice" role="alert">{html.escape(text)}</p>' for text in notices)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{css()}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{''.join(shown)}<main>{''.join(parts)}</main></body></html>"
    )


def section(title: str, parts: Sequence[str]) -> str:
    """A panel of a page; `parts` are HTML."""
    return f"<section><h2>{html.escape(title)}</h2>{''.join(parts)}</section>"


def picture(plot: RenderedFigure | None, none: str) -> str:
    """A plot for a page, with its text alternative."""
    if plot is None:
        return f"<p>{html.escape(none)}</p>"
    return (
        f'<div class="plot" role="img" aria-label="{html.escape(plot.alt)}">'
        f"{plot.svg.decode()}</div>"
    )


_COLORS = {"alarm": "bad", "watching": "wait", "calm": "quiet"}


def signals(rows: Sequence[tuple[str, str, str]]) -> str:
    """A table of signals (state, name, message), the most urgent first, and what a state means."""
    ordered = sorted(rows, key=lambda row: list(STATES).index(row[0]))
    body = "".join(
        f'<tr><td class="mark {_COLORS[state]}">{state}</td><th scope="row">{html.escape(name)}'
        f"</th><td>{html.escape(message)}</td></tr>"
        for state, name, message in ordered
    )
    head = "".join(f'<th scope="col">{text}</th>' for text in ("State", "Signal", "Message"))
    meanings = "; ".join(f"<strong>{name}</strong>: {text}" for name, text in STATES.items())
    return (
        f'<table class="stack"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f'<p class="hint">{meanings}.</p>'
    )
