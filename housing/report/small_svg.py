"""Small pictures written as SVG directly: histograms and a grid of correlations.

Matplotlib takes 60 ms for a histogram; a page of a dataset has one a column.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import escape

from housing.formatting import count, number, percent, unbroken
from housing.problem import MINUS
from housing.quality.description import Correlations, NumberFacts
from housing.report.design.palette import LIGHT
from housing.report.plot_style import RenderedFigure

WIDTH, HEIGHT, TOP, BOTTOM = 240, 124, 18, 100  # of a histogram
CELL, LEFT, ABOVE = 30, 150, 130  # of the grid


def histogram(label: str, unit: str, facts: NumberFacts, cap: float | None) -> RenderedFigure:
    """How often values of a column occur: bars between its ends, the median, the cap."""
    low, end = facts.edges[0], facts.edges[-1]
    span = (end - low) or 1.0

    def x(value: float) -> float:
        return 4 + (WIDTH - 8) * (value - low) / span

    step = (BOTTOM - TOP - 4) / (max(facts.counts) or 1)
    bars = " ".join(
        f"M{x(a):.1f} {BOTTOM}V{BOTTOM - step * rows:.1f}H{x(b):.1f}V{BOTTOM}Z"
        for (a, b), rows in zip(pairwise(facts.edges), facts.counts, strict=True)
        if rows
    )
    median = facts.quartiles[2]
    parts = [
        f'<path d="{bars}" fill="{_colour("good")}" fill-opacity="0.75"/>',
        _line(x(median), "ink"),
        _text(min(max(x(median), 60), WIDTH - 60), 12, f"median {number(median)}", "middle"),
        _text(4, HEIGHT - 8, number(low)),
        _text(WIDTH - 4, HEIGHT - 8, number(end), "end"),
        f'<path d="M4 {BOTTOM}H{WIDTH - 4}" stroke="{_colour("edge")}"/>',
    ]
    notes = [label, *([unit] if unit and unit not in label else [])]
    if cap is not None and facts.at_cap and low <= cap <= end:
        parts.append(_line(x(cap), "bad", dashed=True))
        notes.append(f"{percent(facts.at_cap)} at the cap of {number(cap)}")
    if facts.beyond:
        highest = number(facts.quartiles[-1])
        notes.append(f"{count(facts.beyond)} higher values up to {highest}")
    return _drawn(WIDTH, HEIGHT, parts, unbroken("; ".join(notes)))


def grid(found: Correlations, labels: Sequence[str]) -> RenderedFigure:
    """Correlations of each pair of columns as coloured cells with their figures."""
    size = len(labels)
    parts = []
    for (row, column), value in np.ndenumerate(found.values):
        if np.isnan(value):
            continue
        px, py = LEFT + CELL * column, ABOVE + CELL * row
        hue = _colour("good" if value > 0 else "bad")
        parts.append(
            f'<rect x="{px}" y="{py}" width="{CELL}" height="{CELL}" fill="{hue}" '
            f'fill-opacity="{0.8 * abs(value):.2f}"/>'
        )
        figure = f"{round(value, 1) + 0.0:.1f}".replace("-", MINUS)  # no minus before zero
        parts.append(_text(px + CELL / 2, py + CELL / 2 + 4, figure, "middle"))
    for place, label in enumerate(labels):
        middle = CELL * place + CELL / 2
        parts.append(_text(LEFT - 6, ABOVE + middle + 4, label, "end"))
        parts.append(
            f'<g transform="translate({LEFT + middle + 4} {ABOVE - 6}) rotate(-60)">'
            f"{_text(0, 0, label)}</g>"
        )
    alt = f"Correlations of {size} columns with each other."
    return _drawn(LEFT + CELL * size + 60, ABOVE + CELL * size, parts, alt)


def _colour(name: str) -> str:
    return f"var(--{name}, {LIGHT[name]})"


def _line(x: float, name: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 2"' if dashed else ""
    return f'<path d="M{x:.1f} {TOP}V{BOTTOM}" stroke="{_colour(name)}" stroke-width="1.2"{dash}/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" '
        f'fill="{_colour("ink")}">{escape(words)}</text>'
    )


def _drawn(width: float, height: float, parts: Sequence[str], alt: str) -> RenderedFigure:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return RenderedFigure(f"{head}{''.join(parts)}</svg>".encode(), alt)
