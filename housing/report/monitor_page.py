"""Plots and page of the monitor: signals relative to their limits, and live errors."""

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from housing.formatting import with_unit
from housing.report.plot_style import (
    LOOK,
    AmountFormatter,
    RenderedFigure,
    canvas,
    dates,
    finished,
    named,
)

STYLE = Path(__file__).parent / "templates" / "page.css"
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
    with canvas(7.2, 2.8) as (figure, axes):
        for number, name in enumerate(shown):
            points: list[tuple[Any, float]] = [(at, v[name]) for at, v in history if name in v]
            days, values = zip(*points, strict=True)
            color, marker = LOOK.families[number], LOOK.markers[number]
            axes.plot(days, values, color=color, marker=marker, ms=4, lw=1.2, label=named(name))
        axes.axhline(1.0, color=LOOK.bad, lw=1.2, ls="--")
        axes.annotate(
            "limit", (0, 1), (2, 3), ("axes fraction", "data"), textcoords="offset points",
            color=LOOK.bad,
        )  # fmt: skip
        dates(axes)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("effect / limit")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, handletextpad=0.3)
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
    with canvas(7.2, 2.6) as (figure, axes):
        for number, model in enumerate(dict.fromkeys(model for _, model, _ in errors)):
            style = number % len(LOOK.families)
            rows = [(at, e) for at, name, e in errors if name == model]
            days: list[Any] = [at for at, _ in rows]
            values = [e["value"] for _, e in rows]
            ends = [
                [e["value"] - e["lower"] for _, e in rows],
                [e["upper"] - e["value"] for _, e in rows],
            ]
            axes.errorbar(
                days, values, yerr=ends, color=LOOK.families[style], marker=LOOK.markers[style],
                ms=4, lw=1.2, elinewidth=2, label=model,
            )  # fmt: skip
        dates(axes)
        axes.yaxis.set_major_formatter(AmountFormatter())
        axes.set_ylabel(f"live error\n{with_unit('RMSE')}")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=5)
        return finished(figure, "live", f"Live error by model, {len(errors)} measurements.")


def page(title: str, parts: Sequence[str]) -> str:
    """A complete page without scripts or external resources; `parts` are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE.read_text()}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{''.join(parts)}</body></html>"
    )


def picture(plot: RenderedFigure | None, none: str) -> str:
    """A plot for a page, with its text alternative."""
    if plot is None:
        return f"<p>{html.escape(none)}</p>"
    return f'<div role="img" aria-label="{html.escape(plot.alt)}">{plot.svg.decode()}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts; a cell `alarm` is marked."""
    cells = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    mark = ' class="alarm"' if text == "alarm" else ""
    return f"<td{mark}>{html.escape(text)}</td>"
