"""The error at places without training rows, beside that of a random split."""

import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

from housing import schema
from housing.training import unseen_places as module
from housing.training.unseen_places import unseen_places

X_NAME, Y_NAME = schema.COORDINATES
N = 3000


def measured(of_place: float):
    """A tree on rows whose target is a number per block times `of_place`, plus a slope and noise.

    The tree knows the place and the slope's column.
    """
    rng = np.random.default_rng(5)
    block = rng.integers(0, 8, (N, 2))
    place = block * 0.5 + rng.uniform(0.01, 0.49, (N, 2))
    rows = pd.DataFrame(
        {X_NAME: -120 + place[:, 0], Y_NAME: 35 + place[:, 1], "slope": rng.uniform(0, 10, N)}
    )
    level = rng.normal(0, 1, (8, 8))[block[:, 0], block[:, 1]]
    y = 1e5 + 1e3 * (of_place * level + rows["slope"].to_numpy() + rng.normal(0, 0.2, N))
    seen, unseen = (
        Pipeline([("model", DecisionTreeRegressor(min_samples_leaf=3, random_state=0))])
        for _ in range(2)
    )
    train = rng.permutation(N)[:1500]
    seen.fit(rows.iloc[train], y[train])
    return unseen_places(seen, unseen, rows, y, train)


def test_information_carried_only_by_location_is_lost_far_from_all_rows():
    found = measured(of_place=10.0)
    assert found.change.value > 0.5
    assert found.change.lower > 0
    assert found.unseen > found.seen
    assert found.seen_rows == found.unseen_rows == 1500


def test_information_of_other_columns_is_known_everywhere():
    found = measured(of_place=0.0)
    assert abs(found.change.value) < 0.1
    assert found.change.lower < 0 < found.change.upper


def test_rows_that_nearly_all_lie_in_one_place_are_not_compared():
    """The fit on the few others would fail, and end a run for a figure that is only shown."""
    rng = np.random.default_rng(5)
    for others in (0, 1, 6, 300):
        x = np.where(np.arange(N) < others, -121.0, -118.0)
        rows = pd.DataFrame({X_NAME: x, Y_NAME: 34.0, "slope": rng.uniform(0, 10, N)})
        y, train = rows["slope"].to_numpy(), rng.permutation(N)[:1500]
        seen, unseen = (
            Pipeline([("model", KNeighborsRegressor(n_neighbors=30))]) for _ in range(2)
        )
        seen.fit(rows.iloc[train], y[train])
        # The place with few rows may be the one that is left out; then all is well.
        found = unseen_places(seen, unseen, rows, y, train)
        assert found is None or found.unseen_rows >= 750


def test_a_table_without_a_location_has_no_error_at_unseen_places(monkeypatch):
    monkeypatch.setattr(module, "LOCATION", None)
    assert measured(of_place=1.0) is None
