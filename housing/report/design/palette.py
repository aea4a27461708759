"""Colours of pages and plots in light and dark mode.

A page has each colour as the CSS variable of its name; an SVG plot writes `var(--good, #005f99)`,
so that it follows the page's mode and keeps the light colour in a file of its own. Every text in
`TEXTS` has at least `TEXT_CONTRAST` (WCAG 2.2 AA) on its background, every shape `SHAPE_CONTRAST`.
"""

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "page": "#f4f6f8",  # behind everything
    "panel": "#ffffff",  # sections, tiles, fields
    "tint": "#eaeef2",  # heads of tables, tracks of bars
    "line": "#d3d9e0",  # rules between rows; decoration only
    "edge": "#76808b",  # borders of fields
    "ink": "#1b1f24",
    "quiet": "#545d67",  # captions, units, axes
    "link": "#005f99",
    "good": "#005f99",
    "bad": "#a84300",
    "wait": "#775300",
    "button": "#005b8f",
    "on-button": "#ffffff",
    "notice": "#ffd666",
    "on-notice": "#1b1f24",
    "water": "#dde7ef",  # the map's background
    "middle": "#b4b8bd",  # of a diverging scale: recedes on light and on dark
    "series-1": "#0072b2",
    "series-2": "#9a6b00",
    "series-3": "#007d5c",
    "series-4": "#b0508a",
    "series-5": "#3b86b8",
    "ramp-1": "#2f9e6f",  # low to high values of the target
    "ramp-2": "#218f8d",
    "ramp-3": "#31688e",
    "ramp-4": "#443983",
    "ramp-5": "#440154",
}
"""The colours of series follow Okabe and Ito (2008), those of the ramp viridis (2015):
distinguishable with any colour vision."""

DARK: Mapping[str, str] = {
    "page": "#101317",
    "panel": "#191d23",
    "tint": "#242a32",
    "line": "#333a43",
    "edge": "#7d8792",
    "ink": "#e8eaed",
    "quiet": "#a7b0ba",
    "link": "#66bdf0",
    "good": "#56b4e9",
    "bad": "#ff9a4d",
    "wait": "#f0c04a",
    "button": "#0a69a3",
    "on-button": "#ffffff",
    "notice": "#ffd666",
    "on-notice": "#1b1f24",
    "water": "#16212b",
    "middle": "#666d75",
    "series-1": "#56b4e9",
    "series-2": "#e69f00",
    "series-3": "#2cc295",
    "series-4": "#dd93bb",
    "series-5": "#a9d5f2",
    "ramp-1": "#6d6bc9",
    "ramp-2": "#3f93c4",
    "ramp-3": "#2fb6a0",
    "ramp-4": "#8fd744",
    "ramp-5": "#fde725",
}

TEXT_CONTRAST, SHAPE_CONTRAST = 4.5, 3.0

_SURFACES = ("page", "panel", "tint")
TEXTS: tuple[tuple[str, str], ...] = (
    *(
        (text, surface)
        for text in ("ink", "quiet", "link", "good", "bad", "wait")
        for surface in _SURFACES
    ),
    ("ink", "water"),
    ("quiet", "water"),
    ("on-button", "button"),
    ("on-notice", "notice"),
)
"""Each text colour with each background it may stand on."""

SHAPES: tuple[tuple[str, str], ...] = (
    ("edge", "panel"),
    ("edge", "water"),
    *((f"{kind}-{number}", "panel") for kind in ("series", "ramp") for number in range(1, 6)),
)
"""Each border, line and marker that carries meaning, with its background."""


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (#rrggbb), 1 to 21, as WCAG 2.2 defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
