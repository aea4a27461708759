import pickle

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from housing.features.neighbours import SEPARATION, NeighbourStatistics, SimilarRows
from housing.features.statistics import GROUPS, NEAREST

LOOKERS = [NeighbourStatistics(), NeighbourStatistics(("density",)), SimilarRows(3)]


@parametrize_with_checks(LOOKERS)
def test_contract_of_scikit_learn(estimator, check):
    check(estimator)


def places(n, seed=0):
    """Places on a coarse grid, so that many share their coordinates, with three covariates."""
    rng = np.random.default_rng(seed)
    where = np.round(rng.uniform((-120, 34), (-119, 35), size=(n, 2)), 1)
    return np.hstack([where, rng.normal(size=(n, 3))])


class Leaky(NeighbourStatistics):
    """The planted leak: a row is among its own neighbours."""

    def _k_nearest(self, rows, k):
        distance, index = self._index().query(self._search_space(rows), k=k)
        return index, distance


def own_label_matters(estimator, n=200):
    """Rows whose own features, as they are trained with, change when their own label does."""
    X, y = places(n), np.random.default_rng(1).uniform(1e5, 5e5, n)
    before = estimator.fit(X, y).transform(X)
    changed = 0
    for i in range(0, n, 7):
        other = y.copy()
        other[i] *= 3
        changed += not np.array_equal(estimator.fit_transform(X, other)[i], before[i])
    return changed


@pytest.mark.parametrize("estimator", LOOKERS[::2])
def test_a_training_row_never_sees_its_own_label(estimator):
    assert own_label_matters(estimator) == 0


def test_a_planted_leak_is_caught():
    assert own_label_matters(Leaky()) > 10


def test_identical_rows_do_not_see_each_others_labels():
    """Two training rows with the same inputs: the label of one is no news about the other."""
    X, y = places(100), np.arange(100.0)
    X[50] = X[7]
    for estimator in LOOKERS[::2]:
        before = estimator.fit_transform(X, y)
        after = estimator.fit_transform(X, np.where(np.arange(100) == 50, 1e6, y))
        np.testing.assert_array_equal(before[[7, 50]], after[[7, 50]])
        np.testing.assert_array_equal(before[7], before[50])


def test_a_table_of_identical_rows_has_no_neighbour_features():
    X, y = np.repeat(places(1), 40, axis=0), np.arange(40.0)
    assert np.isnan(NeighbourStatistics().fit_transform(X, y)).all()
    stranger = NeighbourStatistics(("labels",)).fit(X, y).transform(X + 1)
    assert np.isnan(stranger).all() or (stranger[:, 0] == y.mean()).all()


def test_rows_at_the_same_location_are_neighbours_of_each_other():
    X, y = places(20), np.full(20, 1e5)
    X[:, :2] = (-120.0, 34.0)
    y[0] = 7e5
    features = NeighbourStatistics(("labels",)).fit_transform(X, y)
    names = list(NeighbourStatistics(("labels",)).fit(X, y).get_feature_names_out())
    assert features[0, names.index("near_label_max")] == 1e5
    assert (features[1:, names.index("near_label_mean_30")] > 1e5).all()


def test_statistics_are_those_of_a_plain_loop():
    X, y = places(150), np.random.default_rng(2).uniform(1e5, 5e5, 150)
    fitted = NeighbourStatistics(("labels", "density")).fit(X, y)
    rows = places(60, seed=9)  # in the same places: many are equally far
    together = dict(zip(fitted.get_feature_names_out(), fitted.transform(rows).T, strict=True))
    single = X.astype(np.float32).astype(float), rows.astype(np.float32).astype(float)
    spread = single[0][:, 2:].std(axis=0)
    spread[0] = 1.0
    sums = [(each[:, 2:] / spread).sum(axis=1) for each in single]
    for i, row in enumerate(single[1]):
        squares = np.square(single[0][:, :2] - row[:2]).sum(axis=1)
        distance = np.sqrt(squares + np.square(SEPARATION * (sums[0] - sums[1][i])))
        order = np.argsort(distance)
        for k in (5, 10, 30):
            price = y[order[:k]]
            assert together[f"near_label_mean_{k}"][i] == pytest.approx(price.mean())
            assert together[f"near_label_std_{k}"][i] == pytest.approx(price.std())
            assert together[f"near_distance_{k}"][i] == pytest.approx(distance[order[k - 1]])
        assert together["near_label_nearest"][i] == y[order[0]]


@pytest.mark.parametrize("estimator", LOOKERS[::2])
def test_the_order_of_the_training_rows_decides_nothing(estimator):
    """Many rows share their places, so at every count some neighbours are equally far."""
    X, y = places(300), np.random.default_rng(2).uniform(1e5, 5e5, 300)
    rows, order = (
        np.vstack([X[:100], places(200, seed=5)]),
        np.random.default_rng(3).permutation(300),
    )
    before = estimator.fit(X, y).transform(rows)
    np.testing.assert_allclose(
        estimator.fit(X[order], y[order]).transform(rows), before, 1e-9, 1e-9
    )


@pytest.mark.parametrize("estimator", LOOKERS[::2])
def test_last_bits_decide_nothing(estimator):
    X, y = places(300), np.random.default_rng(2).uniform(1e5, 5e5, 300)
    fitted = estimator.fit(X, y)
    rows = np.vstack([X[:100], places(200, seed=5)])
    other = np.degrees(np.radians(rows))
    assert (other != rows).any()
    np.testing.assert_array_equal(fitted.transform(other), fitted.transform(rows))


def test_similar_rows_are_the_nearest_ones():
    X, y = places(500), np.random.default_rng(2).uniform(1e5, 5e5, 500)
    rows = places(50, seed=5)
    fitted = SimilarRows(3).fit(X, y)
    found = fitted.transform(rows)[:, 1]
    space = [fitted._search_space(fitted._standardised(each)) for each in (X, rows)]
    order = np.argsort(np.linalg.norm(space[1][:, None] - space[0], axis=2), axis=1)[:, :5]
    np.testing.assert_allclose(found, y[order].mean(axis=1))


def test_the_local_regression_finds_a_plane():
    rng = np.random.default_rng(3)
    X = np.hstack([rng.uniform(0, 1, (500, 2)), rng.normal(size=(500, 2))])
    y = 1e5 * (3 + X[:, 2])
    fitted = NeighbourStatistics(("regression",)).fit(X, y)
    value, slope = fitted.transform(X).T
    assert np.abs(value - y).mean() < 0.1 * y.std()
    assert slope.mean() == pytest.approx(1e5, rel=0.15)


@pytest.mark.parametrize("estimator", LOOKERS)
@pytest.mark.parametrize("n", [2, 3, NEAREST, NEAREST + 1, 200])
def test_few_rows_alone_and_in_a_batch(estimator, n):
    X, y = places(n), np.arange(float(n))
    fitted = estimator.fit(X, y)
    together = fitted.transform(X)
    assert together.shape == (n, len(fitted.get_feature_names_out()))
    alone = np.vstack([fitted.transform(X[[i]]) for i in range(n)])
    np.testing.assert_allclose(alone, together, rtol=1e-9, atol=1e-9)


def test_the_stored_state_is_plain_arrays_and_the_tree_is_rebuilt_on_load():
    fitted = NeighbourStatistics().fit(places(80), np.arange(80.0))
    before = fitted.transform(places(9, seed=5))
    state = fitted.__getstate__()
    assert "_tree" not in state
    plain = (np.ndarray, int, float, str, tuple, type(None))
    assert all(isinstance(value, plain) for value in state.values()), state
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(places(9, seed=5)), before)


def test_each_group_has_unit_and_reason_and_unique_names():
    names = [name for group in GROUPS.values() for name in group.names(3)]
    assert len(set(names)) == len(names)
    assert all(group.unit and group.reason for group in GROUPS.values())
