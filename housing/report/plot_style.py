"""Plot style: sizes, axes that cannot mislead, and SVG output, without global state.

Every plot has the width of a phone's screen, so that text has one size on a page. Ticks of an axis
are distinct, limits contain what is drawn, and each axis is named above or below it.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, num2date
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import Formatter, MaxNLocator

from housing.report.design.palette import DARK, LIGHT


@dataclass(frozen=True)
class RenderedFigure:
    """An SVG document and its text alternative."""

    svg: bytes
    alt: str


@dataclass(frozen=True)
class PlotStyle:
    """Colours of the light mode, sizes and limits."""

    ink: str = LIGHT["ink"]
    faint: str = LIGHT["edge"]
    good: str = LIGHT["good"]
    bad: str = LIGHT["bad"]
    middle: str = LIGHT["middle"]
    families: tuple[str, ...] = tuple(LIGHT[f"series-{number}"] for number in range(1, 6))
    markers: tuple[str, ...] = ("o", "s", "D", "^", "v")
    width: float = 4.4  # inches: 10 points are 10.8 pixels where a plot is 343 pixels wide
    font_size: float = 10  # points
    most_points: int = 6_000  # drawn in a cloud: every k-th row beyond
    most_bars: int = 12
    longest_name: int = 36  # characters; a longer one would leave no room for the picture
    line: int = 42  # characters of an axis' name in one line
    least_span: float = 2e-3  # of an axis, relative to its largest value
    far_off: float = 0.2  # relative error that counts as far off
    search_range: float = 2.5  # distances from the best to the middle candidate that are shown


LOOK = PlotStyle()

_SERIES = tuple(name for name in LIGHT if name.startswith("series-"))
_RECOLOURED = ("ink", "edge", "good", "bad", "middle", *_SERIES)
"""Colours of the palette that plots use; a page in dark mode sets these variables."""

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: smaller, selectable, in the page's own font
    "svg.hashsalt": "housing",  # the same figure gives the same bytes
    "font.family": "sans-serif",
    "font.size": LOOK.font_size,
    "text.color": LOOK.ink,
    "text.parse_math": False,  # a $ in a name is a $
    "axes.edgecolor": LOOK.faint,
    "axes.labelcolor": LOOK.ink,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LOOK.faint,
    "ytick.color": LOOK.faint,
    "xtick.labelcolor": LOOK.ink,
    "ytick.labelcolor": LOOK.ink,
    "axes.titlesize": LOOK.font_size,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": LOOK.font_size,
    "legend.handletextpad": 0.4,
    "legend.borderpad": 0.3,
}


@contextmanager
def canvas(height: float, width: float = LOOK.width) -> Iterator[tuple[Figure, Axes]]:
    """A transparent figure (inches) of its own, which no global list of figures holds."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        yield figure, axes


def named(name: str) -> str:
    """A name as a plot can show it."""
    words = " ".join(name.replace("_", " ").split())
    return words if len(words) <= LOOK.longest_name else f"{words[: LOOK.longest_name - 1]}…"


def wrapped(text: str, width: int = LOOK.line) -> str:
    """A text in two lines of at most `width` characters."""
    return textwrap.fill(text, width, max_lines=2, placeholder="…")


def thinned(rows: int) -> slice:
    """Every k-th row, so that a cloud never holds more points than can be seen."""
    return slice(None, None, max(-(-rows // LOOK.most_points), 1))


# --- axes ---------------------------------------------------------------------------------


class Ticks(Formatter):
    """Labels that are made for all ticks of an axis at once, so that they are distinct."""

    def __init__(self, labels: Callable[[Sequence[float]], list[str]]) -> None:
        """`labels` are those of the values that it is given."""
        self._labels = labels

    def __call__(self, value: float, pos: int | None = None) -> str:
        """One value by itself."""
        return self._labels([value])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """All ticks of an axis."""
        return self._labels(values)


def scale(
    axis: Axis,
    values: Any,
    labels: Callable[[Sequence[float]], list[str]],
    zero: bool = False,
    least: float = 0.0,
) -> None:
    """Limits that contain all finite values, and distinct ticks.

    An axis spans `least` and `LOOK.least_span` at least; with `zero` it contains zero.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    span = max(high - low, least, LOOK.least_span * max(abs(low), abs(high))) or 1.0
    middle, half = (low + high) / 2, 0.56 * span
    start = 0.0 if zero and low == 0 else middle - half
    end = 0.0 if zero and high == 0 and low < 0 else middle + half
    axis._set_lim(start, end, auto=False)  # type: ignore[attr-defined]
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(Ticks(labels))


def counts(axis: Axis, low: float, high: float) -> None:
    """An axis of whole numbers, half a unit longer than its values."""
    axis._set_lim(low - 0.5, high + 0.5, auto=False)  # type: ignore[attr-defined]
    axis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    axis.set_major_formatter(Ticks(lambda values: [f"{value:,.0f}" for value in values]))


def rows(axes: Axes, names: Sequence[str]) -> None:
    """A vertical axis of names, the first on top."""
    shown: list[str] = []
    for name in names:  # names that differ only where they are cut are numbered
        label = wrapped(named(name), 20)
        shown.append(label if label not in shown else f"{label} {len(shown) + 1}")
    axes.set_yticks(range(len(names)), shown)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def height_of_rows(names: Sequence[str]) -> float:
    """Inches that `rows` takes; a name may need two lines."""
    each = 0.42 if any("\n" in wrapped(named(name), 20) for name in names) else 0.36
    return each * max(len(names), 2)


def heading(axes: Axes, name: str, above: float = 0) -> None:
    """The name of the vertical axis, horizontally above it; `above` leaves room, in points."""
    axes.set_title(wrapped(name), pad=6 + above)


def legend(figure: Figure, axes: Axes) -> None:
    """A legend above the plot, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    for columns in range(len(labels), 0, -1):
        drawn = figure.legend(handles, labels, loc="outside upper left", ncols=columns)
        width = drawn.get_window_extent(figure._get_renderer()).width  # type: ignore[attr-defined]
        if width < 0.97 * figure.bbox.width:
            break
        if columns > 1:
            drawn.remove()


FORMATS = (
    "%-d %b", "%Y", "%b\n%Y", "%H:%M", "%H:%M\n%-d %b", "%H:%M:%S", "%H:%M:%S\n%-d %b",
    "%H:%M:%S.%f",
)  # fmt: skip
"""Of a date axis; the first by which all ticks differ."""

LEAST_DAYS = 1 / 1440
"""Length of a date axis: a minute."""


def dates(axes: Axes, days: Sequence[datetime], what: str = "run") -> None:
    """A date axis (UTC) from the first to the last of `days`."""
    low, high = (float(mpl.dates.date2num(day)) for day in (min(days), max(days)))  # type: ignore[no-untyped-call]
    half = 0.53 * max(high - low, LEAST_DAYS)
    axes.set_xlim((low + high) / 2 - half, (low + high) / 2 + half)
    # A time of day is longer than a day. With fewer than 5, no step fits between 90 and 120 s.
    few = 5 if high - low < 3 else 6
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=few))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(Ticks(_days))
    first, last = min(days), max(days)
    period = f"{first:%Y}" if first.year == last.year else f"{first:%Y} to {last:%Y}"
    if first.date() == last.date():
        period = f"{first:%-d %B %Y}"
    axes.set_xlabel(f"{what}, {period} (UTC)")


def _days(values: Sequence[float]) -> list[str]:
    times = [num2date(value) for value in values]  # type: ignore[no-untyped-call]
    for form in FORMATS:
        labels = [time.strftime(form) for time in times]
        if len(set(labels)) == len(labels):
            break
    return labels


def dots(axes: Axes, x: Any, y: Any, color: str, size: float, alpha: float) -> None:
    """A cloud, shapes (n,), as one path of round dots: small as a file, in the page's colours."""
    vertices = np.repeat(np.column_stack([x, y]), 2, axis=0)
    path = Path(vertices, np.tile([Path.MOVETO, Path.LINETO], len(x)).astype(Path.code_type))
    path.should_simplify = False
    # Not add_patch, which looks for the extent of each of the lines.
    axes.add_artist(
        PathPatch(path, edgecolor=color, fill=False, lw=size, capstyle="round", alpha=alpha)
    )
    axes.update_datalim(vertices)


def interval_lines(axes: Axes, days: Sequence[Any], values: npt.NDArray[Any], color: str) -> None:
    """Values with their limits over time, shape (n, 3) as value, lower, upper.

    Many are a line in a band.
    """
    value, lower, upper = values.T
    if len(days) > MOST_BARS:
        axes.fill_between(days, lower, upper, color=color, alpha=0.25, lw=0)
        axes.plot(days, value, color=color, lw=1.5)
    else:
        axes.vlines(days, lower, upper, color=color, alpha=0.5, lw=2)
        axes.plot(days, value, "o-", color=color, ms=5, lw=1.2)


MOST_BARS = 40
"""Intervals that are drawn one by one."""


# --- output -------------------------------------------------------------------------------


def finished(figure: Figure, name: str, alt: str) -> RenderedFigure:
    """The figure as SVG; call within `canvas`. `name` keeps ids of two plots in a page apart."""
    buffer = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=metadata)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r' d="[^"]*"', _short_path, text)
    for token in _RECOLOURED:
        color = LIGHT[token]
        text = re.sub(rf"(fill|stroke): {color}\b", rf"\g<1>: var(--{token}, {color})", text)
    return RenderedFigure(text.encode(), alt)


def _short_path(found: re.Match[str]) -> str:
    """Two decimals are enough, and a dot is a line of no length."""
    short = re.sub(r"(\.\d\d)\d+", r"\1", found[0])
    return re.sub(r"M (\S+ \S+) \nL \1 ?(?=\n|\")", r"M\1h0", short)


def standalone(plot: RenderedFigure) -> bytes:
    """The SVG as a file of its own: with a background, in light and in dark mode."""
    light, dark = (
        "".join(f"--{name}:{mode[name]};" for name in ("panel", *_RECOLOURED))
        for mode in (LIGHT, DARK)
    )
    style = (
        f"<style>:root{{{light}background:var(--panel)}}"
        f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    )
    start = plot.svg.index(b">") + 1
    return plot.svg[:start] + style.encode() + plot.svg[start:]
