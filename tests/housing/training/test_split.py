"""The split rule as pure arithmetic: exact shares, and nothing but a district's key decides."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from housing import schema
from housing.keys import keyed_hash, mix, row_keys
from housing.training.fingerprints import NEITHER, TEST, TRAIN
from housing.training.near_duplicates import Ties
from housing.training.split import (
    BatchRows,
    SplitRule,
    StratumCount,
    assign,
    counts,
    split_rows,
    strata,
    stratum_name,
)

KEYS = st.integers(-(2**63), 2**63 - 1)
SHARES = st.floats(0.02, 0.89)
RULES = st.builds(SplitRule, test_share=SHARES, seed=st.integers(0, 2**31 - 1))


@st.composite
def deliveries(draw):
    """Distinct keys, each in one of a few strata."""
    keys = draw(st.lists(KEYS, unique=True, max_size=60))
    stratum = draw(st.lists(st.integers(0, 4), min_size=len(keys), max_size=len(keys)))
    return np.array(keys, dtype=np.int64), np.array(stratum, dtype=np.int64)


@st.composite
def earlier(draw):
    """What some strata have had before, whatever rule it was given under."""
    seen = {}
    for code in draw(st.sets(st.integers(0, 4))):
        keys = draw(st.integers(0, 200))
        seen[code] = StratumCount(keys, draw(st.integers(0, keys)))
    return seen


ROUNDING = 1.75
"""Districts by which a stratum may be off its share: one by rounding, the rest from before."""


@given(deliveries(), earlier(), RULES)
def test_each_share_is_as_near_to_the_target_as_the_new_rows_and_rounding_allow(
    delivery, seen, rule
):
    keys, stratum = delivery
    test = assign(keys, stratum, seen, rule)
    for code in np.unique(stratum):
        before = seen.get(int(code), StratumCount(0, 0))
        new, tested = int((stratum == code).sum()), int(test[stratum == code].sum())
        target = rule.test_share * (before.keys + new)
        off = abs(before.test_keys + tested - target)
        best = min(abs(before.test_keys + k - target) for k in range(new + 1))
        assert off <= best + ROUNDING + 1e-9


@given(deliveries(), earlier(), RULES, st.randoms())
def test_the_order_of_rows_does_not_matter(delivery, seen, rule, random):
    keys, stratum = delivery
    order = list(range(len(keys)))
    random.shuffle(order)
    test = assign(keys, stratum, seen, rule)
    assert (assign(keys[order], stratum[order], seen, rule) == test[order]).all()


@given(deliveries(), earlier(), RULES)
def test_strata_do_not_touch_one_another(delivery, seen, rule):
    keys, stratum = delivery
    test = assign(keys, stratum, seen, rule)
    for code in np.unique(stratum):
        own = stratum == code
        assert (assign(keys[own], stratum[own], seen, rule) == test[own]).all()


@given(deliveries(), earlier(), RULES)
def test_the_lowest_keyed_hashes_of_a_stratum_are_taken(delivery, seen, rule):
    keys, stratum = delivery
    test = assign(keys, stratum, seen, rule)
    rank = keyed_hash(keys, rule.seed)
    for code in np.unique(stratum):
        taken, left = (rank[(stratum == code) & side] for side in (test, ~test))
        assert not len(taken) or not len(left) or taken.max() < left.min()


@given(st.sets(KEYS, min_size=2, max_size=50), st.integers(0, 2**31 - 1))
def test_the_keyed_hash_orders_districts_without_ties(keys, seed):
    assert len(np.unique(keyed_hash(np.array(sorted(keys), dtype=np.int64), seed))) == len(keys)


def test_another_seed_takes_other_districts():
    keys = np.arange(1000, dtype=np.int64)
    stratum = np.zeros(1000, dtype=np.int64)
    sides = [assign(keys, stratum, {}, SplitRule(0.2, seed)) for seed in (1, 2)]
    both = (sides[0] & sides[1]).sum()
    assert sides[0].sum() == sides[1].sum() == 200
    assert 15 <= both <= 70  # 40 by chance; a seed that is ignored gives 200


def test_neighbouring_keys_are_spread_over_the_sides():
    keys = np.arange(10_000, dtype=np.int64)
    test = assign(keys, np.zeros(10_000, dtype=np.int64), {}, SplitRule(0.2, 42))
    per_block = test.reshape(100, 100).sum(axis=1)
    assert per_block.max() < 40
    assert per_block.min() > 5


def test_the_sides_are_these_on_every_machine():
    keys = np.array([0, 1, 2, 3, -1, 2**63 - 1, -(2**63), 10**12, 7, 42], dtype=np.int64)
    test = assign(keys, np.zeros(10, dtype=np.int64), {}, SplitRule(0.3, 42))
    assert np.flatnonzero(test).tolist() == [5, 7, 9]
    assert keyed_hash(keys[:2], 42).tolist() == [12870963724712631011, 14312216795054535368]


def test_the_hash_is_splitmix64():
    first_output_from_seed_0 = 0xE220A8397B1DCDAF  # as its authors' own program prints it
    state = np.array([0x9E3779B97F4A7C15], dtype=np.uint64)
    assert mix(state).tolist() == [first_output_from_seed_0]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 7, 8, 12, 13])
def test_small_strata_get_their_share_on_average_over_seeds(rows):
    keys, stratum = np.arange(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    got = [assign(keys, stratum, {}, SplitRule(0.2, seed)).sum() for seed in range(1000)]
    assert set(got) <= {int(0.2 * rows), int(np.ceil(0.2 * rows))}
    assert abs(np.mean(got) - 0.2 * rows) < 0.08  # five standard errors


def one_by_one(n: int, rule: SplitRule) -> np.ndarray:
    """Sides of `n` districts of one stratum, each in a batch of its own; shape (n,)."""
    seen, sides = StratumCount(0, 0), []
    for key in range(n):
        test = assign(np.array([key]), np.zeros(1, dtype=np.int64), {0: seen}, rule)
        sides.append(bool(test[0]))
        seen = StratumCount(seen.keys + 1, seen.test_keys + sides[-1])
        assert abs(seen.test_keys - rule.test_share * seen.keys) <= ROUNDING
    return np.array(sides)


def test_rows_that_come_one_by_one_reach_the_share_too():
    assert one_by_one(1_000, SplitRule(0.2, 42)).sum() == pytest.approx(200, abs=ROUNDING)


@pytest.mark.parametrize("days", [5, 7])
def test_one_district_a_day_is_a_test_row_on_every_weekday_alike(days):
    weeks = 400
    sides = one_by_one(days * weeks, SplitRule(0.2, 42)).reshape(weeks, days)
    expected, spread = 0.2 * weeks, (0.16 * weeks) ** 0.5
    assert np.abs(sides.sum(axis=0) - expected).max() < 4 * spread


def test_a_stratum_with_too_many_test_rows_gets_none():
    keys = np.arange(50, dtype=np.int64)
    seen = {0: StratumCount(100, 90)}
    assert not assign(keys, np.zeros(50, dtype=np.int64), seen, SplitRule(0.2, 42)).any()


def test_a_stratum_with_too_few_test_rows_gets_all():
    keys = np.arange(5, dtype=np.int64)
    seen = {0: StratumCount(100, 0)}
    assert assign(keys, np.zeros(5, dtype=np.int64), seen, SplitRule(0.2, 42)).all()


@given(deliveries())
def test_counts_add_up(delivery):
    keys, stratum = delivery
    test = keys % 3 == 0
    got = counts(stratum, test)
    assert set(got) == set(stratum.tolist())
    assert sum(n.keys for n in got.values()) == len(keys)
    for code, n in got.items():
        assert n == StratumCount(
            int((stratum == code).sum()), int((test & (stratum == code)).sum())
        )


def test_every_stratum_has_a_name_of_its_own_that_says_what_it_holds():
    sizes = [len(grouping.names()) for grouping in schema.TABLE.strata]
    names = {stratum_name(code) for code in range(int(np.prod(sizes)))}
    assert len(names) == np.prod(sizes)
    frame = pd.DataFrame({"median_income": [1.5, 1.51, 9.0], "ocean_proximity": ["ISLAND"] * 3})
    assert [stratum_name(int(code)) for code in strata(frame)] == [
        "median income <=1.5, ocean proximity ISLAND",
        "median income 1.5-3, ocean proximity ISLAND",
        "median income >6, ocean proximity ISLAND",
    ]


@given(
    st.lists(
        st.tuples(
            st.floats(0, 16), st.sampled_from(schema.CATALOGUE["ocean_proximity"].categories)
        ),
        max_size=20,
    )
)
def test_a_row_falls_into_the_stratum_of_its_own_values(rows):
    frame = pd.DataFrame(rows, columns=["median_income", "ocean_proximity"]).astype(
        schema.dtypes(("median_income", "ocean_proximity"))
    )
    for code, (income, place) in zip(strata(frame), rows, strict=True):
        income_code, place_code = divmod(int(code), 5)
        assert schema.CATALOGUE["ocean_proximity"].categories[place_code] == place
        edges = (-1.0, 1.5, 3.0, 4.5, 6.0, np.inf)
        assert edges[income_code] < income <= edges[income_code + 1]


def test_the_reference_table_is_split_to_the_row_in_every_stratum(census_path):
    frame = pd.read_csv(census_path).astype(schema.dtypes())
    keys, stratum = row_keys(frame), strata(frame)
    test = assign(keys, stratum, {}, SplitRule(0.2, 42))
    for n in counts(stratum, test).values():
        assert abs(n.test_keys - 0.2 * n.keys) < 1
    assert abs(test.mean() - 0.2) < 0.0005
    island = (frame["ocean_proximity"] == "ISLAND").to_numpy()
    assert island.sum() == 5
    assert test[island].sum() == 1


@given(deliveries(), RULES, st.data())
def test_a_second_delivery_continues_where_the_first_ended(delivery, rule, data):
    keys, stratum = delivery
    assume(len(keys) >= 2)
    cut = data.draw(st.integers(1, len(keys) - 1))
    first = assign(keys[:cut], stratum[:cut], {}, rule)
    seen = counts(stratum[:cut], first)
    second = assign(keys[cut:], stratum[cut:], seen, rule)
    test = np.concatenate([first, second])
    for code, n in counts(stratum, test).items():
        before = seen.get(code, StratumCount(0, 0))
        new = n.keys - before.keys
        target = rule.test_share * n.keys
        if before.test_keys - 0.5 <= target <= before.test_keys + new + 0.5:
            assert abs(n.test_keys - target) <= ROUNDING + 1e-9


def batch(recorded: list[int | None], tied: dict[int, tuple[int, ...]]) -> tuple[BatchRows, Ties]:
    """Rows of one stratum: the side of a known row or None; `tied` to these sides of the index."""
    known = np.array([side is not None for side in recorded])
    sides = np.array([NEITHER if side is None else side for side in recorded], dtype=np.int8)
    n = len(recorded)
    rows = BatchRows(np.arange(n, dtype=np.int64), np.zeros(n, dtype=np.int64), known, sides)
    bits = [sum({TRAIN: 1, TEST: 2}[side] for side in each) for each in tied.values()]
    groups = np.arange(len(tied), dtype=np.int64)
    return rows, Ties(np.array([*tied], dtype=np.int64), groups, np.array(bits, dtype=np.int64))


def test_known_rows_keep_their_side_and_new_rows_follow_their_near_duplicates():
    rows, ties = batch(
        [TRAIN, TEST, TRAIN, TEST, None, None, None],
        {0: (TRAIN,), 1: (TEST,), 2: (TEST,), 4: (TRAIN,), 5: (TEST,), 6: (TRAIN, TEST)},
    )
    side = split_rows(rows, ties, {0: StratumCount(4, 2)}, SplitRule(0.5, 42))
    assert side.tolist() == [TRAIN, TEST, NEITHER, TEST, TRAIN, TEST, NEITHER]


def test_every_other_new_row_is_drawn():
    rows, ties = batch([TRAIN] * 400 + [None] * 100, {})
    side = split_rows(rows, ties, {0: StratumCount(400, 100)}, SplitRule(0.25, 42))
    assert (side[:400] == TRAIN).all()
    assert set(side[400:].tolist()) == {TRAIN, TEST}
    assert (side[400:] == TEST).sum() == pytest.approx(25, abs=ROUNDING)


def test_new_rows_that_follow_a_near_duplicate_count_towards_the_share():
    rows, ties = batch([None] * 100, dict.fromkeys(range(20), (TEST,)))
    side = split_rows(rows, ties, {}, SplitRule(0.2, 42))
    assert (side[:20] == TEST).all()
    assert (side == TEST).sum() == pytest.approx(20, abs=ROUNDING)
