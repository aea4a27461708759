"""CatBoost as it is stored: the same bytes from the same rows, and nothing that is not needed."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

pytest.importorskip("catboost", reason="an optional family: `make catboost` installs it")
from housing.problems.california.models import FAMILIES
from housing.training.symmetric_trees import SymmetricTrees


def rows(n=600):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 5))
    X[::9, 2] = np.nan
    return X, 3 * X[:, 0] + rng.normal(size=n)


def fitted(**parameters):
    return FAMILIES["catboost"].build(4)[-1].set_params(iterations=20, **parameters).fit(*rows())


def test_two_fits_have_the_same_bytes_in_one_thread_and_in_two(tmp_path, monkeypatch):
    first = fitted()
    monkeypatch.chdir(tmp_path)  # CatBoost stores its folder, and the time
    assert fitted()._serialize_model() == first._serialize_model()
    assert fitted(thread_count=2)._serialize_model() == first._serialize_model()
    assert not list(tmp_path.iterdir())


def test_a_copy_is_not_fitted_and_has_the_same_parameters():
    model = fitted()
    copy = clone(model)
    assert type(copy) is SymmetricTrees
    assert not copy.is_fitted()
    assert copy.get_params() == model.get_params()


def test_nothing_that_draws_is_imported():
    program = (
        "import sys, housing.training.symmetric_trees\n"
        "print({'plotly', 'graphviz', 'matplotlib'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert shown.stdout.strip() == "set()", shown.stderr
