"""A search of several families compares them and the baselines, and has curves of the best."""

import pytest

from housing.operations.curves import measure_curves
from housing.pipeline import datasets as dataset_steps
from housing.pipeline import ingest, train
from housing.pipeline.report import collect
from housing.records import RunOutcome, RunResult
from housing.report.family_table import as_rows, by_family
from housing.report.run_page import render
from housing.settings import load_settings
from housing.store.models import searches
from housing.training.candidates import BASELINES

pytestmark = pytest.mark.either_database


@pytest.fixture
def compared(store, run, land, monkeypatch):
    monkeypatch.setenv("HOUSING_SEARCH__FAMILIES", "tree,nearest")
    monkeypatch.setenv("HOUSING_SEARCH__N_TRIALS", "2")
    land("a.csv", rows=600)
    settings = load_settings()
    ingest.ingest(store, settings, run=run.id)
    version = dataset_steps.freeze(store, run).id
    dataset_steps.split(store, settings)
    train.preprocess(store, run, version, settings)
    search = train.search(store, run, version, settings)
    return search, train.fit(store, run, search, settings), version


def test_figures_that_cannot_be_measured_end_no_run(store, run, request, monkeypatch, caplog):
    def fails(*_, **__):
        raise ValueError("All the 4 fits failed.")

    monkeypatch.setattr("housing.training.curves.learning_curve", fails)
    search, model, _ = request.getfixturevalue("compared")
    with store.read() as connection:
        row = searches.get(connection, search)
    assert (row.comparison, row.curves) == (None, None)
    assert row.finished_at is not None
    assert model == 1
    assert "no comparison of families and no curves: All the 4 fits failed." in caplog.text


@pytest.mark.system
def test_each_family_and_each_baseline_has_a_row_with_size_and_latency(store, run, compared):
    search, _, _ = compared
    with store.read() as connection:
        row = searches.get(connection, search)
        trials = searches.trials_of(connection, search)
    rows = as_rows(by_family(trials, row.comparison))
    names = [each["family"] for each in rows]
    assert {*names} == {"tree", "nearest", *(f"baseline {name}" for name in BASELINES)}
    assert all(each["latency"].endswith("\N{NO-BREAK SPACE}ms") and each["size"] for each in rows)
    assert names[-1] == "baseline median", "the least accurate is last"
    assert row.comparison["baselines"]["median"]["fold_train_errors"]


def test_the_report_shows_curves_families_and_preprocessing(store, run, compared):
    _, model, version = compared
    result = RunResult(run.id, RunOutcome.KEPT, "Kept.", version, model, None)
    page = render(collect(store, load_settings(), run.id, result))
    for text in ("Learning curve", "Validation curve", "baseline linear", "logs__log_income"):
        assert text in page


def test_curves_on_demand_are_stored_with_the_search_of_the_model(store, run, compared):
    search, model, _ = compared
    found, curves = measure_curves(store, model, load_settings())
    assert found == model
    assert [curve.parameter == "" for curve in curves] == [True, False]
    with store.read() as connection:
        stored = searches.get(connection, search).curves
    assert [each["message"] for each in stored] == [curve.message for curve in curves]
