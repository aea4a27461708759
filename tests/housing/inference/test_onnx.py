"""The ONNX form of each transformer and model computes what its NumPy form does."""

from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from housing import schema
from housing.features.preprocess import STEP_CHOICES, searched_pipeline, set_parameters
from housing.features.preprocess import tree_preprocessor as for_trees
from housing.inference.onnx.convert import to_onnx
from housing.inference.onnx.features import Text, transformed
from housing.inference.onnx.graph import Graph, NoOnnxForm, Tensor
from housing.problems.california import models
from housing.problems.california.features import COMPARED
from housing.records import Candidate, Member
from housing.store.models.onnx_format import MISSING, OnnxModel
from housing.training.candidates import BASELINES
from housing.training.fit import fit_members
from housing.training.sampling import sample_candidates
from housing.training.search_config import SearchPlan
from tests.fixtures.small_settings import landing_rows
from tests.housing.training import families

CATEGORIES = schema.CATALOGUE["ocean_proximity"].categories
FAMILIES = [
    name
    for name, each in families.SMALL.items()
    if each.installed and not name.endswith("-slow")  # the same classes
]

LOW = {"longitude": -124.0, "latitude": 33.0, "housing_median_age": 1.0, "median_income": 0.0}
HIGH = {"longitude": -115.0, "latitude": 41.0, "housing_median_age": 52.0, "median_income": 15.0}


def table(seed: int, rows: int, gaps: float, digits: int = 0) -> pd.DataFrame:
    """Rows on a coarse map, so that many share their places; zeros, gaps, unknown categories."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in schema.FEATURES:
        if name in schema.CATEGORIES:
            found[name] = rng.choice(np.array(CATEGORIES, dtype=object), rows)
            continue
        values = rng.uniform(LOW.get(name, 0.0), HIGH.get(name, 3e3), rows)
        values = np.round(values, digits if name in schema.COORDINATES else 3)
        values[rng.random(rows) < (0.0 if digits else gaps / 4)] = 0.0
        found[name] = np.where(rng.random(rows) < gaps, np.nan, values)
    frame = pd.DataFrame(found).astype(schema.dtypes(schema.FEATURES))
    unknown = rng.random(rows) < gaps
    return frame.assign(ocean_proximity=frame["ocean_proximity"].mask(unknown))


def labels(seed: int, rows: int) -> np.ndarray:
    return np.random.default_rng(seed + 1).uniform(1e5, 5e5, rows)


def by_onnx(fitted: Any, frame: pd.DataFrame) -> np.ndarray:
    """What the ONNX form of a fitted transformer makes of a frame."""
    graph = Graph()
    inputs: dict[str, Tensor] = {}
    given: dict[str, np.ndarray] = {}
    for name in schema.FEATURES:
        category = name in schema.CATEGORIES
        kind = TensorProto.STRING if category else TensorProto.DOUBLE
        column = graph.input(name, kind)
        inputs[name] = Text(graph, name, column.shape) if category else column
        values = frame[name].astype(object).where(frame[name].notna(), MISSING)
        given[name] = (values if category else frame[name]).to_numpy()[:, None]
    data = graph.finished(transformed(fitted, inputs), "features", {}).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["features"], given)[0]
    return found


def switched(parameters: dict[str, Any]) -> Any:
    return set_parameters(searched_pipeline(DummyRegressor(), COMPARED), parameters)["preprocess"]


STEPS = {
    "reference": models.reference(0),
    "neighbours and derived columns": models.spatial(0),
    "numbered categories": for_trees(schema.TABLE, {}, ordinal=True),
    **{
        f"{name.rpartition('__')[2]} {value}": switched({name: value})
        for name, values in {
            **STEP_CHOICES,
            "preprocess__category": ["one-hot with missing"],
        }.items()
        if name.startswith("preprocess")
        for value in values
    },
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("seed", "gaps"), [(0, 0.0), (1, 0.1), (2, 0.4)])
def test_the_features_are_those_of_numpy(name: str, seed: int, gaps: float) -> None:
    """With training rows, rows at the same places, gaps and unknown categories."""
    # scikit-learn's imputation takes any of several rows that are equally far
    digits = 9 if name == "impute nearest rows" else 0
    train, rows = table(seed, 90, gaps, digits), table(seed + 1, 30, gaps, digits)
    if name == "reference":  # similarity to clusters is of places that are known
        place = list(schema.COORDINATES)
        train[place], rows[place] = table(seed, 90, 0.0)[place], table(seed + 1, 30, 0.0)[place]
    fitted = clone(STEPS[name]).fit(train, labels(seed, 90))
    every = pd.concat([train.iloc[:30], rows], ignore_index=True)
    expected = np.asarray(fitted.transform(every), dtype=float)
    scale = np.nanmax(np.abs(expected), axis=0)
    found = by_onnx(fitted, every)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    # Features of trees are rounded to float32: values on its border may differ by that.
    away = np.nan_to_num(np.abs(found - expected)) / np.where(scale > 0, scale, 1.0)
    rounds = name in ("neighbours and derived columns", "numbered categories")
    assert away.max() < (2e-7 if rounds else 1e-9)
    assert (away > 1e-9).mean() < 0.01


def census(rows: int = 700) -> tuple[pd.DataFrame, pd.Series]:
    frame = landing_rows(rows=rows).astype(schema.dtypes())
    return frame[list(schema.FEATURES)], frame[schema.TARGET]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_predicts_the_same(name: str) -> None:
    """Alone and as a mean; of training rows and others, with gaps and without."""
    X, y = census()
    plan = SearchPlan(families=(name,), n_trials=3)
    drawn = sample_candidates(plan, families.SMALL)
    for members in ([Member(drawn[0], 0)], [Member(drawn[0], 1), Member(drawn[1], 2)]):
        model = fit_members(X[:400], y[:400], members, families=families.SMALL).model
        rows = X.iloc[300:].reset_index(drop=True)
        rows.loc[::9, ["total_bedrooms", "median_income"]] = np.nan
        rows.loc[::11, "ocean_proximity"] = np.nan
        found = OnnxModel(to_onnx(model)).predict(rows)
        np.testing.assert_allclose(found, model.predict(rows), rtol=1e-9)


@pytest.mark.parametrize("name", sorted({v for p, vs in STEP_CHOICES.items() for v in vs}))
def test_every_choice_of_a_search_predicts_the_same(name: str) -> None:
    X, y = census(300)
    path = next(p for p, values in STEP_CHOICES.items() if name in values)
    nearest = {"model__regressor__model__p": 1, "model__regressor__model__weights": "distance"}
    for family, more in (("svr", {}), ("nearest", nearest)):
        member = Member(Candidate(0, family, {path: name, **more}), 0)
        model = fit_members(X[:200], y[:200], [member]).model
        rows = X.iloc[150:]  # of which some are training rows, at no distance
        found = OnnxModel(to_onnx(model)).predict(rows)
        np.testing.assert_allclose(found, model.predict(rows), rtol=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_predict_the_same(name: str) -> None:
    X, y = census(300)
    model = BASELINES[name].build(0).fit(X, y)
    found = OnnxModel(to_onnx(model)).predict(X)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-9)


@pytest.mark.parametrize(
    "last",
    [
        HistGradientBoostingRegressor(max_iter=3, loss="gamma"),
        HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=1000),  # trees of one leaf
        TransformedTargetRegressor(
            HistGradientBoostingRegressor(max_iter=3), func=np.log, inverse_func=np.exp
        ),
    ],
    ids=["link", "one leaf", "log target"],
)
def test_other_boosting_predicts_the_same(last: Any) -> None:
    X, y = census(300)
    model = Pipeline([("preprocess", for_trees(schema.TABLE, {})), ("model", last)]).fit(X, y)
    found = OnnxModel(to_onnx(model)).predict(X)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-9)


class Odd(TransformerMixin, BaseEstimator):
    """A transformer that nobody gave a form."""

    def fit(self, X: Any, y: Any = None) -> "Odd":
        return self

    def transform(self, X: Any) -> Any:
        return X


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Odd(), "Odd has none"),
        (FunctionTransformer(np.cbrt), "numpy.cbrt has none"),
        (FunctionTransformer(np.sort), "numpy.sort has none"),
        (FunctionTransformer(lambda rows: rows.round(2)), "AttributeError"),
    ],
)
def test_what_has_no_form_is_named(step: Any, words: str) -> None:
    X, y = census(100)
    columns = ColumnTransformer([("number", step, ["median_income"])])
    model = Pipeline([("preprocess", columns), ("model", BASELINES["linear"].build(0)[-1])])
    with pytest.raises(NoOnnxForm, match=words):
        to_onnx(model.fit(X, y))


def test_predictions_are_held_in_the_range_of_the_target_as_in_service() -> None:
    X, y = census(300)
    model = BASELINES["linear"].build(0).fit(X, y)
    rows = X[:40].reset_index(drop=True)
    rows["population"] *= np.where(np.arange(40) % 2, 1.0, 1_000.0)
    rows["total_rooms"] *= np.where(np.arange(40) % 3, 1.0, 1_000.0)
    raw, target = model.predict(rows), schema.CATALOGUE[schema.TARGET]
    assert raw.min() < target.minimum
    assert raw.max() > target.maximum
    found = OnnxModel(to_onnx(model, in_range=True)).predict(rows)
    np.testing.assert_allclose(found, schema.in_range(raw), rtol=1e-9)


def test_no_rows_have_no_predictions() -> None:
    X, y = census(100)
    model = OnnxModel(to_onnx(BASELINES["linear"].build(0).fit(X, y)))
    assert model.predict(X[:0]).shape == (0,)
