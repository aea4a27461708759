"""A run records its search: scores, stopped candidates, members, out-of-fold predictions."""

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from housing.errors import NotPossible
from housing.pipeline import datasets as dataset_steps
from housing.pipeline import ingest, train
from housing.records import Candidate
from housing.settings import load_settings
from housing.store.data import datasets
from housing.store.data.segments import get_table
from housing.store.database.tables import blobs
from housing.store.models import artifacts, registry, searches
from housing.store.queries import show_model
from housing.training.candidates import FAMILIES
from tests.fixtures.small_settings import landing_rows

pytestmark = pytest.mark.either_database


@pytest.fixture
def searched(store, run, land, monkeypatch):
    for name, value in {
        "ENSEMBLE_SIZE": "3",
        "PRUNE_MARGIN": "0.02",
        "N_TRIALS": "4",
        "FAMILIES": "tree",
    }.items():
        monkeypatch.setenv(f"HOUSING_SEARCH__{name}", value)
    land("a.csv", rows=600)
    settings = load_settings()
    ingest.ingest(store, settings, run=run.id)
    version = dataset_steps.freeze(store, run).id
    dataset_steps.split(store, settings)
    return version, train.search(store, run, version, settings)


def test_out_of_fold_predictions_are_one_row_a_training_district(store, run, searched):
    version, search = searched
    challenger = train.fit(store, run, search, load_settings())
    frame = datasets.read(store, version)
    with store.read() as connection:
        model = registry.model(connection, challenger)
        kind = connection.execute(
            sa.select(blobs.c.kind).where(blobs.c.digest == model.out_of_fold)
        )
        assert kind.scalar_one() == "out_of_fold"
    table: pd.DataFrame = get_table(store, model.out_of_fold).to_pandas()
    assert list(table.columns) == ["#key", "#predicted", "#nested"]
    training = frame[~frame["#test"]]
    assert list(table["#key"]) == list(training["#key"])
    errors = table["#predicted"].to_numpy() - training["median_house_value"].to_numpy()
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(model.cv_error, rel=0.02)
    assert len(model.members) == model.ensemble_size == 3
    assert len({member["seed"] for member in model.members}) == 3


def test_scores_and_stopped_draws_are_recorded_and_a_second_call_does_nothing(store, run, searched):
    version, search = searched
    with store.read() as connection:
        scores, trials = (
            searches.scores_of(connection, search),
            searches.trials_of(connection, search),
        )
    assert len(trials) == 4
    for trial in trials:
        its = [s.value for s in scores if s.candidate == trial.candidate.index]
        assert tuple(its) == trial.fold_errors
    assert train.search(store, run, version, load_settings()) == search
    with store.read() as connection:
        assert searches.scores_of(connection, search) == scores


def test_the_next_run_tries_the_best_draw_again(store, run, searched, land, monkeypatch):
    monkeypatch.setenv("HOUSING_SEARCH__WARM_STARTS", "2")
    land("b.csv", seed=1, rows=300)
    settings = load_settings()
    ingest.ingest(store, settings, run=run.id)
    version = dataset_steps.freeze(store, run).id
    dataset_steps.split(store, settings)
    search = train.search(store, run, version, settings)
    with store.read() as connection:
        last = min(searches.trials_of(connection, searched[1]), key=lambda t: t.cv_error).candidate
        warm_starts = searches.warm_starts_of(searches.get(connection, search))
        trials = searches.trials_of(connection, search)
    assert warm_starts == (last,)
    assert trials[-1].candidate == Candidate(4, last.family, last.parameters)


def test_a_challenger_of_several_draws_is_fitted_again_to_the_same_predictions(
    store, run, searched
):
    version, search = searched
    challenger = train.fit(store, run, search, load_settings())
    with store.read() as connection:
        model = registry.model(connection, challenger)
        shown = show_model(connection, challenger)
    X, y = train.training_side(datasets.read(store, version))
    again = train.refit(store, model, X, y, load_settings())
    stored = artifacts.get_model(store, model.artifact)
    # Not the same bytes: a tree's nodes hold padding that nobody sets.
    np.testing.assert_array_equal(again.predict(X), stored.predict(X))
    assert shown["members"] == model.members
    assert set(FAMILIES) >= {member["candidate"]["family"] for member in model.members}


def test_the_checked_columns_are_recorded_with_the_search_and_found_again(
    store, run, searched, monkeypatch
):
    version, search = searched
    columns = train.preprocess(store, run, version, load_settings())
    monkeypatch.setattr(train, "output_columns", None)  # a resumed run computes nothing
    assert train.preprocess(store, run, version, load_settings()) == columns
    with store.read() as connection:
        assert searches.get(connection, search).preprocessing == columns
    assert "ratios__rooms_per_house" in {column["name"] for column in columns}


def test_a_refused_column_ends_the_run_before_its_search(store, run, land):
    land("a.csv", frame=landing_rows(0, 600).assign(population=lambda rows: 2 * rows["households"]))
    settings = load_settings()
    ingest.ingest(store, settings, run=run.id)
    version = dataset_steps.freeze(store, run).id
    dataset_steps.split(store, settings)
    for _ in range(2):
        with pytest.raises(NotPossible, match="ratios__people_per_house is 2 in all"):
            train.preprocess(store, run, version, settings)
