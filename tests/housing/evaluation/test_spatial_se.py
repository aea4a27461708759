"""The standard error among neighbours: its grid, its oracles, how far it reaches, its limits."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from housing.evaluation import spatial_se
from housing.evaluation.spatial_se import SpatialCells, grid, spatial_cells, spatial_error

SIDE = 0.1


def only(where, *levels):
    """The same places with some of the kernels."""
    return SpatialCells(where.codes, tuple(where.kernels[level] for level in levels))


def scattered(n, seed=0, extent=6.0):
    """Longitudes and latitudes over a square, half of the rows in a town."""
    rng = np.random.default_rng(seed)
    longitude, latitude = rng.uniform(0, extent, (2, n))
    longitude[: n // 2], latitude[: n // 2] = rng.normal(extent / 2, 0.3, (2, n // 2))
    return longitude, latitude


def smooth(rng, longitude, latitude, length):
    """A Gaussian field of variance one at the places."""
    waves = rng.normal(size=(2, 60)) / length
    phases = rng.uniform(0, 2 * np.pi, 60)
    where = np.column_stack([longitude, latitude])
    return np.cos(where @ waves + phases) @ rng.normal(size=60) * np.sqrt(2 / 60)


def location_cells(x, y, side):
    """The cell of each row, numbered in order."""
    return np.unique(grid(x, y, side), axis=0, return_inverse=True)[1].ravel()


# --- the grid -------------------------------------------------------------------------------


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


def test_a_row_within_half_a_millionth_of_a_side_lies_on_the_border():
    below = 0.3 - SIDE * np.array([3e-7, 6e-7])
    codes = location_cells(np.array([0.25, 0.35, *below]), np.zeros(4), SIDE)
    assert codes.tolist() == [0, 1, 1, 0]


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


# --- the kernels ----------------------------------------------------------------------------


def test_a_kernel_is_the_mean_over_all_grids_of_its_side():
    """Over every anchor of a coarse grid, how often two cells share one of its cells."""
    longitude, latitude = scattered(60, extent=2.0)
    where = spatial_cells(longitude, latitude, SIDE)
    for kernel in where.kernels[:2]:
        corners = np.unique(np.floor(np.column_stack([longitude, latitude]) / SIDE), axis=0)
        steps = round(kernel.bandwidth / SIDE)
        shared = np.zeros((len(corners), len(corners)))
        for anchor in product(range(steps), repeat=2):
            coarse = (corners + anchor) // steps
            shared += (coarse[:, None] == coarse[None]).all(axis=2)
        assert kernel.weights.toarray() == pytest.approx(shared / steps**2)


def test_kernels_reach_from_two_to_twenty_four_sides():
    where = spatial_cells(*scattered(50), SIDE)
    assert [k.bandwidth for k in where.kernels] == pytest.approx([0.2, 0.4, 0.8, 1.2, 1.6, 2.4])
    for kernel in where.kernels:
        assert (kernel.merge.sum(axis=0) == 1).all()
        assert (kernel.weights.diagonal() == 1).all()
        assert np.linalg.eigvalsh(kernel.weights.toarray())[0] > -1e-9


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("first", [0, -7, -8])
def test_long_reaches_pair_coarser_cells_of_a_fixed_grid(axis, first):
    """Two places six sides apart. By hand: coarse cells of one, two, three, four and six sides."""
    along, across = SIDE * (np.array([first, first + 6]) + 0.5), np.full(2, 0.05)
    where = spatial_cells(*((along, across), (across, along))[axis], SIDE)
    pairs = [kernel.weights.toarray() for kernel in where.kernels]
    assert [pair[0, -1] for pair in pairs] == [0, 0, 1 / 4, 2 / 4, 3 / 4, 3 / 4]


def test_thirty_thousand_cells_are_paired_and_one_more_are_made_larger():
    longitude = np.repeat(5.0 * np.arange(15_001), 2) + np.tile([0.05, 0.15], 15_001)
    found = [spatial_cells(longitude[:n], np.zeros(n), SIDE) for n in (30_000, 30_001)]
    assert [where.cells for where in found] == [30_000, 15_001]
    assert [where.kernels[0].bandwidth for where in found] == pytest.approx([2 * SIDE, 4 * SIDE])


def test_far_more_cells_than_can_be_paired_are_made_larger(monkeypatch):
    longitude, latitude = scattered(400)
    fine = spatial_cells(longitude, latitude, SIDE)
    monkeypatch.setattr(spatial_se, "MOST_CELLS", fine.cells)
    assert spatial_cells(longitude, latitude, SIDE).cells == fine.cells
    monkeypatch.setattr(spatial_se, "MOST_CELLS", fine.cells - 1)
    coarse = spatial_cells(longitude, latitude, SIDE)
    assert np.array_equal(coarse.codes, location_cells(longitude, latitude, 2 * SIDE))
    assert coarse.kernels[0].bandwidth == pytest.approx(0.4)


# --- one kernel: the variance ---------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_error_is_that_of_a_bootstrap_over_blocks_of_its_reach(level):
    """Blocks of a grid as wide as the bandwidth, with a new origin for each draw."""
    rng = np.random.default_rng(level)
    longitude, latitude = scattered(3_000, level, extent=20.0)
    value = smooth(rng, longitude, latitude, 0.15) + rng.normal(size=len(longitude))
    kernel = spatial_cells(longitude, latitude, SIDE).kernels[level]
    draws = []
    for _ in range(1_000):
        codes = location_cells(*(x + rng.uniform(0, 50) for x in (longitude, latitude)),
                               kernel.bandwidth)  # fmt: skip
        count = codes.max() + 1
        times = rng.multinomial(count, np.full(count, 1 / count))[codes]
        draws.append(times @ value / times.sum())
    influence = value - value.mean()
    found = spatial_error(influence, only(spatial_cells(longitude, latitude, SIDE), level))
    # What the mean takes with it is put back here, and is not in a bootstrap.
    sums = np.bincount(spatial_cells(longitude, latitude, SIDE).codes, weights=influence)
    merged = kernel.merge @ sums
    plain = np.sqrt(merged @ kernel.weights @ merged) / len(value)
    assert plain == pytest.approx(np.std(draws), rel=0.08)
    assert plain <= found.se < 1.25 * plain


@pytest.mark.parametrize("level", [0, 2, 4])
def test_the_bias_of_the_estimated_mean_is_corrected(level):
    """Rows alike in nothing: the mean square is the true variance, however long the reach."""
    where = only(spatial_cells(*scattered(400, extent=10.0), SIDE), level)
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.1, 3, 400)
    squares = []
    for _ in range(3_000):
        value = rng.normal(size=400)
        value -= (weights @ value) / weights.sum()
        squares.append(spatial_error(value, where, weights).se ** 2)
    # Not wholly: the share is taken from squares that have lost a part of it themselves.
    assert np.mean(squares) == pytest.approx(1 / 400, rel=0.08)


def test_a_large_bias_of_the_estimated_mean_is_corrected():
    """Two neighbours, one with nearly all of the variance, and of the mean."""
    influence = np.array([1.0, -0.99, -0.01])
    where = only(spatial_cells(np.array([0.05, 0.05, 0.15]), np.zeros(3), SIDE), 0)
    # By hand: half of the small cell's share of the variance is kept, and is all that is seen.
    squares = influence**2
    assert spatial_error(influence, where, squares).se == pytest.approx(
        squares.sum() ** 0.5 / 3, rel=1e-3
    )


def test_degrees_of_freedom_are_satterthwaites():
    """Clusters apart from one another, of unlike variance."""
    codes = np.repeat(np.arange(4), [10, 10, 20, 40])
    influence = np.tile([1.0, -1.0], 40) * np.repeat([1.0, 3.0, 1.0, 2.0], [10, 10, 20, 40])
    found = spatial_error(influence, spatial_cells(50.0 * codes, np.zeros(80), SIDE))
    variance = np.array([10, 90, 20, 160])
    assert found.df == pytest.approx(variance.sum() ** 2 / (variance**2).sum() - 1)
    pairs = spatial_cells(50.0 * np.repeat(np.arange(40), 2), np.zeros(80), SIDE)
    alike = spatial_error(np.tile([1.0, -1.0], 40), pairs)
    assert alike.df == pytest.approx(39)


def test_neighbours_count_for_the_degrees_of_freedom_by_their_weight_squared():
    """Five pairs of neighbours, weighed by a half: 20 squares in all, 2 + 2 / 4 each among them."""
    longitude = np.repeat([[50.0 * pair, 50.0 * pair + SIDE] for pair in range(5)], 2)
    influence = np.tile([1.0, -1.0], 10)
    found = spatial_error(influence, only(spatial_cells(longitude, np.zeros(20), SIDE), 0))
    assert found.df == pytest.approx(10**2 / (5 * 2.5) - 1)


def test_the_degrees_of_freedom_are_never_below_one():
    codes = np.repeat(np.arange(3), [2, 2, 40])
    influence = np.tile([1.0, -1.0], 22)
    assert spatial_error(influence, spatial_cells(50.0 * codes, np.zeros(44), SIDE)).df == 1


# --- how far it reaches ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "level"),
    [
        ([(1.0, 0.0), (1.0, 0.1), (1.0, 0.2)], 0),
        ([(1.0, 0.0), (1.09, 0.1), (0.9, 0.2)], 0),
        ([(1.0, 0.0), (1.11, 0.1), (1.2, 0.2)], 1),
        ([(1.0, 0.0), (1.11, 0.1), (1.3, 0.2)], 2),
        # A rise that only the longest reach shows counts from the start.
        ([(1.0, 0.0), (1.0, 0.1), (1.3, 0.2)], 2),
        ([(1.0, 0.0), (1.5, 0.1), (1.4, 0.2)], 1),
        ([(1.0, 0.0), (1.0, 0.1), (1.1, 0.1), (1.1, 0.3)], 2),
        # Exactly what chance does is not beyond it; where it does nothing more, any rise is.
        ([(1.0, 0.0), (1.5, 0.5)], 0),
        ([(1.0, 0.0), (1.5, 0.2), (1.51, 0.1)], 2),
    ],
)
def test_the_bandwidth_grows_while_the_variance_grows_beyond_chance(seen, level):
    assert spatial_se._select_bandwidth(seen) == level


def test_rows_alike_in_nothing_take_the_shortest_kernel():
    longitude, latitude = scattered(2_000)
    where = spatial_cells(longitude, latitude, SIDE)
    rng = np.random.default_rng(0)
    found = [spatial_error(rng.normal(size=2_000), where) for _ in range(60)]
    assert np.mean([f.bandwidth == pytest.approx(0.2) for f in found]) > 0.5
    assert np.mean([f.se for f in found]) == pytest.approx(1 / 2_000**0.5, rel=0.07)


def test_the_reach_grows_with_that_of_the_neighbours():
    longitude, latitude = scattered(2_000, extent=10.0)
    where = spatial_cells(longitude, latitude, SIDE)
    rng = np.random.default_rng(0)
    reaches = []
    for length in (0.05, 0.2, 0.8):
        found = []
        for _ in range(20):
            value = smooth(rng, longitude, latitude, length) + rng.normal(size=2_000)
            found.append(spatial_error(value - value.mean(), where).bandwidth)
        reaches.append(np.mean(found))
    assert reaches[0] < reaches[1] - 0.2 < reaches[2] - 0.4


def test_rows_close_together_use_only_the_shortest_bandwidth():
    rng = np.random.default_rng(0)
    longitude, latitude = rng.uniform(0, 0.35, (2, 500))
    where = spatial_cells(longitude, latitude, SIDE)
    for _ in range(20):
        value = 5 * smooth(rng, longitude, latitude, 0.3) + rng.normal(size=500)
        assert spatial_error(value - value.mean(), where).bandwidth <= 0.4 + 1e-9


@pytest.mark.parametrize(("pairs", "alike", "level"), [(5, 3, 0), (5, 4, 1), (8, 5, 1)])
def test_the_first_bandwidth_is_compared_with_independent_rows(pairs, alike, level):
    """Of 1,100 rows apart some lie in pairs, weighed by a half, of which some err alike.

    By hand, in rows: were rows independent, chance would move the variance by sqrt(pairs). Seen
    are the alike pairs less the others, and one row for the mean: 2 against 2.2, 4 against 2.2,
    3 against 2.8.
    """
    longitude = 5.0 * np.arange(1_100)
    longitude[1 : 2 * pairs : 2] = longitude[0 : 2 * pairs : 2] + SIDE
    influence = np.tile([1.0, -1.0], 550)
    influence[1 : 2 * alike : 2] = 1
    influence[-2 * alike :: 2] = -1
    where = only(spatial_cells(longitude + 0.05, np.zeros(1_100), SIDE), 0, 1)
    assert influence.sum() == 0
    assert spatial_error(influence, where).bandwidth == where.kernels[level].bandwidth


@pytest.mark.parametrize(("groups", "level"), [([1, 1, -1, -1, 1, -1], 1), ([1, 1, -1, -1], 0)])
def test_a_longer_kernel_takes_three_degrees_of_freedom(groups, level):
    """Groups far apart, of two cells of two rows each, which the longer kernel takes for one."""
    cells = np.arange(len(groups))
    longitude = np.repeat(60.0 * (cells // 2) + 3 * SIDE * (cells % 2) + 0.05, 2)
    influence = np.repeat(groups, 2).astype(float)
    if len(groups) == 6:
        influence[8:] = [1, -1, 1, -1]
    where = only(spatial_cells(longitude, np.zeros(len(longitude)), SIDE), 0, 5)
    assert spatial_error(influence, where).bandwidth == where.kernels[level].bandwidth


@pytest.mark.parametrize(
    ("length", "least", "most"), [(0.0, 0.91, 0.99), (0.1, 0.91, 0.99), (0.2, 0.91, 0.99)]
)
def test_the_interval_holds_the_truth_where_neighbours_err_alike(length, least, most):
    """The short form of the benchmark: a mean of zero, half of the variance shared."""
    longitude, latitude = scattered(1_500, extent=10.0)
    where = spatial_cells(longitude, latitude, SIDE)
    rng = np.random.default_rng(11)
    covered = []
    for _ in range(250):
        value = rng.normal(size=1_500)
        if length:
            value += 0.7 * smooth(rng, longitude, latitude, length)
        found = spatial_error(value - value.mean(), where)
        covered.append(abs(value.mean()) <= stats.t.ppf(0.975, found.df) * found.se)
    assert least <= np.mean(covered) <= most


# --- limits ---------------------------------------------------------------------------------


def test_a_single_cell_has_no_standard_error():
    found = spatial_error(np.array([1.0, -1.0]), spatial_cells(np.zeros(2), np.zeros(2), SIDE))
    assert (found.se, found.cells, found.df, found.bandwidth) == (np.inf, 1, 0.0, 0.0)


def test_two_neighbouring_cells_are_enough():
    found = spatial_error(
        np.array([1.0, -1.0]), spatial_cells(np.array([0, SIDE]), np.zeros(2), SIDE)
    )
    assert 0 < found.se < np.inf
    assert found.df == 1


def test_an_empty_table_has_empty_cells():
    where = spatial_cells(np.array([]), np.array([]), SIDE)
    assert where.cells == 0
    assert spatial_error(np.array([]), where).se == np.inf


def test_rows_that_move_nothing_have_no_error():
    found = spatial_error(np.zeros(4), spatial_cells(np.arange(4.0), np.zeros(4), SIDE))
    assert (found.se, found.cells, found.df) == (0.0, 4, 3.0)


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_neither_the_order_of_rows_nor_the_unit_matters(seed, unit):
    rng = np.random.default_rng(seed)
    longitude, latitude = rng.uniform(-3, 3, (2, 40))
    value, weights, order = rng.normal(size=40), rng.uniform(0.1, 1, 40), rng.permutation(40)
    value -= value.mean()
    one = spatial_error(value, spatial_cells(longitude, latitude, SIDE), weights)
    other = spatial_error(
        unit * value[order],
        spatial_cells(longitude[order], latitude[order], SIDE),
        3 * weights[order],
    )
    assert other.se == pytest.approx(unit * one.se, rel=1e-7)
    assert (other.df, other.bandwidth) == (pytest.approx(one.df), one.bandwidth)


def test_a_subset_of_the_rows_keeps_its_cells():
    longitude, latitude = scattered(500)
    value = np.random.default_rng(1).normal(size=500)
    rows = longitude < 3
    value[rows] -= value[rows].mean()
    within = spatial_error(value[rows], spatial_cells(longitude, latitude, SIDE).of(rows))
    alone = spatial_error(value[rows], spatial_cells(longitude[rows], latitude[rows], SIDE))
    assert within.se == pytest.approx(alone.se)
    assert within.cells == alone.cells
