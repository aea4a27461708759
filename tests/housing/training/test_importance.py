import numpy as np
import pytest

from housing import schema
from housing.features.preprocess import groups_of
from housing.problems.california.models import spatial
from housing.records import Candidate
from housing.training.importance import importances
from housing.training.search_config import SearchPlan
from tests.housing.training import families


@pytest.fixture(scope="module")
def districts(census_path):
    X, y, _, _ = families.reference_split(census_path)
    return X[:2400], y[:2400].to_numpy()


def test_shares_of_columns_and_groups(districts):
    candidate = Candidate(0, "boosting", {"model__max_iter": 30})
    plan = SearchPlan(exclude_features=("distances",))
    found = importances(candidate, plan, *districts)
    for shares in (found.columns, found.groups):
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert set(found.columns) == set(schema.FEATURES)
    assert set(found.groups) == {*groups_of(spatial(0)), "columns"} - {"distances"}
    assert {"longitude", "latitude"} <= set(list(found.columns)[:4])
    neighbours = sum(found.groups[g] for g in ("labels", "scaled-labels", "regression", "similar"))
    assert neighbours > 0.3
    assert importances(candidate, plan, *districts) == found


def test_a_family_without_neighbours_has_the_groups_that_it_has(districts):
    candidate = Candidate(0, "tree", {"model__min_samples_leaf": 20})
    found = importances(candidate, SearchPlan(), *districts)
    assert set(found.groups) == {"columns", "ratios", "logs"}
    assert next(iter(found.columns)) == "median_income"
    without = SearchPlan(families=("tree",), exclude_features=("ratios", "logs"))
    bare = importances(candidate, without, *districts)
    assert bare.groups == {}


def test_labels_that_mean_nothing_make_nothing_worth_much(districts):
    X, _ = districts
    same = np.full(len(X), 7.0)
    found = importances(Candidate(0, "linear", {"model__alpha": 1.0}), SearchPlan(), X, same)
    assert max(found.columns.values()) <= 1
