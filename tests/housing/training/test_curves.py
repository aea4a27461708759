"""Learning and validation curves are scikit-learn's; each says in a sentence what it shows."""

import numpy as np
import pytest
from sklearn.model_selection import KFold, cross_val_score

from housing.errors import NotPossible
from housing.records import Candidate
from housing.training.candidates import FAMILIES, pipeline
from housing.training.curves import Curve, _lowest, learning, ranges, validation
from housing.training.search_config import SearchPlan
from tests.housing.training.families import reference_split

PLAN = SearchPlan(families=("tree",), n_jobs=1)
TREE = Candidate(0, "tree", {"model__min_samples_leaf": 2, "model__max_features": 0.9})


@pytest.fixture(scope="module")
def side(census_path):
    X, y, _, _ = reference_split(census_path)
    return X[:1200], y[:1200]


def test_the_last_point_of_a_learning_curve_is_the_cross_validated_error(side):
    X, y = side
    found = learning(X, y, TREE, PLAN)
    folds = KFold(3, shuffle=True, random_state=PLAN.seed)
    scores = cross_val_score(
        pipeline(TREE, PLAN.seed), X, y, cv=folds, scoring="neg_root_mean_squared_error"
    )
    # the rows of a fold come in another order, and equal cuts of a tree may fall otherwise
    np.testing.assert_allclose(found.validation[-1], -scores, rtol=0.05)
    assert found.values == (80.0, 240.0, 480.0, 800.0)
    assert np.mean(found.validation[0]) > np.mean(found.validation[-1])
    assert found.message.endswith("lower: overfitting.")
    assert "From 480 to 800 districts the error falls by" in found.message


def test_a_model_that_cannot_learn_underfits(side, monkeypatch):
    X, y = side
    stump = Candidate(0, "tree", {"model__max_depth": 1})
    assert learning(X, y, stump, PLAN).message.endswith("lower: underfitting.")


def test_a_validation_curve_is_of_the_named_parameter_over_its_space(side):
    found = validation(*side, TREE, PLAN, "model__min_samples_leaf")
    assert found.label == "min samples leaf"
    assert 5 <= found.values[0] < found.values[-1] <= 60
    assert all(len(errors) == PLAN.folds for errors in found.validation)
    train = [np.mean(errors) for errors in found.train]
    assert train == sorted(train), "larger leaves remember less"


def test_a_parameter_without_a_curve_is_refused_with_those_that_have_one(side):
    with pytest.raises(NotPossible, match=r"that have one: .*model__min_samples_leaf"):
        validation(*side, TREE, PLAN, "model__depth")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_numbers_that_its_pipeline_takes(family):
    found = ranges(FAMILIES[family])
    assert found
    for name, values in found.items():
        assert len(values) > 1
        assert values == sorted(values)
        assert pipeline(Candidate(0, family, {name: values[0]}), 1)


@pytest.mark.parametrize(
    ("validation_errors", "sentence"),
    [
        (((9.0,), (7.0,), (8.0,)), "at depth 2: lower values underfit and higher ones overfit."),
        (((9.0,), (8.0,), (7.0,)), "at depth 3, the highest value tried"),
    ],
)
def test_the_sentence_names_the_side_of_overfitting_or_the_end_of_the_range(
    validation_errors, sentence
):
    curve = Curve("model__depth", (1.0, 2.0, 3.0), ((8.0,), (4.0,), (1.0,)), validation_errors)
    assert sentence in _lowest(curve)
