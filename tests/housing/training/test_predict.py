import numpy as np
import pytest

from housing import schema
from housing.features.preprocess import FEATURE_GROUPS
from housing.records import Draw, Member
from housing.training.fit import fit_members
from housing.training.predict import predictor
from tests.housing.training import families

PARAMETERS = {
    "boosting": {"model__max_iter": 25, "model__max_features": 0.4},
    "extra-trees": {},
    "forest": {"model__max_features": 5},
}


@pytest.fixture(scope="module")
def districts(census_path):
    X, y, X_test, _ = families.reference_split(census_path)
    return X[:1500], y[:1500], X_test[:700]


def columns(frame):
    """As a server gets them: lists of plain values, gaps as None."""
    return {
        name: [None if value != value else value for value in frame[name].tolist()]
        for name in schema.FEATURES
    }


def fitted(districts, *names, without=()):
    X, y, _ = districts
    members = [Member(Draw(i, n, PARAMETERS[n]), i) for i, n in enumerate(names)]
    return fit_members(X, y, members, candidates=families.SMALL, without=without).model


@pytest.mark.parametrize(
    "names",
    [("boosting",), ("boosting",) * 3, ("boosting", "extra-trees"), ("forest",),
     ("boosting", "forest")],
)  # fmt: skip
@pytest.mark.parametrize("threads", [1, 2])
def test_the_numbers_are_those_of_the_frame(names, threads, districts, monkeypatch):
    monkeypatch.setattr("housing.training.predict.CHUNK_ROWS", 100)
    model, (_, _, X_test) = fitted(districts, *names), districts
    fast = predictor(model, threads)
    expected = model.predict(X_test)
    np.testing.assert_allclose(fast.predict(columns(X_test)), expected, rtol=1e-9)
    gap = int(np.argmax(X_test.isna().any(axis=1).to_numpy()))
    for i in (0, 5, gap):
        alone = fast.predict(columns(X_test.iloc[[i]]))
        np.testing.assert_allclose(alone, expected[[i]], rtol=1e-9)
    assert fast.agrees(X_test)


@pytest.mark.parametrize("without", [("ratios", "similar"), ("prices",), FEATURE_GROUPS])
def test_what_is_left_out_is_left_out(without, districts):
    model = fitted(districts, "boosting", without=without)
    assert predictor(model).agrees(districts[2])


def test_training_rows_get_what_they_were_trained_with(districts):
    model = fitted(districts, "boosting")
    assert predictor(model).agrees(districts[0][:50])


def test_a_predictor_of_another_model_does_not_agree(districts):
    one, other = fitted(districts, "boosting"), fitted(districts, "boosting", "boosting")
    fast = predictor(one)
    object.__setattr__(fast, "model", other)
    assert not fast.agrees(districts[2])


def test_an_unknown_category_is_none_of_them_and_a_missing_column_is_named(districts):
    model, row = fitted(districts, "boosting"), districts[2].iloc[[0]]
    fast = predictor(model)
    strange = {**columns(row), "ocean_proximity": ["NEAR LAKE"]}
    frame = row.astype({"ocean_proximity": object}).assign(ocean_proximity="NEAR LAKE")
    np.testing.assert_allclose(fast.predict(strange), model.predict(frame), rtol=1e-9)
    with pytest.raises(KeyError, match="latitude"):
        fast.predict({name: v for name, v in columns(row).items() if name != "latitude"})
    with pytest.raises(ValueError, match="rich"):
        fast.predict({**columns(row), "median_income": ["rich"]})
