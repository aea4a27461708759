"""docs/performance.md says what was measured, and nothing else."""

import re

import pytest

from benchmarks import page, results
from benchmarks.__main__ import BENCHMARKS

DOCS = page.DOCS


def test_the_page_is_made_from_the_kept_figures() -> None:
    text = (DOCS / "performance.md").read_text()
    assert text == page.page(), "run `python -m benchmarks performance-page`"
    assert "{{" not in text


def test_every_picture_of_the_page_is_what_the_figures_give() -> None:
    made = dict(page.pictures())
    named = re.findall(r"\(performance/([^)]+)\)", (DOCS / "performance.md").read_text())
    assert set(named) == set(made)
    for name in named:
        assert (page.PICTURES / name).read_bytes() == made[name].svg


def test_a_figure_that_changes_changes_the_page(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    nothing = page.page()
    assert nothing.count("**not measured yet**") == len(page.ORDER)
    results.show("split", [results.Row("all", 31.0, 20.0, "ms", False, "1.3 x")])
    assert "| 31 ms | 20 | 1.550 x | 1.3 x: **missed** |" in page.page()
    results.show("split", [results.Row("all", 22.0, 20.0, "ms", True, "1.3 x")])
    assert "| 22 ms | 20 | 1.100 x | 1.3 x: met |" in page.page()


@pytest.mark.parametrize("command", page.ORDER.values())
def test_every_command_of_the_page_is_there(command) -> None:
    assert command.split()[0] in BENCHMARKS
