"""Errors of one model against scikit-learn, the book's interval, and impossible inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from housing.errors import NotMeasurable
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import spatial_cells


def prices(n, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(50_000, 500_001, n)
    return truth, truth * rng.lognormal(0, 0.2, n)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_is_the_one_of_the_book(confidence):
    truth, predicted = prices(400)
    squared = (predicted - truth) ** 2
    expected = np.sqrt(
        stats.t.interval(confidence, len(squared) - 1, loc=squared.mean(), scale=stats.sem(squared))
    )
    rmse = measure(truth, predicted, confidence).rmse
    assert (rmse.lower, rmse.upper) == pytest.approx(expected, rel=1e-12)
    assert rmse.value == pytest.approx(root_mean_squared_error(truth, predicted), rel=1e-12)
    assert rmse.confidence == confidence


def test_mae_and_r2_are_those_of_scikit_learn():
    truth, predicted = prices(400)
    found = measure(truth, predicted)
    assert found.mae == pytest.approx(mean_absolute_error(truth, predicted), rel=1e-12)
    assert found.r2 == pytest.approx(r2_score(truth, predicted), rel=1e-12)
    assert found.rows == 400


def test_shares_hold_their_limit():
    truth = np.full(10, 100_000.0)
    predicted = [100_000, 110_000, 90_000, 110_500, 120_000, 80_000, 79_000, 120_500, 5, 200_000]
    found = measure(truth, np.array(predicted, dtype=float))
    assert (found.within_10, found.within_20) == (0.3, 0.6)


def test_a_lower_limit_below_zero_reads_as_zero():
    rmse = measure(np.zeros(3) + 1, np.array([1.0, 1.0, 50.0])).rmse
    assert rmse.lower == 0
    assert rmse.upper > rmse.value > 0


def test_perfect_predictions_have_a_point_for_an_interval():
    truth, _ = prices(10)
    found = measure(truth, truth)
    assert (found.rmse.lower, found.rmse.value, found.rmse.upper) == (0, 0, 0)
    assert (found.r2, found.within_10) == (1, 1)


def test_a_constant_truth_has_no_r2_to_divide_by():
    assert measure(np.full(3, 5.0), np.array([5.0, 6.0, 7.0])).r2 == 0


@pytest.mark.parametrize(
    ("truth", "predicted", "why"),
    [
        ([1.0], [1.0], "it takes two test rows, there are 1"),
        ([], [], "there are 0"),
        ([1.0, 2.0], [1.0, np.nan], "1 values are not finite"),
        ([1.0, np.inf], [np.nan, 1.0], "2 values are not finite"),
    ],
)
def test_what_cannot_be_measured_says_why(truth, predicted, why):
    with pytest.raises(NotMeasurable, match=why):
        measure(np.array(truth), np.array(predicted))


def test_a_shape_that_would_broadcast_is_refused():
    with pytest.raises(ValueError, match="not one column"):
        measure(np.ones(3), np.ones((3, 1)))
    with pytest.raises(ValueError, match="not one column"):
        measure(np.ones(3), np.ones(1))


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_order_does_not_matter_and_the_unit_only_scales(seed, unit):
    truth, predicted = prices(30, seed)
    order = np.random.default_rng(seed).permutation(30)
    one = measure(truth, predicted)
    other = measure(truth[order] * unit, predicted[order] * unit)
    assert other.rmse.value == pytest.approx(one.rmse.value * unit)
    assert other.rmse.upper == pytest.approx(one.rmse.upper * unit)
    assert other.r2 == pytest.approx(one.r2)
    assert other.rmse.lower <= other.rmse.value <= other.rmse.upper


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_intervals_among_neighbours_have_the_unit_of_the_error(unit):
    truth, predicted = prices(60)
    where = spatial_cells(np.arange(60) // 6 * 1.0, np.zeros(60), 0.1)
    whole = measure(truth, predicted, where=where)
    found = measure(unit * truth, unit * predicted, where=where)
    for name in ("rmse", "mae_interval"):
        expected, got = getattr(whole, name), getattr(found, name)
        assert (got.lower, got.upper) == pytest.approx(
            (unit * expected.lower, unit * expected.upper)
        )
    assert found.r2 == pytest.approx(whole.r2)


def test_intervals_among_neighbours_take_two_cells_and_end_at_zero():
    truth, predicted = np.ones(8), np.ones(8)
    predicted[0] = 100.0
    two, one = np.repeat([0.0, 5.0], 4), np.zeros(8)
    found = measure(truth, predicted, where=spatial_cells(two, one, 0.1))
    assert found.rmse.lower == 0 == found.mae_interval.lower
    assert measure(truth, predicted, where=spatial_cells(one, one, 0.1)).mae_interval is None
    perfect = measure(truth, truth, where=spatial_cells(two, one, 0.1)).rmse
    assert (perfect.lower, perfect.value, perfect.upper) == (0, 0, 0)
