import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing.keys import (
    among,
    distinct,
    ids_of_keys,
    keyed_hash,
    keys_of_ids,
    keys_of_values,
    row_keys,
)
from housing.schema import CATALOGUE, ID_COLUMN, KEY


def table(*rows) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(KEY), dtype="float64")


FIRST = (-122.23, 37.88, 41, 880, 322, 126)
SECOND = (-122.22, 37.86, 21, 7099, 2401, 1138)

districts = st.tuples(
    *(
        st.integers(
            round(CATALOGUE[name].minimum / CATALOGUE[name].resolution),
            round(CATALOGUE[name].maximum / CATALOGUE[name].resolution),
        )
        for name in KEY
    )
)
STEPS = np.array([CATALOGUE[name].resolution for name in KEY])


def test_keys_never_change():
    # A key is stored with every row and decides its side of the split: these are for ever.
    assert keys_of_values(table(FIRST, SECOND)).tolist() == [
        5_745_548_310_782_928_079,
        5_544_990_846_390_994_912,
    ]
    assert keys_of_ids(pd.Series(["06-001-4001", "7"])).tolist() == [
        -136_882_501_768_530_676,
        -1_526_567_872_532_907_453,
    ]
    hashes = keyed_hash(np.array([0, 1, -1], dtype=np.int64), seed=42)
    assert hashes.tolist() == [
        12_870_963_724_712_631_011,
        14_312_216_795_054_535_368,
        16_831_255_489_465_290_912,
    ]


def test_the_census_has_no_key_twice(census_path):
    frame = pd.read_csv(census_path)
    assert len(np.unique(keys_of_values(frame))) == len(frame) == 20_640


@given(st.lists(districts, min_size=1, max_size=30), st.randoms())
def test_keys_do_not_depend_on_the_order_of_rows(rows, random):
    frame = table(*(np.array(rows) * STEPS))
    order = list(range(len(rows)))
    random.shuffle(order)
    assert keys_of_values(frame.iloc[order]).tolist() == keys_of_values(frame)[order].tolist()
    assert keys_of_values(frame[list(reversed(KEY))]).tolist() == keys_of_values(frame).tolist()


@given(st.lists(districts, min_size=1, max_size=30))
def test_keys_survive_other_number_types_and_other_columns(rows):
    frame = table(*(np.array(rows) * STEPS))
    keys = keys_of_values(frame).tolist()
    assert keys_of_values(frame.astype("float32")).tolist() == keys
    counts = [name for name in KEY if CATALOGUE[name].resolution == 1]
    assert keys_of_values(frame.round(4).astype(dict.fromkeys(counts, "int32"))).tolist() == keys
    assert keys_of_values(frame.assign(median_income=1.0)).tolist() == keys


@given(st.lists(districts, min_size=2, max_size=50, unique=True))
def test_different_districts_have_different_keys(rows):
    assert len(set(keys_of_values(table(*(np.array(rows) * STEPS))).tolist())) == len(rows)


@pytest.mark.parametrize("column", range(len(KEY)))
def test_one_step_in_any_column_is_another_district(column):
    other = list(FIRST)
    other[column] += CATALOGUE[KEY[column]].resolution
    one, two = keys_of_values(table(FIRST, other))
    assert one != two


def test_values_that_are_swapped_between_columns_are_another_district():
    swapped = (*FIRST[:4], FIRST[5], FIRST[4])
    one, two = keys_of_values(table(FIRST, swapped))
    assert one != two


def test_an_id_of_its_own_wins_and_a_missing_one_does_not():
    frame = table(FIRST, FIRST, SECOND).assign(**{ID_COLUMN: ["a", None, "a"]})
    keys = row_keys(frame)
    assert keys[0] == keys[2] == keys_of_ids(pd.Series(["a"]))[0]
    assert keys[1] == keys_of_values(table(FIRST))[0]


def test_a_table_without_rows_has_no_keys():
    empty = table().assign(**{ID_COLUMN: pd.Series(dtype="str")})
    assert row_keys(empty).dtype == np.int64
    assert row_keys(empty).shape == keyed_hash(row_keys(empty), 1).shape == (0,)


@given(st.integers(0, 2**31 - 1))
def test_the_keyed_hash_is_one_to_one_and_even(seed):
    hashes = keyed_hash(np.arange(4_000, dtype=np.int64), seed)
    assert len(np.unique(hashes)) == 4_000
    assert 0.44 < (hashes < np.uint64(2**63)).mean() < 0.56


def test_another_seed_is_another_order():
    keys = np.arange(1_000, dtype=np.int64)
    one, two = (np.argsort(keyed_hash(keys, seed)) for seed in (1, 2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.15


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_an_id_that_stands_for_a_key_gives_this_key(keys):
    words = np.array(keys, dtype=np.int64)
    assert keys_of_ids(pd.Series(ids_of_keys(words), dtype="str")).tolist() == keys


def test_only_a_whole_key_stands_for_itself():
    near = pd.Series(["key:00000000000000ff", "key:ff", "KEY:00000000000000ff", "00000000000000ff"])
    assert keys_of_ids(near)[0] == 255
    assert 255 not in keys_of_ids(near)[1:]


WORDS = st.lists(st.sampled_from([0, 1, 2**63 - 1]) | st.integers(0, 2**64 - 1), max_size=20)


@given(words=WORDS, others=WORDS)
def test_sets_of_words_are_those_of_numpy(words, others):
    for kind in (np.uint64, np.int64):
        ours, theirs = (np.array(some, dtype=np.uint64).view(kind) for some in (words, others))
        assert distinct(ours).tolist() == np.unique(ours).tolist()
        assert among(ours, theirs).tolist() == np.isin(ours, theirs).tolist()
