"""The tables of docs/serving.md and docs/monitoring.md say what was measured, and nothing else."""

import pytest

from benchmarks.serving import results
from benchmarks.serving.pages import BLOCK, DOCS, PAGES, TABLES, page


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_made_from_the_kept_figures(name: str) -> None:
    assert (DOCS / name).read_text() == page(name), "run `python -m benchmarks.serving.pages`"


def test_every_table_has_its_place() -> None:
    text = "".join((DOCS / name).read_text() for name in PAGES)
    assert sorted(found[1] for found in BLOCK.findall(text)) == sorted(TABLES)


def test_what_was_measured_is_the_whole_run() -> None:
    """A short trial of a soak or of a year must not stand in the docs as the figure."""
    soak, drift = results.load("soak"), results.load("drift")
    assert soak is None or (soak["seconds"] > 595 and soak["failed"] == soak["wrong"] == 0)
    assert drift is None or (drift["years"] >= 2 and drift["repeats"] >= 3)


def test_false_alarms_were_measured_on_enough_champions() -> None:
    found = results.load("alarms")
    assert found is not None
    assert found["champions"] >= 500
    assert {c["labels"] for c in found["cases"] if c["cadence"] == "hourly"} == {
        50,
        300,
        1000,
        3000,
    }
    assert all(c["alarms"] <= found["goal"] * found["champions"] for c in found["cases"])
