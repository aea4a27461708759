"""Steps that a search replaces by their names: each choice works, alone and without frames."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from housing import schema
from housing.evaluation.metrics import error_of
from housing.features.preprocess import STEP_CHOICES, STEPS, set_parameters
from housing.inference.fast_predictor import predictor
from housing.records import Candidate, Member
from housing.schema import in_range
from housing.training.candidates import FAMILIES, pipeline
from housing.training.families import EVERY_ROW
from housing.training.fit import fit_members
from housing.training.sampling import folds
from housing.training.search import run_search
from housing.training.search_config import SearchPlan, search_key
from tests.fixtures.small_settings import landing_rows


@pytest.fixture(scope="module")
def side():
    rows = landing_rows(0, 400).astype(schema.dtypes())
    rows.loc[::9, "ocean_proximity"] = None
    assert rows["total_bedrooms"].isna().any()
    return rows[list(schema.FEATURES)], rows[schema.TARGET]


CATEGORY = {"preprocess__category": ["one-hot", "one-hot with missing"]}
CHOICES = [
    (name, value) for name, values in {**STEP_CHOICES, **CATEGORY}.items() for value in values
]


@pytest.mark.parametrize(("name", "value"), CHOICES)
def test_each_choice_fits_predicts_and_needs_no_frame(name, value, side):
    X, y = side
    model = set_parameters(FAMILIES["nearest"].build(0), {name: value}).fit(X[:300], y[:300])
    expected = model.predict(X[300:])
    assert np.isfinite(expected).all()
    assert predictor(model).parts
    assert predictor(model).agrees(X[300:])


def test_a_missing_category_has_a_column_of_its_own_where_that_is_chosen(side):
    X, y = side
    for value, sums in (("one-hot", {0.0, 1.0}), ("one-hot with missing", {1.0})):
        chosen = {"preprocess__category": value}
        steps = set_parameters(FAMILIES["nearest"].build(0), chosen)[:-1].fit(X, y)
        hot = [name.startswith("category") for name in steps.get_feature_names_out()]
        assert set(steps.transform(X)[:, hot].sum(axis=1)) == sums


def test_a_named_step_is_a_copy_and_other_texts_stay_parameters():
    scaled = {"model__transformer": "standard"}
    first, second = (
        set_parameters(FAMILIES["svr"].build(0), scaled)["model"].transformer for _ in range(2)
    )
    assert isinstance(first, StandardScaler)
    assert first is not second
    weights = {"model__regressor__model__weights": "distance"}
    assert set_parameters(FAMILIES["nearest"].build(0), weights).get_params().items() >= set(
        weights.items()
    )
    strategy = {"preprocess__number__impute__strategy": "median"}
    kept = set_parameters(FAMILIES["svr"].build(0), strategy)
    assert kept.get_params()["preprocess__number__impute__strategy"] == "median"


def test_another_step_of_a_name_is_another_search(monkeypatch):
    plans = [SearchPlan(families=(name,)) for name in ("svr", "boosting")]
    before = [search_key(plan) for plan in plans]
    monkeypatch.setitem(STEPS, "lasso", STEPS["standard"])
    after = [search_key(plan) for plan in plans]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]


def test_a_candidate_is_scored_on_no_more_rows_than_its_family_is_fitted_on(side):
    X, y = side[0], side[1].to_numpy(float)
    plan = SearchPlan(families=("nearest",), n_trials=1, folds=2, n_jobs=1, ensemble_size=1)
    few = {"nearest": replace(FAMILIES["nearest"], most_rows=100)}
    trial = run_search(X, y, plan, families=few).trials[0]
    (train, test), _ = folds(len(X), plan)
    kept = train[np.sort(np.random.default_rng(plan.seed).permutation(len(train))[:100])]
    model = pipeline(trial.candidate, plan.seed, few).fit(X.iloc[kept], y[kept])
    expected = error_of(y[test], in_range(model.predict(X.iloc[test])), plan.metric)
    assert trial.fold_errors[0] == pytest.approx(expected, rel=1e-9)


def test_another_limit_of_rows_is_another_search_where_it_changes_scores():
    plan = SearchPlan(families=("svr",))
    keys = [
        search_key(plan, {"svr": replace(FAMILIES["svr"], most_rows=rows)})
        for rows in (5_000, 10_000, plan.rows, EVERY_ROW)
    ]
    assert len(set(keys)) == 3
    assert keys[2] == keys[3]


def test_a_family_is_fitted_on_no_more_rows_than_it_bears(side):
    X, y = side
    few = {"nearest": replace(FAMILIES["nearest"], most_rows=100)}
    for count in (1, 2):
        members = [Member(Candidate(0, "nearest", {}), seed) for seed in range(count)]
        model = fit_members(X, y, members, families=few).model["model"]
        for each in getattr(model, "estimators_", [model]):
            nearest: KNeighborsRegressor = each.regressor_["model"]
            assert nearest.n_samples_fit_ == 100
