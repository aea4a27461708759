"""Report, model card, monitor page and commands of a problem without location and symbol."""

import re
import shutil
from pathlib import Path

import pytest

from tests.fixtures.plain_home import HOUSE_WORDS, command
from tests.fixtures.shown_figures import visible, wrong_figures

pytestmark = pytest.mark.xdist_group("plain")


@pytest.fixture(scope="module")
def home(plain_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the home with a page of the monitor."""
    copy = tmp_path_factory.mktemp("copy") / "home"
    shutil.copytree(plain_home, copy)
    command(copy, "monitor", "--no-act")
    return copy


def shown(text: str) -> str:
    """The text without styles, outlines of glyphs, and names of commands and settings."""
    text = re.sub(r"<style>.*?</style>|<(path|use)[^>]*>", "", text, flags=re.DOTALL)
    return re.sub(r"HOUSING_\w+|housing (?=[a-z])", "", text)


@pytest.mark.parametrize("page", ["report-r2.html", "card-m2.md", "card-m2.html", "monitor.html"])
def test_a_page_has_the_nouns_and_the_unit_of_its_problem(home: Path, page: str) -> None:
    text = shown((home / "reports" / page).read_text())
    assert HOUSE_WORDS.findall(text) == []
    if page != "monitor.html":  # no label has arrived
        assert re.search(r"error is 0\.0\d{3,} mg/l|test set is 0\.0\d{3,} mg/l", text)
        assert "test samples" in text
        assert "residues" in text


def test_pages_write_percent_and_negative_numbers_in_one_way(home: Path) -> None:
    pages = {page.name: visible(page.read_text()) for page in (home / "reports").glob("*.html")}
    assert {"report-r2.html", "card-m2.html", "data-v2.html", "monitor.html"} <= set(pages)
    assert {name: wrong_figures(text) for name, text in pages.items() if wrong_figures(text)} == {}


def test_without_a_location_the_report_has_no_map_and_speaks_of_no_neighbours(home: Path) -> None:
    for page in ("report-r2.html", "card-m2.md"):
        text = (home / "reports" / page).read_text()
        assert not re.search("map of|neighbours|spatial|region", text, re.IGNORECASE)
        assert "uncapped" not in text, "its labels have no cap"


def test_commands_have_the_nouns_and_the_unit_of_the_problem(home: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice.csv"
    twice.write_text(
        "sample,kind,grain,flow,pressure,residue\nx1,slow,fine,10,2,0.01\nx1,slow,fine,9,2,0.01\n"
    )
    compared = command(home, "compare", "m1", "m2")
    assert re.search(r"RMSE +0\.0\d{3,} mg/l", compared)
    assert re.search(r"mean absolute error +0\.00\d{2,} mg/l", compared)
    refused = command(home, "ingest", str(twice), code=1)
    assert "the same sample twice (x1)" in " ".join(refused.split())
    printed = [compared, refused, command(home, "status"), command(home, "show", "m2")]
    assert HOUSE_WORDS.findall(shown("".join(printed))) == []
