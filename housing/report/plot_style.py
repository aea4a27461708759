"""Plot style: colours, sizes and SVG output, without changing matplotlib's global state."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

from housing.formatting import axis_labels
from housing.report.design.palette import LIGHT


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
    font_size: float = 9  # points
    dots_per_inch: int = 200  # of the pixels inside
    most_points: int = 20_000  # drawn in a cloud: every k-th row beyond
    most_bars: int = 12
    longest_name: int = 36  # characters; a longer one would leave no room for the picture
    far_off: float = 0.2  # relative error that counts as far off
    error_limit: float = 0.5  # relative error at which the colours of the map end
    search_range: float = 2.5  # distances from the best to the middle candidate that are shown


LOOK = PlotStyle()

_RECOLOURED = (
    "ink",
    "edge",
    "good",
    "bad",
    "middle",
    *(n for n in LIGHT if n.startswith("series-")),
)
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
    "legend.frameon": False,
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
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


def thinned(rows: int) -> slice:
    """Every k-th row, so that a cloud never holds more points than can be seen."""
    return slice(None, None, max(-(-rows // LOOK.most_points), 1))


class AmountFormatter(Formatter):
    """Ticks in the target's unit."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        """One value by itself."""
        return axis_labels([value])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """All ticks of an axis; distinct values have distinct labels."""
        return axis_labels(values)


def dates(axes: Axes) -> None:
    """A date axis; call it after all points are drawn."""
    low, high = axes.dataLim.intervalx  # days
    if high - low < 1:  # points of one day are centred
        axes.set_xlim((low + high) / 2 - 0.5, (low + high) / 2 + 0.5)
    locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def finished(figure: Figure, name: str, alt: str) -> RenderedFigure:
    """The figure as SVG; call within `canvas`. `name` keeps ids of two plots in a page apart."""
    buffer = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", dpi=LOOK.dots_per_inch, metadata=metadata)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for token in _RECOLOURED:
        color = LIGHT[token]
        text = re.sub(rf"(fill|stroke): {color}\b", rf"\g<1>: var(--{token}, {color})", text)
    return RenderedFigure(text.encode(), alt)
