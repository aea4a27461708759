"""Colours of pages and plots in light and dark mode, and the style sheet that begins with them.

A page has each colour as the CSS variable of its name; an SVG plot writes `var(--good, #005f99)`,
so that it follows the page's mode and keeps the light colour in a file of its own. Every text and
shape has the contrast of WCAG 2.2 AA with its background.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

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


@cache
def css() -> str:
    """The one style sheet of all pages; paper always gets the light mode."""
    light, dark = (
        " ".join(f"--{name}: {color};" for name, color in colors.items())
        for colors in (LIGHT, DARK)
    )
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    sizes = Path(__file__).with_name("style.css").read_text("utf-8")
    return f":root {{ {light} }}\n{dark}\n{sizes}"
