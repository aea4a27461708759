import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from housing import schema
from housing.evaluation.spatial_se import row_cells
from housing.features.preprocess import groups_of
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy
from housing.inference.columns import columns_of_frame
from housing.inference.fast_predictor import FEW, Predictor, mean_of, predict_members, predictor
from housing.problems.california import features, models
from housing.records import Candidate, Member
from housing.training.fit import fit_members, models_of
from housing.training.sampling import sample_candidates
from housing.training.search_config import SearchPlan
from tests.housing.training import families

FAMILIES = [name for name, each in families.SMALL.items() if each.installed]

PARAMETERS = {
    "boosting": {"model__max_iter": 25, "model__max_features": 0.4},
    "extra-trees": {},
    "forest": {"model__max_features": 5},
}


@pytest.fixture(scope="module")
def districts(census_path):
    X, y, X_test, _ = families.reference_split(census_path)
    return X[:500], y[:500], X_test[:250]


def fitted(districts, *names, without=()):
    X, y, _ = districts
    members = [Member(Candidate(i, n, PARAMETERS[n]), i) for i, n in enumerate(names)]
    return fit_members(X, y, members, families=families.SMALL, without=without).model


@pytest.mark.parametrize(
    "names",
    [("boosting",), ("boosting",) * 3, ("boosting", "extra-trees"), ("forest",),
     ("boosting", "forest")],
)  # fmt: skip
def test_the_numbers_are_those_of_the_frame_with_any_number_of_threads(
    names, districts, monkeypatch
):
    monkeypatch.setattr("housing.inference.fast_predictor.CHUNK_ROWS", 100)
    model, (_, _, X_test) = fitted(districts, *names), districts
    expected = model.predict(X_test)
    gaps = X_test.isna().any(axis=1).to_numpy()
    assert gaps.any()
    for threads in (1, 2):
        fast = predictor(model, threads)
        np.testing.assert_allclose(fast.predict(columns_of_frame(X_test)), expected, rtol=1e-9)
        for i in (0, 5, int(np.argmax(gaps))):
            alone = fast.predict(columns_of_frame(X_test.iloc[[i]]))
            np.testing.assert_allclose(alone, expected[[i]], rtol=1e-9)
        assert fast.agrees(X_test)


@pytest.mark.parametrize(
    "without", [("ratios", "similar"), ("labels",), groups_of(models.spatial(0))]
)
def test_excluded_features_are_not_computed(without, districts):
    model = fitted(districts, "boosting", without=without)
    assert predictor(model).agrees(districts[2])


@pytest.mark.parametrize(("ensemble_size", "same"), [(1, True), (3, True), (3, False)])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_asked_without_frames_alone_and_in_any_mean(
    family, ensemble_size, same, districts
):
    """Members that share their features and members that do not, by what they are."""
    X, y, X_test = districts
    plan = SearchPlan(families=(family,), n_trials=3)
    drawn = sample_candidates(plan, families.SMALL)
    members = [Member(drawn[0 if same else i], i) for i in range(ensemble_size)]
    model = fit_members(X[:250], y[:250], members, families=families.SMALL).model
    expected = model.predict(X_test)
    each = predict_members(model, X_test)
    assert each.shape == (ensemble_size, len(X_test)), "as many members as were fitted"
    np.testing.assert_allclose(each.mean(axis=0), expected, rtol=1e-12)
    alone = [member.predict(X_test) for member in models_of(model)]
    np.testing.assert_allclose(each, alone, rtol=1e-12)
    fast = predictor(model)
    assert fast.parts, "no way without frames"
    assert fast.agrees(X_test)
    for n in (1, 5, FEW, FEW + 1):
        few = fast.predict(columns_of_frame(X_test.iloc[:n]))
        np.testing.assert_allclose(few, expected[:n], rtol=1e-12)
    if ensemble_size > 1:
        rows = TestRows(1, row_cells(X_test), np.full(len(X_test), 2e5))
        challenger = ModelPredictions(1, "1", each.mean(axis=0), 250, 0, tuple(each))
        found = measure_evidence(rows, challenger, Competitors(), GatePolicy(), RunFacts())
        assert len(found.seed_variance.errors) == ensemble_size
        assert found.seed_variance.spread > 0 or (
            same and family in ("linear", "svr", "nearest")
        )  # its seeds may agree


@pytest.mark.parametrize("names", [("boosting",) * 2, ("boosting", "forest")])
def test_predictions_beyond_the_range_of_the_target_are_set_to_its_limit(
    names, districts, monkeypatch
):
    model, (_, _, X_test) = fitted(districts, *names), districts
    plain = model.predict(X_test)
    low, high = np.quantile(plain, (0.3, 0.6))
    monkeypatch.setattr(schema, "_RANGE", (float(low), float(high)))
    expected = np.clip(plain, low, high)
    np.testing.assert_allclose(mean_of(predict_members(model, X_test)), expected, rtol=1e-9)
    for ask in (predictor(model), Predictor(model)):
        for n in (1, FEW, len(X_test)):
            found = ask.predict(columns_of_frame(X_test.iloc[:n]))
            np.testing.assert_allclose(found, expected[:n], rtol=1e-9)
    assert predictor(model).agrees(X_test)


def test_a_prediction_that_is_no_number_stays_for_the_gate_to_find(monkeypatch):
    monkeypatch.setattr(schema, "_RANGE", (0.0, None))
    given = np.array([-1.0, np.nan, np.inf, -np.inf, 2.0])
    np.testing.assert_array_equal(schema.in_range(given), [0.0, np.nan, np.inf, -np.inf, 2.0])


def test_a_model_of_unknown_type_predicts_by_its_own_method(districts):
    X, y, X_test = districts
    numbers = [name for name in schema.FEATURES if name in schema.NUMBERS]
    odd = ColumnTransformer([("near", FunctionTransformer(np.nan_to_num), numbers)])
    strange = Pipeline([("preprocess", odd), ("model", LinearRegression())])
    names = ["one", "two"]
    model = VotingRegressor([(name, strange) for name in names]).fit(X, y)
    fast = predictor(model)
    assert fast.parts == ()
    expected = schema.in_range(model.predict(X_test))
    np.testing.assert_array_equal(fast.predict(columns_of_frame(X_test)), expected)
    assert predict_members(model, X_test).shape == (2, len(X_test))


BOOSTED = HistGradientBoostingRegressor(max_iter=5)


@pytest.mark.parametrize(
    "last",
    [
        TransformedTargetRegressor(BOOSTED, func=np.log, inverse_func=np.exp),
        HistGradientBoostingRegressor(max_iter=5, loss="gamma"),
        HistGradientBoostingRegressor(max_iter=5, categorical_features=[0]),
        VotingRegressor([("a", BOOSTED), ("b", TransformedTargetRegressor(BOOSTED))]),
    ],
    ids=["transform", "link", "categories", "mean"],
)
def test_a_model_step_that_is_no_sum_of_plain_trees_predicts_by_itself(last, districts):
    X, y, X_test = districts
    names = ["housing_median_age", "median_income"]
    numbers = ColumnTransformer([("n", "passthrough", names)])
    model = Pipeline([("any name", numbers), ("will do", last)]).fit(X, y)
    fast = predictor(model)
    expected = model.predict(X_test)
    for n in (1, FEW, len(X_test)):
        found = fast.predict(columns_of_frame(X_test.iloc[:n]))
        np.testing.assert_allclose(found, expected[:n], rtol=1e-9)
    np.testing.assert_allclose(predict_members(model, X_test).mean(axis=0), expected, rtol=1e-9)


def test_a_feature_that_is_registered_later_does_not_change_a_fitted_model(districts, monkeypatch):
    model = fitted(districts, "boosting")
    more = (*features.RATIOS, features.LOGS[0])
    monkeypatch.setattr(models, "ROW_GROUPS", {**models.ROW_GROUPS, "ratios": more})
    fast = predictor(model)
    assert fast.parts
    assert fast.agrees(districts[2])


def test_training_rows_get_what_they_were_trained_with(districts):
    model = fitted(districts, "boosting")
    assert predictor(model).agrees(districts[0][:50])


def test_a_predictor_of_another_model_does_not_agree(districts):
    one, other = fitted(districts, "boosting"), fitted(districts, "boosting", "boosting")
    fast = predictor(one)
    object.__setattr__(fast, "model", other)
    assert not fast.agrees(districts[2])


def test_a_missing_category_is_none_of_them_and_a_missing_column_is_named(districts):
    model, row = fitted(districts, "boosting"), districts[2].iloc[[0]]
    fast, given = predictor(model), columns_of_frame(row)
    frame = row.assign(ocean_proximity=row["ocean_proximity"].where([False]))
    missing = fast.predict(columns_of_frame(frame))
    np.testing.assert_allclose(missing, model.predict(frame), rtol=1e-9)
    with pytest.raises(KeyError, match="latitude"):
        fast.predict({name: v for name, v in given.items() if name != "latitude"})
