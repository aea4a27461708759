"""The paired comparison against bootstraps, its invariances and its degenerate cases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from housing.errors import NotMeasurable
from housing.evaluation.compare import (
    compare,
    compare_groups,
    compare_pair,
    paired,
)
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import spatial_cells

APART = 50.0
"""Degrees between cells, beyond any bandwidth: each is a cluster of its own."""


def apart(codes):
    """Places of clusters that have nothing to do with one another."""
    return spatial_cells(APART * codes, np.zeros(len(codes)), 0.1)


def paired_models(seed=0, cells=150, mean_rows=8, gain=0.97):
    """Truth, champion, challenger and places; errors share a part within each cell."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(cells), rng.poisson(mean_rows, cells) + 1)
    n = len(codes)
    truth = rng.uniform(50_000, 500_001, n)
    champion = rng.normal(0, 40_000, n) + rng.normal(0, 25_000, cells)[codes]
    own = rng.normal(0, 12_000, n) + rng.normal(0, 12_000, cells)[codes]
    return truth, truth + champion, truth + gain * champion + own, apart(codes)


def effects(truth, champion, challenger, weights):
    """Relative change of the RMSE under each row of bootstrap weights, shape (draws, n)."""
    theirs, ours = (champion - truth) ** 2, (challenger - truth) ** 2
    return np.sqrt((weights @ ours) / (weights @ theirs)) - 1


@pytest.mark.parametrize("seed", [0, 1])
def test_the_clustered_error_is_that_of_a_bootstrap_over_cells(seed):
    truth, champion, challenger, where = paired_models(seed)
    rng = np.random.default_rng(1)
    codes = where.codes
    cells = codes.max() + 1
    draws = rng.multinomial(cells, np.full(cells, 1 / cells), size=3000)[:, codes]
    oracle = effects(truth, champion, challenger, draws)
    found = compare(truth, champion, challenger, where, confidence=0.95)
    assert found.se == pytest.approx(oracle.std(), rel=0.06)
    assert found.upper == pytest.approx(np.quantile(oracle, 0.95), abs=0.25 * found.se)
    assert found.se > 1.1 * found.se_independent


@pytest.mark.parametrize("seed", [0, 1])
def test_the_independent_error_is_that_of_a_bootstrap_over_rows(seed):
    truth, champion, challenger, where = paired_models(seed)
    n = len(truth)
    draws = np.random.default_rng(2).multinomial(n, np.full(n, 1 / n), size=3000)
    oracle = effects(truth, champion, challenger, draws)
    found = compare(truth, champion, challenger, where, confidence=0.95)
    assert found.se_independent == pytest.approx(oracle.std(), rel=0.06)


def test_one_row_a_cell_makes_both_errors_the_same():
    truth, champion, challenger, _ = paired_models()
    found = compare(truth, champion, challenger, apart(np.arange(len(truth))), confidence=0.95)
    assert found.se == pytest.approx(found.se_independent, rel=2e-3)
    assert found.clusters == found.rows == len(truth)


def test_limits_use_students_t_distribution():
    truth, champion, challenger, where = paired_models(cells=5)
    found = compare(truth, champion, challenger, where, confidence=0.9)
    df = found.degrees
    assert found.clusters == 5
    assert 1 < df < 4
    assert found.upper == pytest.approx(found.effect + stats.t.ppf(0.9, df) * found.se)
    half = stats.t.ppf(0.95, df) * found.se
    assert found.interval.lower == pytest.approx(found.effect - half)
    assert found.interval.upper == pytest.approx(found.effect + half)
    assert (found.interval.value, found.interval.confidence) == (found.effect, 0.9)


def test_evidence_of_before_has_the_cells_less_one():
    truth, champion, challenger, where = paired_models()
    found = compare(truth, champion, challenger, where, confidence=0.95)
    assert replace(found, df=None).degrees == found.clusters - 1


def test_the_effect_is_the_relative_change_of_the_rmse():
    truth, champion, challenger, where = paired_models()
    rmse = [np.sqrt(np.mean((p - truth) ** 2)) for p in (challenger, champion)]
    found = compare(truth, champion, challenger, where, confidence=0.95)
    assert found.effect == pytest.approx(rmse[0] / rmse[1] - 1, rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_neither_row_order_nor_unit_nor_the_names_of_cells_matter(seed, unit):
    truth, champion, challenger, where = paired_models(seed, cells=12, mean_rows=3)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(truth)), rng.permutation(30)
    one = compare(truth, champion, challenger, where, confidence=0.95)
    other = compare(
        unit * truth[order],
        unit * champion[order],
        unit * challenger[order],
        apart(names[where.codes[order]]),
        confidence=0.95,
    )
    for figure in ("effect", "se", "se_independent", "upper"):
        assert getattr(other, figure) == pytest.approx(getattr(one, figure), rel=1e-7, abs=1e-12)
    assert (other.rows, other.clusters) == (one.rows, one.clusters)


@given(st.integers(0, 2**32 - 1))
def test_swapping_the_models_inverts_the_ratio(seed):
    truth, champion, challenger, where = paired_models(seed, cells=12, mean_rows=3)
    one = compare(truth, champion, challenger, where, confidence=0.95)
    other = compare(truth, challenger, champion, where, confidence=0.95)
    assert (1 + one.effect) * (1 + other.effect) == pytest.approx(1)
    # The delta method is the same for the logarithm of the ratio, whose sign alone changes.
    assert one.se / (1 + one.effect) == pytest.approx(other.se / (1 + other.effect))


def test_equal_predictions_differ_by_nothing():
    truth, champion, _, where = paired_models()
    found = compare(truth, champion, champion.copy(), where, confidence=0.95)
    assert (found.effect, found.se, found.se_independent, found.upper) == (0, 0, 0, 0)


def test_a_challenger_without_error_is_wholly_better():
    truth, champion, _, where = paired_models()
    found = compare(truth, champion, truth, where, confidence=0.95)
    assert (found.effect, found.se, found.upper) == (-1, 0, -1)


def test_two_rows_in_two_cells_are_enough_for_a_wide_interval():
    found = compare(
        np.array([1.0, 2.0]),
        np.array([2.0, 4.0]),
        np.array([1.5, 4.0]),
        apart(np.array([0, 1])),
        confidence=0.95,
    )
    assert np.isfinite(found.upper)
    assert found.interval.upper - found.interval.lower > 1


def test_the_independent_error_of_two_rows_by_hand():
    champion, challenger = np.array([2.0, -2.0]), np.array([1.0, 3.0])
    errors = paired(np.zeros(2), champion, challenger, apart(np.arange(2)))
    found = compare_pair(errors, "mae", confidence=0.95)
    # Row by row the change is 1/2 - 1 and 3/2 - 1: a spread of sqrt(1/2) over sqrt(2) rows.
    assert (found.effect, found.se_independent) == (0, pytest.approx(0.5))


def test_errors_below_one_have_their_interval_too():
    """In millions of dollars, say: the mean square is then far below one."""
    truth, champion, challenger, where = paired_models(cells=12)
    one = compare(truth, champion, challenger, where, confidence=0.95)
    other = compare(truth / 1e6, champion / 1e6, challenger / 1e6, where, confidence=0.95)
    assert other.se == pytest.approx(one.se, rel=1e-6)
    assert other.se_independent == pytest.approx(one.se_independent, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"champion_pred": [1.0, 2, 3]}, "makes no error at all"),
        ({"where": [4, 4, 4]}, "all test rows lie in one location cell"),
        ({"challenger_pred": [1.0, np.nan, 3]}, "1 values are not finite"),
        (
            {"y": [1.0], "champion_pred": [2.0], "challenger_pred": [2.0], "where": [0]},
            "it takes two test rows",
        ),
    ],
)
def test_what_cannot_be_compared_says_why(change, why):
    fields = {
        "y": [1.0, 2, 3],
        "champion_pred": [2.0, 2, 2],
        "challenger_pred": [1.0, 2, 2],
        "where": [0, 1, 2],
    }
    columns = {name: np.array(values) for name, values in {**fields, **change}.items()}
    columns["where"] = apart(columns["where"])
    with pytest.raises(NotMeasurable, match=why):
        compare(**columns, confidence=0.95)


def test_columns_that_do_not_belong_together_are_refused():
    truth, champion, challenger, where = paired_models()
    with pytest.raises(ValueError, match="not one column"):
        compare(truth, champion[:-1], challenger, where, confidence=0.95)
    with pytest.raises(ValueError, match=r"have .* locations"):
        compare(truth, champion, challenger, where.of(truth > 60_000), confidence=0.95)


# --- other figures, by the same oracle ------------------------------------------------------


def resamples(where, draws=3000):
    """Weights of each row in bootstraps over cells, shape (draws, n)."""
    codes = where.codes
    cells = codes.max() + 1
    rng = np.random.default_rng(1)
    return rng.multinomial(cells, np.full(cells, 1 / cells), size=draws)[:, codes]


def test_the_mean_absolute_error_has_its_interval():
    truth, champion, challenger, where = paired_models()
    found = compare_pair(paired(truth, champion, challenger, where), "mae", confidence=0.95)
    ours, theirs = np.abs(challenger - truth), np.abs(champion - truth)
    assert found.effect == pytest.approx(ours.mean() / theirs.mean() - 1, rel=1e-12)
    weights = resamples(where)
    oracle = (weights @ ours) / (weights @ theirs) - 1
    assert found.se == pytest.approx(oracle.std(), rel=0.06)


def test_a_subset_of_the_rows_has_its_own_paired_errors():
    truth, champion, challenger, where = paired_models()
    rows = truth < 200_000
    found = compare_pair(paired(truth, champion, challenger, where).of(rows), confidence=0.95)
    weights = resamples(where) * rows
    oracle = effects(truth, champion, challenger, weights)
    assert found.rows == rows.sum()
    assert found.se == pytest.approx(oracle.std(), rel=0.08)


def test_one_models_figures_have_clustered_intervals():
    truth, champion, _, where = paired_models()
    found = measure(truth, champion, 0.95, where)
    weights = resamples(where)
    n = weights.sum(axis=1)
    rmse = np.sqrt(weights @ (champion - truth) ** 2 / n)
    mae = weights @ np.abs(champion - truth) / n
    for interval, oracle in ((found.rmse, rmse), (found.mae_interval, mae)):
        half = (interval.upper - interval.lower) / 2
        assert half == pytest.approx(1.976 * oracle.std(), rel=0.06)
    assert found.rmse_independent == measure(truth, champion, 0.95).rmse
    assert found.mae_interval.value == found.mae


def test_in_a_single_cell_there_is_no_clustered_interval():
    truth, champion, *_ = paired_models()
    found = measure(truth, champion, 0.95, apart(np.zeros(len(truth))))
    assert (found.rmse_independent, found.mae_interval) == (None, None)


def test_two_groups_of_rows_are_set_beside_each_other():
    truth, champion, _, where = paired_models()
    rows = np.random.default_rng(0).random(len(truth)) < 0.3
    found = compare_groups(truth, champion, rows, where, confidence=0.95)
    squared, weights = (champion - truth) ** 2, resamples(where)
    logs = 0.5 * np.log(
        (weights @ (squared * rows) / (weights @ rows))
        / (weights @ (squared * ~rows) / (weights @ ~rows))
    )
    assert found.value == pytest.approx((squared[rows].mean() / squared[~rows].mean()) ** 0.5 - 1)
    half = (np.log1p(found.upper) - np.log1p(found.lower)) / 2
    assert half == pytest.approx(1.976 * logs.std(), rel=0.06)


@pytest.mark.parametrize("rows", [[True], [False, False, False]])
def test_a_group_of_fewer_than_two_rows_is_not_compared(rows):
    mask = np.zeros(6, dtype=bool)
    mask[: len(rows)] = rows
    with pytest.raises(NotMeasurable, match="groups have"):
        compare_groups(np.zeros(6), np.arange(1.0, 7.0), mask, apart(np.arange(6)), confidence=0.95)


def test_two_rows_a_group_in_two_cells_are_enough_and_one_cell_is_not():
    errors, rows = np.array([2.0, -4.0, 1.0, 3.0]), np.array([True, True, False, False])
    found = compare_groups(
        np.zeros(4), errors, rows, apart(np.array([0, 1, 0, 1])), confidence=0.95
    )
    assert found.value == pytest.approx((10 / 5) ** 0.5 - 1)
    assert -1 < found.lower < found.value < found.upper < np.inf
    with pytest.raises(NotMeasurable, match="one location cell"):
        compare_groups(np.zeros(4), errors, rows, apart(np.zeros(4)), confidence=0.95)
