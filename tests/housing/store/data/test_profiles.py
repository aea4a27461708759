"""The digest of a set of rows, and the facts of a version that are checked at each reading."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing import schema
from housing.errors import Corrupt
from housing.store.data import datasets, profiles, split
from housing.store.data.fingerprint import content_digest, rowset_digest
from housing.training.split import SplitRule

CELLS = ["#key", *schema.CATALOGUE]


@pytest.fixture(scope="module")
def rows(districts):
    return districts(range(40))[CELLS]


@given(st.randoms())
def test_the_order_of_rows_does_not_matter(rows, random):
    order = random.sample(range(len(rows)), len(rows))
    assert rowset_digest(rows.iloc[order]) == rowset_digest(rows)


@given(st.integers(0, 39), st.sampled_from(CELLS), st.data())
def test_every_cell_changes_the_digest(rows, row, column, data):
    changed = rows.copy()
    old = changed.loc[row, column]
    if column in schema.CATEGORIES:
        choice = st.sampled_from([c for c in schema.CATALOGUE[column].categories if c != old])
    elif column == "#key":
        choice = st.integers(-(2**63), 2**63 - 1).filter(lambda value: value != old)
    else:
        number = st.floats(allow_nan=False).filter(lambda value: value != old)
        choice = st.one_of(number, st.just(np.nextafter(old, np.inf)).filter(pd.notna))
    changed.loc[row, column] = data.draw(choice)
    assert rowset_digest(changed) != rowset_digest(rows)


@given(st.integers(0, 39), st.integers(0, 39))
def test_two_exchanged_values_change_the_digest(rows, one, other):
    changed = rows.copy()
    name = schema.TARGET
    changed.loc[[one, other], name] = rows.loc[[other, one], name].to_numpy()
    same = rows.loc[one, name] == rows.loc[other, name]
    assert (rowset_digest(changed) == rowset_digest(rows)) == same


def test_two_exchanged_columns_change_the_digest(rows):
    names = {"population": "households", "households": "population"}
    assert rowset_digest(rows.rename(columns=names)[CELLS]) != rowset_digest(rows)


def test_a_missing_or_repeated_row_changes_the_digest(rows):
    digests = {
        rowset_digest(rows),
        rowset_digest(rows.iloc[1:]),
        rowset_digest(pd.concat([rows, rows.iloc[:1]])),
        rowset_digest(pd.concat([rows, rows])),
        rowset_digest(rows.iloc[:0]),
    }
    assert len(digests) == 5
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in digests)


def test_all_spellings_of_missing_and_zero_have_one_digest():
    negative_nan = np.array([0xFFF8000000000001], dtype=np.uint64).view(np.float64)[0]
    assert rowset_digest(pd.DataFrame({"x": [np.nan]})) == rowset_digest(
        pd.DataFrame({"x": [negative_nan]})
    )
    assert rowset_digest(pd.DataFrame({"x": [0.0]})) == rowset_digest(pd.DataFrame({"x": [-0.0]}))
    assert rowset_digest(pd.DataFrame({"x": [0.0]})) != rowset_digest(pd.DataFrame({"x": [np.nan]}))


def test_the_digest_is_this_on_every_machine():
    frame = pd.DataFrame({"#key": [1, -2], "x": [1.5, np.nan], "y": [True, False]})
    assert rowset_digest(frame) == (
        "fce1829d435b2d9019976436414f3337107e397680aa3efb3dadecd195d24dcc"
    )


def build(store, frames, add_batch):
    for frame in frames:
        batch = add_batch(store, frame)
        version = datasets.append_waiting(store, reason="test", run=None)
        split.split_batch(store, batch, SplitRule(0.2, 42))
    return version.id


def test_the_digest_is_of_the_rows_whatever_files_they_came_in(blank_store, districts, add_batch):
    digests = set()
    whole = districts(range(30))
    cuts = ([whole], [whole.iloc[20:], whole.iloc[:20]], [districts(range(10), 5), whole])
    for frames in cuts:
        with blank_store() as store:
            version = build(store, frames, add_batch)
            digests.add(
                profiles.record_or_verify(store, version, datasets.read(store, version)).digest
            )
    assert len(digests) == 1


def test_the_facts_are_measured_once_and_confirmed_afterwards(store, districts, add_batch):
    version = build(store, [districts(range(50))], add_batch)
    with store.read() as connection:
        assert profiles.get(connection, version) is None
    frame = datasets.read(store, version)
    profile = profiles.record_or_verify(store, version, frame)
    assert (profile.rows, profile.train_rows + profile.test_rows) == (50, 50)
    assert profile.test_rows == frame["#test"].sum()
    assert set(profile.columns) == set(schema.CATALOGUE)
    again = profiles.record_or_verify(store, version, frame)
    assert again == profile
    with store.read() as connection:
        assert profiles.get(connection, version) == profile


@pytest.mark.parametrize("column", ["#key", schema.TARGET, "ocean_proximity", "total_bedrooms"])
def test_a_changed_row_is_corruption(store, districts, add_batch, column):
    version = build(store, [districts(range(20))], add_batch)
    frame = datasets.read(store, version)
    profiles.record_or_verify(store, version, frame)
    order = np.roll(np.arange(20), 1)
    frame[column] = frame[column].iloc[order].reset_index(drop=True)
    with pytest.raises(Corrupt, match=f"v{version}") as caught:
        profiles.record_or_verify(store, version, frame)
    assert caught.value.exit_code == 5


def test_a_district_that_changed_sides_is_corruption(store, districts, add_batch):
    version = build(store, [districts(range(20))], add_batch)
    frame = datasets.read(store, version)
    profiles.record_or_verify(store, version, frame)
    frame["#test"] = True
    with pytest.raises(Corrupt, match="split of dataset v1"):
        profiles.record_or_verify(store, version, frame)


def test_the_content_is_of_values_and_sides_not_of_keys(districts):
    frame = districts(range(40))
    side = np.arange(40) % 4 == 0
    content = content_digest(frame, side)
    order = np.random.default_rng(1).permutation(40)
    assert content_digest(frame.iloc[order], side[order]) == content
    assert content_digest(frame.assign(**{"#key": frame["#key"] + 7}), side) == content
    twice = pd.concat([frame, frame.assign(**{"#key": -1 - frame["#key"]})])
    assert content_digest(twice, np.tile(side, 2)) == content
    whole = frame.round({name: 0 for name in schema.NUMBERS if name != "median_income"})
    narrow = whole.astype(dict.fromkeys(schema.NUMBERS, "float32")).astype(schema.dtypes())
    assert content_digest(narrow, side) == content_digest(whole, side)
    assert content_digest(frame, ~side) != content
    assert content_digest(frame.iloc[1:], side[1:]) != content


@pytest.mark.parametrize("column", list(schema.CATALOGUE))
def test_the_content_is_of_every_column(districts, column):
    frame, side = districts(range(20)), np.zeros(20, dtype=bool)
    other = frame.assign(**{column: districts(range(20), 1)[column]})
    assert content_digest(other, side) != content_digest(frame, side)
