"""Means of models as they are stored: what skops gives back predicts the same."""

import pickle

import numpy as np
import pytest

from housing.records import Candidate, Member
from housing.store.models import skops_format
from housing.store.models.trusted_types import trusted_types
from housing.training import fit
from housing.training.fit import fit_members
from housing.training.sampling import sample_candidates
from housing.training.search_config import SearchPlan
from tests.housing.training import families


def test_a_mean_of_families_is_stored_too(census_path):
    X, y, X_test, _ = families.reference_split(census_path)
    mixed = [
        Member(Candidate(0, "boosting", {"model__max_iter": 5}), 1),
        Member(Candidate(1, "tree", {}), 2),
    ]
    model = fit_members(X[:400], y[:400], mixed, families=families.SMALL).model
    stored = skops_format.dump(model, trusted_types())
    again = skops_format.load(stored, trusted_types())
    np.testing.assert_array_equal(again.predict(X_test[:300]), model.predict(X_test[:300]))


@pytest.mark.parametrize("family", ["boosting", "tree"])
def test_where_a_member_was_fitted_does_not_show_in_the_bytes(family, census_path, monkeypatch):
    X, y, *_ = families.reference_split(census_path)
    candidate = sample_candidates(SearchPlan(families=(family,), n_trials=1), families.SMALL)[0]
    members = [Member(candidate, seed) for seed in range(2)]

    def stored(workers):
        model = fit_members(X[:400], y[:400], members, workers=workers, families=families.SMALL)
        return skops_format.dump(model.model, trusted_types())

    here = stored(workers=1)
    assert stored(workers=2) == here
    sent = lambda *arguments: pickle.loads(pickle.dumps(fitted(*arguments)))  # noqa: E731
    fitted = fit._fitted
    monkeypatch.setattr(fit, "_fitted", sent)
    assert stored(workers=1) == here
