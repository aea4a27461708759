"""Each deciding metric: scikit-learn's figure, its interval, and what leaves it as it is."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    root_mean_squared_error,
    root_mean_squared_log_error,
)

from housing.errors import NotMeasurable
from housing.evaluation.compare import compare, compare_by_halves, compare_groups
from housing.evaluation.metrics import error_of, losses, measure
from housing.evaluation.spatial_se import independent_rows, spatial_cells
from housing.metric import KNOWN, metric_named

ORACLES = {
    "rmse": root_mean_squared_error,
    "mae": mean_absolute_error,
    "rmsle": root_mean_squared_log_error,
    "pinball:0.5": mean_pinball_loss,
    "pinball:0.9": partial(mean_pinball_loss, alpha=0.9),
}
METRICS = tuple(ORACLES)
each_metric = pytest.mark.parametrize("metric", METRICS)


def models(seed=0, cells=150, gain=1.0, mean_rows=8):
    """Truth, champion, challenger and cells; logarithms err alike within a cell.

    The logarithms' errors of the challenger are `gain` times as large, in truth.
    """
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(cells), rng.poisson(mean_rows, cells) + 1)
    truth = rng.uniform(1, 500, len(codes))

    def error():
        return 0.3 * rng.normal(size=len(codes)) + 0.2 * rng.normal(size=cells)[codes]

    common = error()
    one, other = (0.9 * common + 0.4 * error() for _ in range(2))
    where = spatial_cells(50.0 * codes, np.zeros(len(codes)), 0.1)  # apart: clusters of their own
    logarithms = np.log1p(truth)
    return truth, np.expm1(logarithms + one), np.expm1(logarithms + gain * other), where


@each_metric
def test_an_error_is_that_of_scikit_learn(metric):
    truth, champion, challenger, _ = models()
    champion = np.maximum(champion, 0)
    assert error_of(truth, champion, metric) == pytest.approx(ORACLES[metric](truth, champion))
    with pytest.raises(ValueError, match="not finite"):
        error_of(truth, np.where(truth > 400, np.nan, challenger), metric)


def test_a_negative_prediction_counts_as_zero_in_logarithms():
    truth = np.array([0.0, 3.0, 5.0])
    assert error_of(truth, np.array([-2.0, 3.0, -0.5]), "rmsle") == pytest.approx(
        root_mean_squared_log_error(truth, [0.0, 3.0, 0.0])
    )


@each_metric
def test_the_effect_is_the_relative_change_and_its_sign_is_right(metric):
    truth, champion, challenger, where = models()
    found = compare(truth, champion, challenger, where, metric, confidence=0.95)
    errors = [error_of(truth, each, metric) for each in (challenger, champion)]
    assert found.metric == metric
    assert found.effect == pytest.approx(errors[0] / errors[1] - 1, rel=1e-9)
    for factor, sign in ((0.9, -1), (1.1, 1)):
        closer = np.expm1(np.log1p(truth) + factor * (np.log1p(champion) - np.log1p(truth)))
        moved = compare(truth, champion, closer, where, metric, confidence=0.95)
        assert sign * moved.interval.lower > 0 or sign * moved.interval.upper > 0
        assert np.sign(moved.effect) == sign


@each_metric
def test_its_standard_error_is_that_of_a_bootstrap_over_cells(metric):
    truth, champion, challenger, where = models()
    found = compare(truth, champion, challenger, where, metric, confidence=0.95)
    cells = where.codes.max() + 1
    rng = np.random.default_rng(1)
    weights = rng.multinomial(cells, np.full(cells, 1 / cells), size=2000)[:, where.codes]
    ours, theirs = (weights @ losses(metric, truth, each) for each in (challenger, champion))
    oracle = (ours / theirs) ** metric_named(metric).power - 1
    assert found.se == pytest.approx(oracle.std(), rel=0.08)
    # One model's own error has its interval in the same way.
    own = measure(truth, champion, 0.95, where, metric)
    alone = (theirs / weights.sum(axis=1)) ** metric_named(metric).power
    assert (own.metric, own.error.value) == (metric, error_of(truth, champion, metric))
    half = (own.error.upper - own.error.lower) / 2
    assert half == pytest.approx(1.976 * alone.std(), rel=0.1)


@each_metric
def test_its_interval_holds_the_true_change_as_often_as_it_says(metric):
    """Equally good models differ by nothing in truth."""
    held = []
    for seed in range(250):
        columns = models(seed, cells=60, mean_rows=4)
        found = compare(*columns, metric, confidence=0.9)
        held.append(found.interval.lower <= 0 <= found.interval.upper)
    assert 0.84 <= np.mean(held) <= 0.96  # three standard errors


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.sampled_from(METRICS))
def test_a_unit_changes_no_metric_but_that_of_logarithms(seed, unit, metric):
    truth, champion, challenger, where = models(seed, cells=12, mean_rows=3)
    columns = (truth, champion, challenger)
    one = compare(*columns, where, metric, confidence=0.95)
    scaled = (unit * column for column in columns)
    other = compare(*scaled, where, metric, confidence=0.95)
    if metric != "rmsle":
        assert (other.effect, other.se) == pytest.approx((one.effect, one.se), rel=1e-6, abs=1e-12)
    swapped = compare(truth, challenger, champion, where, metric, confidence=0.95)
    assert (1 + one.effect) * (1 + swapped.effect) == pytest.approx(1)


def test_the_pinball_loss_at_one_half_is_half_of_the_absolute_error():
    columns = models()
    one = compare(*columns, "pinball:0.5", confidence=0.95)
    other = compare(*columns, "mae", confidence=0.95)
    assert (one.effect, one.upper) == pytest.approx((other.effect, other.upper))


@each_metric
def test_a_baseline_and_two_groups_are_compared_by_it(metric):
    truth, champion, challenger, where = models()
    constant = np.full(len(truth), 250.0)
    found = compare_by_halves(truth, constant, challenger, where, metric, confidence=0.95)
    errors = [error_of(truth, each, metric) for each in (challenger, constant)]
    assert found.effect == pytest.approx(errors[0] / errors[1] - 1)
    assert (found.metric, found.upper < 0) == (metric, True)
    wild = np.where(truth > 495, np.nan, constant)  # counts as an error of the whole range
    assert compare_by_halves(
        truth, wild, challenger, where, metric, confidence=0.95
    ).effect < found.effect  # fmt: skip
    rows = np.arange(len(truth)) % 3 == 0
    groups = compare_groups(truth, champion, rows, where, metric, confidence=0.95)
    sides = [error_of(truth[r], champion[r], metric) for r in (rows, ~rows)]
    assert groups.value == pytest.approx(sides[0] / sides[1] - 1)
    assert groups.lower < groups.value < groups.upper


def test_rows_without_a_location_have_an_interval_too():
    truth, champion, *_ = models()
    by_rows = measure(truth, champion, 0.95, independent_rows(len(truth)), "mae")
    alone = measure(truth, champion, 0.95, metric="mae")
    assert by_rows.error.value == alone.error.value == alone.mae
    assert by_rows.error.upper == pytest.approx(alone.error.upper, rel=1e-3)
    with pytest.raises(NotMeasurable, match="two test rows"):
        measure(truth[:1], champion[:1], 0.95, metric="mae")


def test_metrics_have_full_names():
    assert metric_named("pinball") == metric_named("pinball:0.5")
    assert metric_named("pinball:.9").name == "pinball:0.9"
    assert {metric_named(name).name for name in KNOWN} == set(KNOWN)
    for small in ("0.00001", "0.9999999", "0.123456789"):  # a stored name is read again
        found = metric_named(f"pinball:{small}")
        assert (found.name, found.quantile) == (f"pinball:{small}", float(small))
        assert metric_named(found.name) == found
    nearly_one = "pinball:0." + "9" * 20
    for name in ("r2", "pinball:0", "pinball:1", "pinball:0.0", nearly_one, "RMSE", ""):
        with pytest.raises(ValueError, match="there are rmse, mae, rmsle, pinball"):
            metric_named(name)
