"""Calibration: the nearby residuals of a row are those of other districts."""

import numpy as np
import pytest

from housing import schema
from housing.inference.calibration import NEARBY, _nearby

N = 300


def columns(seed: int) -> dict[str, np.ndarray]:
    """Places, every third of them shared with the one before."""
    generator = np.random.default_rng(seed)
    longitude, latitude = generator.uniform(-122, -121, N), generator.uniform(37, 38, N)
    longitude[1::3], latitude[1::3] = longitude[::3], latitude[::3]
    return dict(zip(schema.COORDINATES, (longitude, latitude), strict=True))


@pytest.mark.parametrize("row", [0, 1, 7, 150])
def test_the_expected_residual_of_a_row_excludes_its_own(row: int) -> None:
    """Otherwise the interval is fitted on its own target and too narrow for new rows."""
    where, residual = columns(1), np.random.default_rng(2).exponential(1.0, N)
    rows = np.arange(N)
    before = _nearby(where, residual, rows)
    changed = residual.copy()
    changed[row] = 1e6
    after = _nearby(where, changed, rows)
    assert after[row] == pytest.approx(before[row])
    assert np.sum(after > before + 1) >= NEARBY / 2, "its neighbours notice"


def test_rows_without_a_residual_are_no_neighbours() -> None:
    where, residual = columns(1), np.full(N, 2.0)
    residual[::5] = np.nan
    found = _nearby(where, residual, np.arange(N))
    assert np.allclose(found, 2.0)
