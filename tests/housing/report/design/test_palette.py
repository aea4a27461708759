"""Every text and every shape stands out from its background, in light and in dark mode."""

from collections.abc import Mapping

import pytest

from housing.report.design import palette

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


MODES = [
    pytest.param(palette.LIGHT, id="light"),
    pytest.param(palette.DARK, id="dark"),
]


def test_contrast_is_the_ratio_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)


@pytest.mark.parametrize("colors", MODES)
def test_every_text_is_readable_on_its_background(colors: Mapping[str, str]) -> None:
    found = {pair: contrast(*(colors[name] for name in pair)) for pair in TEXTS}
    assert {p: c for p, c in found.items() if c < TEXT_CONTRAST} == {}


@pytest.mark.parametrize("colors", MODES)
def test_every_shape_is_visible_on_its_background(colors: Mapping[str, str]) -> None:
    found = {pair: contrast(*(colors[name] for name in pair)) for pair in SHAPES}
    assert {p: c for p, c in found.items() if c < SHAPE_CONTRAST} == {}


def test_both_modes_have_the_same_colors() -> None:
    assert list(palette.LIGHT) == list(palette.DARK)
