"""What a stored model may hold is what is registered, and is tried before a search."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline

from housing import schema
from housing.errors import NotPossible
from housing.features import derived
from housing.pipeline.train import check_families
from housing.problems.california.features import COVARIATES, LOGS, ROW_GROUPS
from housing.problems.california.models import reference
from housing.problems.california.simulated.scenarios import simulate
from housing.store.models import artifacts
from housing.store.models.trusted_types import trusted_types
from housing.training.candidates import FAMILIES
from housing.training.families import ModelFamily
from housing.training.fit import library_versions
from housing.training.search_config import SearchPlan


class Strange(RegressorMixin, BaseEstimator):
    """A type of another package, as far as skops knows."""

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


class Failing(Strange):
    def fit(self, X, y):
        raise ArithmeticError("too few rows")


class Forgetful(Strange):
    """Predicts otherwise once it is loaded."""

    def __getstate__(self):
        return {"mean_": 1.0}


def family(kind, **facts):
    def build(_seed):
        return Pipeline([("preprocess", reference(0)), ("model", kind())])

    return ModelFamily("linear", build, "for tests", **facts)


@pytest.fixture
def rows():
    frame = simulate(200, 0)
    X = frame[list(schema.FEATURES)].astype(schema.dtypes(schema.FEATURES))
    return X, frame[schema.TARGET]


def test_every_registered_function_is_trusted_and_those_of_models_before():
    trusted = set(trusted_types())
    columns = (*COVARIATES, *LOGS, *(c for each in ROW_GROUPS.values() for c in each))
    assert {f"{c.function.__module__}.{c.function.__qualname__}" for c in columns} <= trusted
    assert f"{derived.__name__}.ratio" in trusted
    for name in ("neighbours.NeighbourStatistics", "spatial.ClusterSimilarity"):
        assert f"housing.features.{name}" in trusted
    assert "housing.features.neighbours.in_threads" not in trusted, "it calls what it is given"


def test_a_family_of_untrusted_types_is_refused_before_the_search(rows, monkeypatch):
    monkeypatch.setitem(FAMILIES, "linear", family(Strange))
    plan = SearchPlan(families=("linear",))
    with pytest.raises(NotPossible, match=r"test_trusted_types\.Strange.*`trusted`"):
        check_families(plan, *rows)
    name = f"{Strange.__module__}.Strange"
    monkeypatch.setitem(FAMILIES, "linear", family(Strange, trusted=(name,)))
    check_families(plan, *rows)


def test_a_family_that_predicts_otherwise_once_loaded_is_refused(rows, monkeypatch):
    name = f"{Forgetful.__module__}.Forgetful"
    monkeypatch.setitem(FAMILIES, "linear", family(Forgetful, trusted=(name,)))
    with pytest.raises(NotPossible, match="family linear is refused: once it is loaded again"):
        check_families(SearchPlan(families=("linear",)), *rows)


def test_a_family_that_fails_on_a_few_rows_is_left_to_the_search(rows, monkeypatch):
    monkeypatch.setitem(FAMILIES, "linear", family(Failing))
    check_families(SearchPlan(families=("linear",)), *rows)


@pytest.mark.parametrize("name", [n for n, c in FAMILIES.items() if c.installed])
def test_every_family_of_the_registry_can_be_stored_and_exported_to_onnx(name, rows, caplog):
    check_families(SearchPlan(families=(name,)), *rows)
    assert artifacts.FORMAT == "skops.zst"
    assert not caplog.records


def test_a_family_without_an_onnx_form_is_named_before_the_search(rows, monkeypatch, caplog):
    name = f"{Strange.__module__}.Strange"
    monkeypatch.setitem(FAMILIES, "linear", family(Strange, trusted=(name,)))
    check_families(SearchPlan(families=("linear",)), *rows)
    assert "family linear can not be exported to ONNX: " in caplog.text
    assert "Strange has none" in caplog.text


@pytest.mark.parametrize("name", ["lightgbm", "catboost"])
def test_versions_are_those_of_a_familys_own_packages_too(name):
    pytest.importorskip(name)
    plain = library_versions(FAMILIES["boosting"].build(0))
    assert plain == library_versions()
    assert set(library_versions(FAMILIES[name].build(0))) - set(plain) == {name}
