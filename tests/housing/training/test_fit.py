import pickle

import numpy as np
import pytest
from sklearn.ensemble import VotingRegressor
from sklearn.metrics import root_mean_squared_error

from housing import schema
from housing.inference.fast_predictor import predict_members
from housing.records import Candidate, Member
from housing.training.candidates import BASELINES, pipeline
from housing.training.fit import (
    LIBRARIES,
    fit_members,
    golden_rows,
    library_versions,
    models_of,
    predict_baselines,
)
from housing.training.sampling import parts_of
from tests.housing.training import families
from tests.housing.training.families import fit

DRAWS = {
    "boosting": {"model__max_iter": 30, "model__max_features": 0.3},
    "lightgbm": {"model__n_estimators": 30},
    "catboost": {"model__iterations": 30, "model__depth": 4},
    "extra-trees": {"model__max_features": 0.3},
    "forest": {"model__max_features": 5, "preprocess__geo__n_clusters": 8},
    "tree": {"model__min_samples_leaf": 20},
    "linear": {"model__alpha": 0.1, "preprocess__geo__label_weights": True},
}


def candidate(family):
    return Candidate(0, family, DRAWS[family])


@pytest.fixture(scope="module")
def districts(census_path):
    X, y, X_test, y_test = families.reference_split(census_path)
    return X[:1200], y[:1200], X_test[:600], y_test[:600]


@pytest.mark.parametrize("family", DRAWS)
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_the_same_bits_from_one_worker_and_two_and_after_pickling(family, ensemble_size, districts):
    X, y, X_test, _ = districts
    one, two = (
        fit(
            X,
            y,
            candidate(family),
            seed=5,
            ensemble_size=ensemble_size,
            workers=n,
            families=families.SMALL,
        )
        for n in (1, 2)
    )
    expected = one.predict(X_test)
    np.testing.assert_array_equal(two.predict(X_test), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(two)).predict(X_test), expected)


def test_a_bag_is_the_mean_of_its_seeds(districts):
    X, y, X_test, _ = districts
    ensemble = fit(X, y, candidate("boosting"), seed=5, ensemble_size=3)
    assert isinstance(ensemble["model"], VotingRegressor)
    assert list(ensemble["model"].named_estimators_) == ["seed_5", "seed_6", "seed_7"]
    members = [fit(X, y, candidate("boosting"), seed=s).predict(X_test) for s in (5, 6, 7)]
    np.testing.assert_array_equal(ensemble.predict(X_test), np.mean(members, axis=0))
    np.testing.assert_allclose(predict_members(ensemble, X_test), members, rtol=1e-12)
    alone = [member.predict(X_test) for member in models_of(ensemble)]
    np.testing.assert_array_equal(alone, members)
    assert not np.array_equal(members[0], members[1])


def test_a_fitted_forest_is_the_pipeline_with_the_settings_it_was_given(districts):
    X, y, X_test, _ = districts
    model = fit(X, y, candidate("forest"), seed=1, workers=2, families=families.SMALL)
    assert model.get_params()["model__n_jobs"] is None
    alone = pipeline(candidate("forest"), 1, families.SMALL).fit(X, y)
    np.testing.assert_array_equal(model.predict(X_test), alone.predict(X_test))


def test_baselines_are_fitted_and_ordered_as_one_would_think(districts):
    X, y, X_test, y_test = districts
    found = predict_baselines(X, y, X_test, seed=1)
    assert (set(found.values), found.failed) == (set(BASELINES), {})
    np.testing.assert_array_equal(found.values["median"], np.median(y))
    rmse = {
        name: root_mean_squared_error(y_test, predicted) for name, predicted in found.values.items()
    }
    assert rmse["linear"] < 0.75 * rmse["median"]


def test_golden_rows_hold_a_gap_and_every_category_and_are_rows_of_the_table(census_path):
    X, *_ = families.reference_split(census_path)
    golden = golden_rows(X, 50, seed=1)
    assert len(golden) == 50
    assert golden.equals(X.loc[golden.index])
    assert golden.index.is_unique
    assert golden.isna().any(axis=None)
    for name in schema.CATEGORIES:
        assert set(golden[name]) == set(schema.CATALOGUE[name].categories)
    assert golden.equals(golden_rows(X, 50, seed=1))
    assert not golden.index.equals(golden_rows(X, 50, seed=2).index)


def test_golden_rows_of_a_small_table_are_all_rows(census_path):
    X, *_ = families.reference_split(census_path)
    assert golden_rows(X[:7], 50, seed=1).equals(X[:7])


def test_library_versions_name_what_predictions_depend_on():
    versions = library_versions()
    assert list(versions) == ["python", *LIBRARIES]
    assert versions["numpy"] == np.__version__


def test_members_fit_different_rows_and_features_are_fitted_on_all(districts):
    X, y, X_test, y_test = districts
    members = [Member(candidate("boosting"), seed) for seed in (5, 6)]
    whole = fit_members(X, y, members, rows=len(X)).model
    parts, again = (fit_members(X, y, members, rows=600, workers=n).model for n in (1, 2))
    np.testing.assert_array_equal(parts.predict(X_test), again.predict(X_test))
    looks = [dict(m["preprocess"].named_transformers_["near"]["look"].transformer_list)
             for m in (whole, parts)]  # fmt: skip
    np.testing.assert_array_equal(*(look["statistics"].rows_ for look in looks))
    seen = [
        sum(int(tree.nodes["count"][0]) for (tree,) in each._predictors[:1])
        for each in parts["model"].estimators_
    ]
    assert seen == [600, 600]
    one, other = (each.predict(parts[:-1].transform(X_test)) for each in parts["model"].estimators_)
    assert not np.array_equal(one, other)
    error, all_ = (root_mean_squared_error(y_test, m.predict(X_test)) for m in (parts, whole))
    assert error < 1.1 * all_


def test_rows_of_members_cover_all_and_overlap_only_where_they_must():
    parts = parts_of(10, [4, 4, 4], seed=1)
    assert [len(p) for p in parts] == [4, 4, 4]
    assert set(np.concatenate(parts)) == set(range(10))
    assert not set(parts[0]) & set(parts[1])
    assert parts_of(10, [10, 12], seed=1) == [None, None]
