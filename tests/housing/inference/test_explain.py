"""Shapley values: of few groups exact, of many sampled, and always adding up."""

import numpy as np
import pytest

from housing.array_types import Floats
from housing.inference.explain import EXACT_GROUPS, _exact, _sampled

WEIGHTS = np.arange(1.0, EXACT_GROUPS + 1)


def linear(known: np.ndarray) -> Floats:
    return np.asarray(3.0 + known @ WEIGHTS)


def with_interaction(known: np.ndarray) -> Floats:
    return np.asarray(linear(known) + 5.0 * (known[:, 0] & known[:, 3]))


def test_each_group_of_an_additive_model_contributes_its_own_term() -> None:
    for find in (_exact, _sampled):
        base, found = find(linear, len(WEIGHTS))
        assert base == pytest.approx(3.0)
        assert found == pytest.approx(WEIGHTS)


def test_an_interaction_is_shared_by_its_groups_and_contributions_add_up() -> None:
    base, exact = _exact(with_interaction, len(WEIGHTS))
    again, sampled = _sampled(with_interaction, len(WEIGHTS))
    assert exact[0] == pytest.approx(WEIGHTS[0] + 2.5)
    assert exact[3] == pytest.approx(WEIGHTS[3] + 2.5)
    # An order and its reverse give each of the two its turn to come last.
    assert sampled == pytest.approx(exact)
    assert base + sum(exact) == pytest.approx(again + sum(sampled))


def test_many_groups_cost_a_bounded_number_of_predictions() -> None:
    asked: list[int] = []

    def value(known: np.ndarray) -> Floats:
        asked.append(len(known))
        return np.asarray(known.sum(axis=1), dtype=np.float64)

    _, found = _sampled(value, 200)
    assert found == pytest.approx(np.ones(200))
    assert sum(asked) <= 20 * 201
