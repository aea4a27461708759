"""Every text and every shape stands out from its background, in light and in dark mode."""

from collections.abc import Mapping

import pytest

from housing.report.design import palette

MODES = [
    pytest.param(palette.LIGHT, id="light"),
    pytest.param(palette.DARK, id="dark"),
]


def test_contrast_is_the_ratio_of_wcag() -> None:
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)


@pytest.mark.parametrize("colors", MODES)
def test_every_text_is_readable_on_its_background(colors: Mapping[str, str]) -> None:
    found = {pair: palette.contrast(*(colors[name] for name in pair)) for pair in palette.TEXTS}
    assert {p: c for p, c in found.items() if c < palette.TEXT_CONTRAST} == {}


@pytest.mark.parametrize("colors", MODES)
def test_every_shape_is_visible_on_its_background(colors: Mapping[str, str]) -> None:
    found = {pair: palette.contrast(*(colors[name] for name in pair)) for pair in palette.SHAPES}
    assert {p: c for p, c in found.items() if c < palette.SHAPE_CONTRAST} == {}


def test_both_modes_have_the_same_colors() -> None:
    assert list(palette.LIGHT) == list(palette.DARK)
