"""The page of a dataset version shows the training set, and nothing of the test set's labels."""

import re

import pytest

from housing.errors import NothingToTrainOn, StoreUnavailable
from housing.pipeline import data_page, ingest
from housing.pipeline.data_page import collect
from housing.pipeline.datasets import freeze, split
from housing.pipeline.run_context import NightlyParameters, start_run
from housing.report.data_page import as_json, render
from housing.settings import Settings, SplitSettings
from housing.store.data import datasets
from housing.store.database.open import open_store
from tests.fixtures import dataset_operations
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import landing_rows
from tests.housing.conftest import Land

pytestmark = pytest.mark.either_database

LABEL = "median_house_value"
OF_THE_VERSION = ("dataset", "batches", "compared", "changes")


def _version(settings: Settings) -> None:
    """What lies in the landing folder becomes a dataset version."""
    with start_run("nightly", NightlyParameters()) as run, open_store(settings) as store:
        ingest.ingest(store, settings, run=run.id)
        freeze(store, run)
        split(store, settings)


def _figures(settings: Settings, version: int) -> dict[str, object]:
    with open_store(settings) as store:
        found = as_json(collect(store, version))
    return {name: value for name, value in found.items() if name not in OF_THE_VERSION}


def _sides(settings: Settings) -> tuple[set[float], set[float]]:
    """Longitudes of the training side and of the test side."""
    with open_store(settings) as store:
        frame = datasets.read(store, 1)
    test = frame[datasets.SIDE_COLUMN]
    return set(frame.longitude[~test]), set(frame.longitude[test])


@pytest.mark.parametrize(("side", "changes"), [("test", False), ("train", True)])
def test_only_labels_of_the_training_set_change_a_figure(
    small: Settings, land: Land, side: str, changes: bool
) -> None:
    rows = landing_rows(7, 600)
    land("a.csv", frame=rows)
    _version(small)
    train, test = _sides(small)
    others = rows[rows.longitude.isin({"test": test - train, "train": train - test}[side])]
    assert len(others) > 20
    land("b.csv", frame=others.assign(**{LABEL: others[LABEL] + 5_000}))
    _version(small)
    assert (_figures(small, 2) != _figures(small, 1)) == changes


@pytest.mark.system
def test_the_page_has_every_column_and_names_what_changed(
    small: Settings, land: Land, quick_pictures: None
) -> None:
    land("a.csv", rows=400)
    _version(small)
    land("b.csv", rows=400, seed=1)
    result = plain_run()
    page = (small.home / "reports" / "data-v2.html").read_text()
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "Changes since v1" in text
    assert "800 districts instead of 400" in text
    for name in ("total bedrooms", "median income", "ocean proximity", "bedrooms per room"):
        assert name in text
    assert "SIMULATED" not in text
    assert "data-v2.html" in (small.home / "reports" / f"report-r{result.run}.html").read_text()


def test_a_page_that_cannot_be_made_costs_no_report(
    small: Settings, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StoreUnavailable(what="The folder x", why="it is full", next_step="Empty it.")

    monkeypatch.setattr(data_page, "write", broken)
    land("a.csv", rows=400)
    assert plain_run().report is not None


def test_a_version_with_test_rows_alone_is_refused_with_a_sentence(
    small: Settings, land: Land
) -> None:
    land("a.csv", rows=400)
    _version(small)
    land("b.csv", rows=40, seed=1)
    _version(small.model_copy(update={"split": SplitSettings(test_share=0.8)}))
    with open_store(small) as store:
        dataset_operations.withdraw(store, 1, reason="wrong unit")
        with pytest.raises(NothingToTrainOn, match="dataset v3 has no training rows"):
            collect(store, 3)


def test_the_page_is_a_function_of_its_figures(small: Settings, land: Land) -> None:
    land("a.csv", rows=400)
    _version(small)
    with open_store(small) as store:
        assert render(collect(store, 1)) == render(collect(store, 1))
