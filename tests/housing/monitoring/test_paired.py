"""The paired test of a probation: its level over all looks, and what it depends on."""

import numpy as np
import pytest

from benchmarks.serving.probation import district_cells, week
from housing.evaluation.spatial_se import spatial_cells
from housing.monitoring.paired import FEWEST_ROWS, compared

CONFIDENCE = 0.99


def _found(actual, ours, theirs, where):
    return compared(actual, ours, theirs, where, confidence=CONFIDENCE)


def test_hourly_monitoring_does_not_roll_back_an_equal_model() -> None:
    rng = np.random.default_rng(3)
    assert [week(rng, 20, change) for change in (0.0, -0.03) for _ in range(25)] == [np.inf] * 50


def test_a_model_with_a_third_more_error_is_rolled_back_within_a_day() -> None:
    rng = np.random.default_rng(3)
    rows = [week(rng, 50, 0.3) for _ in range(20)]
    assert np.median(rows) <= 50 * 24
    assert np.mean(np.isfinite(rows)) >= 0.9


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    cell, _ = district_cells(rng, 600)
    actual = rng.lognormal(12, 0.5, 600)
    theirs = actual * np.exp(rng.normal(0, 0.2, 600))
    return actual, actual * np.exp(rng.normal(0, 0.3, 600)), theirs, cell


def _at(cell: np.ndarray) -> object:
    return spatial_cells(-120 + 0.1 * (cell % 32) + 0.05, 34 + 0.1 * (cell // 32) + 0.05, 0.1)


def test_the_order_of_rows_does_not_matter(rows) -> None:
    actual, ours, theirs, cell = rows
    there = _found(actual, ours, theirs, _at(cell))
    order = np.random.default_rng(1).permutation(600)
    again = _found(actual[order], ours[order], theirs[order], _at(cell[order]))
    assert there.better
    assert (again.score, again.limit, again.effect) == pytest.approx(
        (there.score, there.limit, there.effect)
    )


@pytest.mark.parametrize("wild", [np.nan, np.inf, 0.0, -1e5])
def test_a_prediction_that_is_no_price_is_the_worst(rows, wild: float) -> None:
    actual, ours, theirs, cell = rows
    assert _found(actual, np.full_like(ours, wild), theirs, _at(cell)).better
    assert not _found(actual, ours, np.full_like(ours, wild), _at(cell)).better


def test_few_rows_decide_nothing(rows) -> None:
    actual, ours, theirs, cell = (column[: FEWEST_ROWS - 1] for column in rows)
    assert not _found(actual, ours * 9, theirs, _at(cell)).better


def test_models_that_answer_alike_are_not_better(rows) -> None:
    actual, ours, _, cell = rows
    assert not _found(actual, ours, ours, _at(cell)).better
