import numpy as np

from housing.features.space_filling_curve import along_curve


def test_the_curve_orders_all_rows_with_neighbours_close_together():
    places = np.random.default_rng(0).uniform((-124, 32), (-114, 42), size=(3000, 2))
    order = along_curve(places)
    assert sorted(order) == list(range(3000))
    steps = [np.hypot(*np.diff(places[o], axis=0).T).mean() for o in (order, np.arange(3000))]
    assert steps[0] < 0.1 * steps[1]


def test_missing_values_single_columns_equal_locations_and_no_rows_are_ordered():
    gap = np.array([[np.nan, 1.0], [2.0, np.inf], [1.0, 3.0]])
    assert sorted(along_curve(gap)) == [0, 1, 2]
    assert list(along_curve(np.array([[3.0], [1.0], [2.0]]))) == [1, 2, 0]
    assert list(along_curve(np.ones((4, 2)))) == [0, 1, 2, 3]
    assert len(along_curve(np.empty((0, 2)))) == 0
