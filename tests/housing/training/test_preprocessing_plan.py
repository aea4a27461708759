"""The columns of a search's families: shown with units and gaps, refused where they are unsound."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from housing.errors import NotPossible
from housing.features.derived import Derived, identity, transformer
from housing.training.candidates import FAMILIES
from housing.training.preprocessing_plan import output_columns
from housing.training.search_config import SearchPlan
from tests.housing.training.families import reference_split

PLAN = SearchPlan(families=("boosting", "extra-trees", "forest"))


@pytest.fixture(scope="module")
def side(census_path):
    X, y, _, _ = reference_split(census_path)
    return X[:1500], y[:1500]


def refused(X, y, families=FAMILIES, names=("boosting",)):
    with pytest.raises(NotPossible) as raised:
        output_columns(X, y, SearchPlan(families=names), families)
    return str(raised.value)


def test_each_step_is_shown_once_with_units_and_what_is_missing_after_imputation(side):
    found = {(c.families, c.name): c for c in output_columns(*side, PLAN)}
    assert {families for families, _ in found} == {"boosting, extra-trees", "forest"}
    income = found["boosting, extra-trees", "number__median_income"]
    assert income.unit == "10,000 US dollars a year"
    assert income.correlation > 0.5
    assert found["boosting, extra-trees", "number__total_bedrooms"].missing > 0
    assert found["forest", "logs__log_bedrooms"].missing == 0
    assert found["forest", "logs__log_bedrooms"].unit == "standard deviations"
    assert all(column.unit for column in found.values())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda X, y: 2 * X["households"], "ratios__people_per_house is 2 in all of them"),
        (
            lambda X, y: -np.sqrt(y),
            r"orders the districts as the target does \(rank.*\b1.0000\)",
        ),
    ],
    ids=["constant", "target"],
)
def test_a_constant_and_a_copy_of_the_target_are_refused(side, change, sentence):
    X, y = side
    message = refused(X.assign(population=change(X, y)), y)
    assert re.search(sentence, message)
    assert "To go on, " in message


@pytest.mark.parametrize("family", ["boosting", "forest"])
def test_a_copy_of_the_target_with_gaps_is_refused(side, family):
    X, y = side
    copy = np.where(np.arange(len(y)) % 10 == 0, np.nan, y / 100)
    message = refused(X.assign(total_bedrooms=copy), y, names=(family,))
    assert "bedrooms orders the districts as the target does" in message


def test_a_group_that_is_refused_can_be_left_out(side):
    X, y = side
    X = X.assign(population=3 * X["households"])
    assert "ratios__people_per_house is 3" in (message := refused(X, y))
    assert "set HOUSING_SEARCH__EXCLUDE_FEATURES=ratios" in message
    without = SearchPlan(families=("boosting",), exclude_features=("ratios",))
    assert output_columns(X, y, without)


@pytest.mark.parametrize("value", [5.0, np.nan])
def test_a_number_of_the_table_that_does_not_vary_yet_is_marked_and_not_refused(side, value):
    X, y = side
    found = output_columns(X.assign(total_bedrooms=value), y, PLAN)
    marked = {column.name for column in found if column.finding == "constant"}
    assert marked >= {"number__total_bedrooms", "logs__log_bedrooms"}


def test_numbers_of_the_table_that_are_equal_so_far_are_marked_and_not_refused(side):
    X, y = side
    families = build(("number", "passthrough", ("households", "population")))
    found = output_columns(
        X.assign(population=X["households"]), y, SearchPlan(families=("linear",)), families
    )
    assert {c.name: c.finding for c in found} == {
        "number__households": "",
        "number__population": "equals households",
    }


def test_a_column_that_the_target_follows_within_some_per_cent_is_no_copy_of_it(side):
    X, y = side
    near = y * np.random.default_rng(0).normal(1, 0.02, len(y))
    found = output_columns(X.assign(population=near), y, PLAN)
    assert max(column.correlation for column in found) > 0.998


def test_no_column_is_refused_on_few_rows(side):
    X, y = side[0][:60], side[1][:60]
    assert output_columns(X.assign(population=y), y, PLAN)


class OwnLabel(TransformerMixin, BaseEstimator):
    """The mean of a row's own label and of 29 others: what a careless neighbour feature is."""

    def fit(self, X, y):
        return self

    def transform(self, X):
        return np.zeros((len(X), 1))

    def fit_transform(self, X, y):
        others = np.random.default_rng(0).choice(y, size=(len(y), 29)).mean(axis=1)
        return ((others * 29 + y) / 30)[:, None]

    def get_feature_names_out(self, input_features=None):
        return np.array(["label_mean"], dtype=object)


def build(*entries):
    def built(_seed):
        step = ColumnTransformer([(name, each, list(columns)) for name, each, columns in entries])
        return Pipeline([("preprocess", step), ("model", LinearRegression())])

    return {"linear": replace(FAMILIES["linear"], build=built, space={})}


def test_a_feature_that_sees_its_own_label_follows_shuffled_labels(census_path):
    X, y, _, _ = reference_split(census_path)
    families = build(("near", OwnLabel(), ("longitude",)))
    message = refused(X, y, families, ("linear",))
    assert "near__label_mean follows labels that were shuffled" in message


def test_a_derived_column_that_repeats_a_column_of_the_table_is_refused(side):
    again = Derived("again", "years", "for tests", ("housing_median_age",), identity)
    families = build(
        ("number", "passthrough", ("housing_median_age",)),
        ("copies", transformer((again,)), ("housing_median_age",)),
    )
    message = refused(*side, families, ("linear",))
    assert "copies__again equals housing_median_age in each of them" in message
    assert "EXCLUDE_FEATURES=copies" in message
