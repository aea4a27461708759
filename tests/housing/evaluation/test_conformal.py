"""Prediction intervals: they hold what they promise, in each group, and say when they cannot."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from housing.errors import NotMeasurable
from housing.evaluation.conformal import (
    FLOOR,
    MIN_GROUP_ROWS,
    Conformal,
    coverage,
    fit_interval,
)

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


def test_an_interval_without_groups_under_covers_noisy_rows() -> None:
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


def test_a_group_that_is_too_small_uses_the_width_of_the_others() -> None:
    actual, predicted, nearby, groups = _rows(2_000, 4)
    rare = np.zeros(2_000, dtype=bool)
    rare[: MIN_GROUP_ROWS - 1] = True
    fitted = fit_interval(actual, predicted, nearby, np.column_stack([groups, rare]), nominal=0.9)
    assert fitted.weights[2] == 0.0
    assert all(weight != 0 for weight in fitted.weights[:2])


@pytest.mark.system
def test_many_rows_are_thinned_and_the_calibration_records_it() -> None:
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


# --- the finite-sample correction, once and not twice ------------------------------------------


def _alike(residuals: np.ndarray) -> float:
    """Half the width where all rows are alike: some order statistic of the residuals."""
    n = len(residuals)
    predicted, nearby, none = np.full(n, 1e5), np.full(n, 1e4), np.zeros((n, 0), dtype=bool)
    fitted = fit_interval(predicted + residuals, predicted, nearby, none, nominal=NOMINAL)
    return float(fitted.half_width(predicted[:1], nearby[:1], none[:1])[0])


@pytest.mark.parametrize("n", [53, 66, 87, 103, 204])
def test_the_width_is_the_residual_of_rank_nominal_times_n_plus_one(n: int) -> None:
    """Rank 49 of 53: without the correction it is 48, with it applied twice 50."""
    residuals = np.random.default_rng(n).exponential(20_000, n) + 2_000
    rank = math.ceil(NOMINAL * (n + 1))
    assert _alike(residuals) == pytest.approx(np.sort(residuals)[rank - 1], rel=1e-6)


@pytest.mark.system
def test_few_residuals_cover_fresh_rows_as_often_as_promised_in_the_mean() -> None:
    """Over many sets of 53 the share is 49 / 54; without the correction it is 48 / 54 = 88.9 %."""
    generator, scale = np.random.default_rng(8), 20_000.0
    shares = []
    for _ in range(1_500):
        half = _alike(generator.exponential(scale, 53) + 2_000)
        shares.append(1 - np.exp(-(half - 2_000) / scale))
    error = np.std(shares) / len(shares) ** 0.5
    assert np.mean(shares) == pytest.approx(49 / 54, abs=4 * error)
    assert np.mean(shares) > NOMINAL - error


# --- the floor ---------------------------------------------------------------------------------


def test_perfect_rows_and_worthless_predictions_count_as_the_floor() -> None:
    actual, predicted, nearby, groups = _rows(2_000, 6)
    predicted[:300] = actual[:300]  # no residual
    nearby[200:500] = 0.0  # none around
    predicted[500:520] = np.linspace(-10.0, 0.0, 20)
    fitted = fit_interval(actual, predicted, nearby, groups, nominal=NOMINAL)
    assert fitted.floor == FLOOR * np.median(np.abs(predicted))
    assert np.isfinite([*fitted.scale, fitted.base, *fitted.weights]).all()
    covered = np.abs(actual - predicted) <= fitted.half_width(predicted, nearby, groups)
    assert covered.mean() == pytest.approx(NOMINAL, abs=0.01)


@pytest.mark.parametrize("low", [0.0, -50.0, 1e-9])
def test_predictions_below_the_floor_have_the_width_of_the_floor(low: float) -> None:
    fitted = fit_interval(*_rows(2_000, 6), nominal=NOMINAL)
    nowhere, floor = np.zeros((1, 2), dtype=bool), np.array([fitted.floor])
    small, usual = np.array([low]), np.array([100_000.0])
    for below, at in (((small, usual), (floor, usual)), ((usual, small), (usual, floor))):
        width = fitted.half_width(*below, nowhere)
        assert width == fitted.half_width(*at, nowhere)
        assert 0 < width[0] < np.inf


def test_predictions_of_nothing_have_a_floor_of_one_dollar() -> None:
    residuals = np.random.default_rng(0).normal(0, 10, 200)
    none = np.zeros((200, 0), dtype=bool)
    fitted = fit_interval(residuals, np.zeros(200), np.zeros(200), none, nominal=NOMINAL)
    assert fitted.floor == 1.0
    assert np.isfinite(fitted.half_width(np.zeros(1), np.zeros(1), none[:1])).all()


def test_no_interval_is_turned_inside_out() -> None:
    fitted = Conformal(NOMINAL, (0.0, 1.0, 0.0), 1.0, 1.0, (-1.5, -1.5), 100)
    one = np.ones(1)
    assert fitted.half_width(one, one, np.array([[True, True]])) == 0.0
    assert fitted.half_width(one, one, np.array([[False, False]])) == 1.0


def test_a_residual_below_the_floor_makes_the_scale_that_the_floor_makes() -> None:
    """Else the logarithm of a perfect row would decide the scale of all."""
    actual, predicted, nearby, groups = _rows(1_000, 9)
    floor = FLOOR * np.median(np.abs(predicted))
    scales = []
    for residual in (0.0, floor):
        actual[:150] = predicted[:150] + residual
        scales.append(fit_interval(actual, predicted, nearby, groups, nominal=NOMINAL).scale)
    assert scales[0] == pytest.approx(scales[1], rel=1e-9)
