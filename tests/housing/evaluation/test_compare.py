"""The paired comparison against bootstraps, its invariances and its degenerate cases."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from housing.errors import NotMeasurable
from housing.evaluation.compare import (
    compare,
    compare_errors,
    compare_groups,
    location_cells,
    paired_errors,
)
from housing.evaluation.metrics import clustered_se, measure


def night(seed=0, cells=150, mean_rows=8, gain=0.97):
    """Truth, champion, challenger and cells; errors share a part within each cell."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(cells), rng.poisson(mean_rows, cells) + 1)
    n = len(codes)
    truth = rng.uniform(50_000, 500_001, n)
    champion = rng.normal(0, 40_000, n) + rng.normal(0, 25_000, cells)[codes]
    own = rng.normal(0, 12_000, n) + rng.normal(0, 12_000, cells)[codes]
    return truth, truth + champion, truth + gain * champion + own, codes


def effects(truth, champion, challenger, weights):
    """Relative change of the RMSE under each row of bootstrap weights, shape (draws, n)."""
    theirs, ours = (champion - truth) ** 2, (challenger - truth) ** 2
    return np.sqrt((weights @ ours) / (weights @ theirs)) - 1


@pytest.mark.parametrize("seed", [0, 1])
def test_the_clustered_error_is_that_of_a_bootstrap_over_cells(seed):
    truth, champion, challenger, codes = night(seed)
    rng = np.random.default_rng(1)
    cells = codes.max() + 1
    draws = rng.multinomial(cells, np.full(cells, 1 / cells), size=3000)[:, codes]
    oracle = effects(truth, champion, challenger, draws)
    found = compare(truth, champion, challenger, codes, confidence=0.95)
    assert found.se == pytest.approx(oracle.std(), rel=0.06)
    assert found.upper == pytest.approx(np.quantile(oracle, 0.95), abs=0.25 * found.se)
    assert found.se > 1.1 * found.se_independent


@pytest.mark.parametrize("seed", [0, 1])
def test_the_independent_error_is_that_of_a_bootstrap_over_rows(seed):
    truth, champion, challenger, codes = night(seed)
    n = len(truth)
    draws = np.random.default_rng(2).multinomial(n, np.full(n, 1 / n), size=3000)
    oracle = effects(truth, champion, challenger, draws)
    found = compare(truth, champion, challenger, codes, confidence=0.95)
    assert found.se_independent == pytest.approx(oracle.std(), rel=0.06)


def test_one_row_a_cell_makes_both_errors_the_same():
    truth, champion, challenger, codes = night()
    found = compare(truth, champion, challenger, np.arange(len(codes)), confidence=0.95)
    assert found.se == pytest.approx(found.se_independent, rel=1e-9)
    assert found.clusters == found.rows == len(codes)


def test_limits_are_students_with_the_effective_number_of_cells_less_one():
    truth, champion, challenger, codes = night(cells=5)
    found = compare(truth, champion, challenger, codes, confidence=0.9)
    shares = np.bincount(codes) / len(codes)
    df = 1 / np.sum(shares**2) - 1
    assert 2 < df < 4
    assert (found.clusters, found.degrees) == (5, pytest.approx(df))
    assert found.upper == pytest.approx(found.effect + stats.t.ppf(0.9, df) * found.se)
    half = stats.t.ppf(0.95, df) * found.se
    assert found.interval.lower == pytest.approx(found.effect - half)
    assert found.interval.upper == pytest.approx(found.effect + half)
    assert (found.interval.value, found.interval.confidence) == (found.effect, 0.9)


def test_cells_of_one_size_count_each():
    truth, champion, challenger, _ = night()
    codes = np.arange(1200) % 40
    found = compare(*(column[:1200] for column in (truth, champion, challenger)), codes,
                    confidence=0.95)  # fmt: skip
    assert found.degrees == pytest.approx(39)


def test_a_large_cell_does_not_make_the_error_too_small():
    """Rows alike in nothing, one cell with half of them: the mean square is the true variance."""
    codes = np.concatenate([np.zeros(60, dtype=int), np.repeat(np.arange(1, 13), 5)])
    rng = np.random.default_rng(3)
    squares = []
    for _ in range(4_000):
        influence = rng.normal(size=len(codes))
        squares.append(clustered_se(influence - influence.mean(), codes).se ** 2)
    assert np.mean(squares) == pytest.approx(1 / len(codes), rel=0.06)


def test_evidence_of_before_has_the_cells_less_one():
    truth, champion, challenger, codes = night()
    found = compare(truth, champion, challenger, codes, confidence=0.95)
    assert replace(found, df=None).degrees == found.clusters - 1


def test_the_effect_is_the_relative_change_of_the_rmse():
    truth, champion, challenger, codes = night()
    rmse = [np.sqrt(np.mean((p - truth) ** 2)) for p in (challenger, champion)]
    found = compare(truth, champion, challenger, codes, confidence=0.95)
    assert found.effect == pytest.approx(rmse[0] / rmse[1] - 1, rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_neither_row_order_nor_unit_nor_the_names_of_cells_matter(seed, unit):
    truth, champion, challenger, codes = night(seed, cells=12, mean_rows=3)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(truth)), rng.permutation(30)
    one = compare(truth, champion, challenger, codes, confidence=0.95)
    other = compare(
        unit * truth[order],
        unit * champion[order],
        unit * challenger[order],
        names[codes[order]],
        confidence=0.95,
    )
    for figure in ("effect", "se", "se_independent", "upper"):
        assert getattr(other, figure) == pytest.approx(getattr(one, figure), rel=1e-7, abs=1e-12)
    assert (other.rows, other.clusters) == (one.rows, one.clusters)


@given(st.integers(0, 2**32 - 1))
def test_swapping_the_models_inverts_the_ratio(seed):
    truth, champion, challenger, codes = night(seed, cells=12, mean_rows=3)
    one = compare(truth, champion, challenger, codes, confidence=0.95)
    other = compare(truth, challenger, champion, codes, confidence=0.95)
    assert (1 + one.effect) * (1 + other.effect) == pytest.approx(1)
    # The delta method is the same for the logarithm of the ratio, whose sign alone changes.
    assert one.se / (1 + one.effect) == pytest.approx(other.se / (1 + other.effect))


def test_equal_predictions_differ_by_nothing():
    truth, champion, _, codes = night()
    found = compare(truth, champion, champion.copy(), codes, confidence=0.95)
    assert (found.effect, found.se, found.se_independent, found.upper) == (0, 0, 0, 0)


def test_a_challenger_without_error_is_wholly_better():
    truth, champion, _, codes = night()
    found = compare(truth, champion, truth, codes, confidence=0.95)
    assert (found.effect, found.se, found.upper) == (-1, 0, -1)


def test_two_rows_in_two_cells_are_enough_for_a_wide_interval():
    found = compare(
        np.array([1.0, 2.0]),
        np.array([2.0, 4.0]),
        np.array([1.5, 4.0]),
        np.array([0, 1]),
        confidence=0.95,
    )
    assert np.isfinite(found.upper)
    assert found.interval.upper - found.interval.lower > 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"champion_pred": [1.0, 2, 3]}, "makes no error at all"),
        ({"cells": [4, 4, 4]}, "all test rows lie in one location cell"),
        ({"challenger_pred": [1.0, np.nan, 3]}, "1 values are not finite"),
        (
            {"y": [1.0], "champion_pred": [2.0], "challenger_pred": [2.0], "cells": [0]},
            "it takes two test rows",
        ),
    ],
)
def test_what_cannot_be_compared_says_why(change, why):
    night = {
        "y": [1.0, 2, 3],
        "champion_pred": [2.0, 2, 2],
        "challenger_pred": [1.0, 2, 2],
        "cells": [0, 1, 2],
    }
    columns = {name: np.array(values) for name, values in {**night, **change}.items()}
    with pytest.raises(NotMeasurable, match=why):
        compare(**columns, confidence=0.95)


def test_columns_that_do_not_belong_together_are_refused():
    truth, champion, challenger, codes = night()
    with pytest.raises(ValueError, match="not one column"):
        compare(truth, champion[:-1], challenger, codes, confidence=0.95)
    with pytest.raises(ValueError, match="length"):
        compare(truth, champion, challenger, codes[:-1], confidence=0.95)


def test_a_row_keeps_its_cell_whatever_other_rows_there_are():
    longitude = np.array([-122.23, -122.25, -122.31, -118.0, -122.23])
    latitude = np.array([37.88, 37.81, 37.88, 34.0, 37.93])
    codes = location_cells(longitude, latitude, 0.1)
    assert codes[0] == codes[1]
    assert len(set(codes)) == 4
    assert sorted(set(codes)) == [0, 1, 2, 3]
    pair = location_cells(longitude[:2], latitude[:2], 0.1)
    assert pair[0] == pair[1]


@pytest.mark.parametrize("size", [0.1, 0.2, 0.05])
def test_a_border_does_not_move_with_the_last_bit(size):
    borders = np.arange(round(-124 / size), round(42 / size)) * size
    inside = borders + size / 2
    where = np.concatenate([borders, inside])
    codes = location_cells(where, np.zeros(len(where)), size)
    assert np.array_equal(codes[: len(borders)], codes[len(borders) :])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.1, 1.0]))
def test_cells_are_those_of_the_grid(seed, size):
    rng = np.random.default_rng(seed)
    longitude, latitude = rng.uniform(-124, -114, 60), rng.uniform(32, 42, 60)
    codes = location_cells(longitude, latitude, size)
    cells = list(zip(np.floor(longitude / size), np.floor(latitude / size), strict=True))
    for i in range(60):
        assert [codes[i] == code for code in codes] == [cells[i] == cell for cell in cells]


def test_no_rows_have_no_cells():
    assert len(location_cells(np.array([]), np.array([]), 0.1)) == 0


def test_a_comparison_of_four_thousand_rows_takes_well_under_a_millisecond():
    truth, champion, challenger, codes = night(cells=450)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        compare(truth, champion, challenger, codes, confidence=0.95)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


# --- other figures, by the same oracle ------------------------------------------------------


def resamples(codes, draws=3000):
    """Weights of each row in bootstraps over cells, shape (draws, n)."""
    cells = codes.max() + 1
    rng = np.random.default_rng(1)
    return rng.multinomial(cells, np.full(cells, 1 / cells), size=draws)[:, codes]


def test_the_mean_absolute_error_has_its_interval():
    truth, champion, challenger, codes = night()
    found = compare_errors(
        paired_errors(truth, champion, challenger, codes), "mae", confidence=0.95
    )
    ours, theirs = np.abs(challenger - truth), np.abs(champion - truth)
    assert found.effect == pytest.approx(ours.mean() / theirs.mean() - 1, rel=1e-12)
    weights = resamples(codes)
    oracle = (weights @ ours) / (weights @ theirs) - 1
    assert found.se == pytest.approx(oracle.std(), rel=0.06)


def test_some_of_the_rows_have_theirs():
    truth, champion, challenger, codes = night()
    rows = truth < 200_000
    found = compare_errors(
        paired_errors(truth, champion, challenger, codes).of(rows), confidence=0.95
    )
    weights = resamples(codes) * rows
    oracle = effects(truth, champion, challenger, weights)
    assert found.rows == rows.sum()
    assert found.se == pytest.approx(oracle.std(), rel=0.08)


def test_one_models_figures_have_clustered_intervals():
    truth, champion, _, codes = night()
    found = measure(truth, champion, 0.95, codes)
    weights = resamples(codes)
    n = weights.sum(axis=1)
    rmse = np.sqrt(weights @ (champion - truth) ** 2 / n)
    mae = weights @ np.abs(champion - truth) / n
    for interval, oracle in ((found.rmse_clustered, rmse), (found.mae_clustered, mae)):
        half = (interval.upper - interval.lower) / 2
        assert half == pytest.approx(1.976 * oracle.std(), rel=0.06)
    assert found.rmse_clustered.value == found.rmse.value
    assert found.mae_clustered.value == found.mae


def test_in_a_single_cell_there_is_no_clustered_interval():
    truth, champion, _, codes = night()
    found = measure(truth, champion, 0.95, np.zeros_like(codes))
    assert (found.rmse_clustered, found.mae_clustered) == (None, None)


def test_two_groups_of_rows_are_set_beside_each_other():
    truth, champion, _, codes = night()
    rows = np.random.default_rng(0).random(len(truth)) < 0.3
    found = compare_groups(champion - truth, rows, codes, confidence=0.95)
    squared, weights = (champion - truth) ** 2, resamples(codes)
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
        compare_groups(np.arange(1.0, 7.0), mask, np.arange(6), confidence=0.95)
