"""The one style sheet of all pages: the palette in both modes, then `style.css`."""

from functools import cache
from pathlib import Path

from housing.report.design.palette import DARK, LIGHT

SOURCE = Path(__file__).with_name("style.css")


@cache
def css() -> str:
    """The style sheet; paper always gets the light mode."""
    light, dark = (
        " ".join(f"--{name}: {color};" for name, color in colors.items())
        for colors in (LIGHT, DARK)
    )
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    return f":root {{ {light} }}\n{dark}\n{SOURCE.read_text('utf-8')}"
