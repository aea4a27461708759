import pickle

import joblib
import numpy as np
import pytest

from housing.features.preprocess import STEPS
from housing.records import Candidate
from housing.training.candidates import BASELINES, FAMILIES, pipeline
from housing.training.search import sample_candidates
from housing.training.search_config import SearchPlan
from tests.housing.training.families import reference_split

ALL = {**FAMILIES, **{f"baseline {n}": c for n, c in BASELINES.items()}}


def random_states(estimator):
    return {
        name: value
        for name, value in estimator.get_params().items()
        if name.endswith("random_state")
    }


@pytest.mark.parametrize("registry", [FAMILIES, BASELINES])
def test_names_are_those_of_the_registry_and_each_is_explained(registry):
    for name, candidate in registry.items():
        assert candidate.name == name
        assert candidate.explanation


def test_families_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(FAMILIES)).keys() == FAMILIES.keys()
    assert joblib.hash(BASELINES) == joblib.hash(pickle.loads(pickle.dumps(BASELINES)))


@pytest.mark.parametrize("name", ALL)
def test_pipelines_have_two_steps_and_the_seed_is_everywhere(name):
    built = ALL[name].build(7)
    assert [step for step, _ in built.steps] == ["preprocess", "model"]
    states = random_states(built)
    if "preprocess__geo" in built.get_params():
        assert "preprocess__geo__random_state" in states
    for parameter, state in states.items():
        # Ridge and the like list a seed that their solver does not use
        assert state == 7 or (state is None and "linear" in name and "model" in parameter)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_point_of_a_space_is_a_pipeline_with_a_cost(name):
    for candidate in sample_candidates(SearchPlan(families=(name,), n_trials=30)):
        built = pipeline(candidate, 1)
        parameters = built.get_params()
        for key, value in candidate.parameters.items():
            if value in STEPS:
                assert type(parameters[key]) is type(STEPS[value])
            else:
                assert parameters[key] == value
        assert FAMILIES[name].cost(candidate.parameters) > 0


def test_the_forest_has_the_published_space():
    space = FAMILIES["forest"].space
    assert space["preprocess__geo__n_clusters"].support() == (3, 49)
    assert space["model__max_features"].support() == (2, 19)
    assert FAMILIES["forest"].build(1)["model"].n_estimators == 100


def test_an_unknown_parameter_is_an_error():
    with pytest.raises(ValueError, match="Invalid parameter"):
        pipeline(Candidate(0, "tree", {"model__depth": 3}), 1)


@pytest.mark.parametrize("name", ALL)
def test_every_family_fits_real_districts_and_predicts_a_single_row(name, census_path):
    X, y, X_test, _ = reference_split(census_path)
    X_test = X_test[:500]
    model = ALL[name].build(1)
    if name.startswith("boosting"):
        model.set_params(model__max_iter=20)
    if name == "catboost":
        model.set_params(model__iterations=20)
    if name in ("forest", "extra-trees", "lightgbm", "lightgbm-slow"):
        model.set_params(model__n_estimators=5)
    model.fit(X[:500], y[:500])
    predicted = model.predict(X_test)
    assert predicted.dtype == np.float64
    assert np.isfinite(predicted).all()
    # a weighted sum is a matrix product, whose last bit may depend on the number of rows
    tolerance = 1e-12 if "linear" in name else 0
    assert model.predict(X_test.iloc[[3]])[0] == pytest.approx(predicted[3], rel=tolerance, abs=0)
