"""Prediction intervals: they hold what they promise, in each group, and say when they cannot."""

import numpy as np
import pytest
from scipy.stats import binomtest

from housing.errors import NotMeasurable
from housing.evaluation.conformal import MIN_GROUP_ROWS, coverage, fit_interval

NOMINAL = 0.9


def _rows(n: int, seed: int) -> tuple[np.ndarray, ...]:
    """Heavy-tailed errors whose size depends on the price, the place and one of two groups."""
    generator = np.random.default_rng(seed)
    predicted = generator.uniform(50_000, 400_000, n)
    nearby = generator.uniform(5_000, 60_000, n)
    noisy, old = generator.random(n) < 0.3, generator.random(n) < 0.2
    spread = nearby * np.where(noisy, 3.0, 1.0) * np.where(old, 0.5, 1.0)
    actual = predicted + spread * generator.standard_t(4, n)
    return actual, predicted, nearby, np.column_stack([noisy, old])


def _covered(seed: int) -> tuple[np.ndarray, np.ndarray]:
    fitted = fit_interval(*_rows(8_000, seed), nominal=NOMINAL)
    actual, predicted, nearby, groups = _rows(8_000, seed + 100)
    half = fitted.half_width(predicted, nearby, groups)
    return np.abs(actual - predicted) <= half, groups


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fresh_rows_are_covered_overall_and_in_each_group(seed: int) -> None:
    covered, groups = _covered(seed)
    assert abs(covered.mean() - NOMINAL) < 0.012
    for group in (*groups.T, *(~groups).T):
        assert abs(covered[group].mean() - NOMINAL) < 0.025


def test_without_groups_the_noisy_ones_are_not_covered() -> None:
    """What the quantile regression is for: the plain method fails where this one does not."""
    actual, predicted, nearby, groups = _rows(8_000, 0)
    plain = fit_interval(actual, predicted, nearby, groups[:, :0], nominal=NOMINAL)
    covered = np.abs(actual - predicted) <= plain.half_width(predicted, nearby, groups[:, :0])
    assert covered[groups[:, 0]].mean() < NOMINAL - 0.05


def test_the_interval_is_wider_where_the_model_was_further_off() -> None:
    fitted = fit_interval(*_rows(4_000, 3), nominal=NOMINAL)
    nowhere = np.zeros((2, 2), dtype=bool)
    half = fitted.half_width(np.full(2, 200_000.0), np.array([5_000.0, 50_000.0]), nowhere)
    assert half[1] > 3 * half[0] > 0


def test_a_group_too_small_to_tell_goes_by_the_others() -> None:
    actual, predicted, nearby, groups = _rows(2_000, 4)
    rare = np.zeros(2_000, dtype=bool)
    rare[: MIN_GROUP_ROWS - 1] = True
    fitted = fit_interval(actual, predicted, nearby, np.column_stack([groups, rare]), nominal=0.9)
    assert fitted.weights[2] == 0.0
    assert all(weight != 0 for weight in fitted.weights[:2])


def test_many_rows_are_thinned_and_say_so() -> None:
    fitted = fit_interval(*_rows(100_000, 5), nominal=NOMINAL)
    assert 30_000 < fitted.rows <= 40_000


@pytest.mark.parametrize("rows", [1, 49])
def test_too_few_residuals_are_named(rows: int) -> None:
    with pytest.raises(NotMeasurable, match="interval"):
        fit_interval(*_rows(rows, 0), nominal=NOMINAL)


def test_a_model_without_error_promises_no_width_and_no_division_by_zero() -> None:
    _, predicted, nearby, groups = _rows(500, 0)
    fitted = fit_interval(predicted, predicted, np.zeros(500), groups, nominal=NOMINAL)
    assert np.all(fitted.half_width(predicted, nearby, groups) >= 0)


@pytest.mark.parametrize(("inside", "rows"), [(0, 20), (17, 20), (20, 20), (900, 1000)])
def test_the_limits_of_a_coverage_are_those_of_scipys_exact_test(inside: int, rows: int) -> None:
    actual = np.where(np.arange(rows) < inside, 0.5, 2.0)
    found = coverage(actual, np.zeros(rows), np.ones(rows))
    expected = binomtest(inside, rows).proportion_ci(0.95, method="exact")
    assert found.value == inside / rows
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_limits_count_as_inside() -> None:
    assert coverage(np.array([0.0, 1.0]), np.zeros(2), np.ones(2)).value == 1.0
