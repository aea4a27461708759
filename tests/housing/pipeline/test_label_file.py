"""Estimates in use today, from a file."""

import numpy as np
import pytest

from housing import schema
from housing.errors import FileUnreadable
from housing.keys import KEY_COLUMN, row_keys
from housing.pipeline.evaluate import evaluation_key
from housing.pipeline.label_file import estimates
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import load_settings

COLUMNS = [*schema.KEY, schema.TARGET]


@pytest.fixture
def rows():
    found = simulate(80, 3).drop_duplicates(list(schema.KEY))
    return found.assign(**{KEY_COLUMN: row_keys(found)})


@pytest.fixture
def folder(home):
    home.mkdir(exist_ok=True)
    return home


def test_each_row_gets_its_own_estimate_and_one_without_gets_none(rows, folder, monkeypatch):
    path = folder / "estimates.csv"
    rows[COLUMNS].iloc[::-2].to_csv(path, index=False)
    monkeypatch.setenv("HOUSING_VALUE__ESTIMATES", str(path))
    found = estimates(load_settings(), rows)
    known = ~np.isnan(found)
    assert known.sum() == len(rows.iloc[::-2])
    assert np.array_equal(found[known], rows[schema.TARGET].to_numpy()[known])


def test_a_verdict_is_of_the_estimates_in_the_file(rows, folder, monkeypatch):
    without = evaluation_key(2, 1, "content", load_settings())
    path = folder / "estimates.csv"
    rows[COLUMNS].to_csv(path, index=False)
    monkeypatch.setenv("HOUSING_VALUE__ESTIMATES", str(path))
    first = evaluation_key(2, 1, "content", load_settings())
    path.rename(folder / "renamed.csv")
    monkeypatch.setenv("HOUSING_VALUE__ESTIMATES", str(folder / "renamed.csv"))
    assert evaluation_key(2, 1, "content", load_settings()) == first != without
    rows[COLUMNS].iloc[1:].to_csv(folder / "renamed.csv", index=False)
    assert evaluation_key(2, 1, "content", load_settings()) != first


def test_a_file_that_is_not_there_is_named(rows, folder, monkeypatch):
    monkeypatch.setenv("HOUSING_VALUE__ESTIMATES", str(folder / "gone.csv"))
    with pytest.raises(FileUnreadable, match=r"gone\.csv: does not exist"):
        estimates(load_settings(), rows)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda price: price / 1_000, r"(\d+) of its \1 rows are rejected: .*median_house_value"),
        (lambda price: price, r"its estimates of \d+ test rows are all equal to their labels"),
    ],
)
def test_a_file_in_another_unit_or_of_the_labels_is_refused(rows, folder, monkeypatch, change, why):
    path = folder / "estimates.csv"
    rows[COLUMNS].assign(**{schema.TARGET: change(rows[schema.TARGET])}).to_csv(path, index=False)
    monkeypatch.setenv("HOUSING_VALUE__ESTIMATES", str(path))
    with pytest.raises(FileUnreadable, match=why):
        estimates(load_settings(), rows)
