"""Drift against independent formulas, its rate of false findings, and tables without rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing import schema
from housing.evaluation.drift import (
    adjusted,
    category_drift,
    found,
    measure_drift,
    number_drift,
)
from housing.evaluation.drift_policy import DriftPolicy
from housing.records import ColumnDrift

NAMES = ("before", "now")
POLICY = DriftPolicy(min_rows=100, min_effect=0.1, fdr=0.05)
ANYTHING = DriftPolicy(min_rows=1, min_effect=0, fdr=1)


def table(rows, seed=0, **changes):
    rng = np.random.default_rng(seed)
    columns = {
        name: rng.gamma(3.0, 10.0, rows)
        if column.kind == "number"
        else pd.Categorical.from_codes(
            rng.integers(0, len(column.categories), rows), list(column.categories)
        )
        for name, column in schema.CATALOGUE.items()
    }
    return pd.DataFrame(columns | changes)


def column(effect=0.2, q=0.001, rows=500, reference_rows=5_000, name="households"):
    return ColumnDrift(name, "number", reference_rows, rows, effect, q, q, 0.1, (), (), ())


def test_the_distance_is_the_largest_gap_of_two_step_functions():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=400), rng.normal(0.3, 1.2, size=150)
    at = np.concatenate([a, b])
    gap = max(abs(np.mean(a <= x) - np.mean(b <= x)) for x in at)
    assert number_drift("households", a, b).effect == pytest.approx(gap)


@given(st.floats(-3, 3), st.floats(0.5, 4))
def test_a_shift_is_given_in_standard_deviations(shift, spread):
    a = np.random.default_rng(2).normal(size=300) * spread
    drifted = number_drift("households", a, a + shift * a.std())
    assert drifted.shift == pytest.approx(abs(shift), abs=1e-9)


def test_rows_with_nothing_in_common_have_an_effect_of_one():
    drifted = number_drift("households", np.arange(50.0), np.arange(50.0) + 1_000)
    assert drifted.effect == 1
    assert drifted.p_value < 1e-9
    assert sum(drifted.shares) == pytest.approx(1)
    assert drifted.shares[-1] == 1  # beyond the last edge


def test_a_constant_column_can_drift_too():
    same = number_drift("households", np.full(30, 4.0), np.full(20, 4.0))
    assert (same.effect, same.shift, same.shares) == (0, None, (1.0,))
    moved = number_drift("households", np.full(30, 4.0), np.full(20, 5.0))
    assert (moved.effect, moved.shift) == (1, None)


def test_bins_are_of_equal_width_between_the_outer_half_percents():
    drifted = number_drift("households", np.arange(1_001.0), np.arange(10.0))
    # Quantiles by hand: 5 and 995; twenty bins between them are 49.5 wide.
    assert len(drifted.groups) == 20
    assert drifted.groups[:2] == ("5 to 54.5", "54.5 to 104")
    assert drifted.groups[-1] == "945.5 to 995"


def test_a_value_on_an_edge_is_in_the_bin_above_and_outer_ones_in_the_last():
    now = np.array([-50.0, 5.0, 54.4, 54.5, 104.0, 994.9, 995.0, 2_000.0])
    drifted = number_drift("households", np.arange(1_001.0), now)
    assert drifted.shares == (3 / 8, 1 / 8, 1 / 8, *[0] * 16, 3 / 8)


def test_an_empty_bin_has_a_positive_share():
    drifted = number_drift("households", np.arange(1_001.0), np.full(9, 5.0))
    assert drifted.shares == (1, *[0] * 19)
    assert len(drifted.reference_shares) == len(drifted.groups) == 20


def test_numbers_from_a_thousand_on_are_written_without_decimals():
    bins = number_drift("households", np.arange(2_001.0), np.arange(10.0)).groups
    assert bins[9:11] == ("901 to 1,000", "1,000 to 1,099")
    assert number_drift("households", np.arange(101.0), np.arange(10.0)).groups[0] == "0.5 to 5.45"
    far = number_drift("households", np.full(9, 12_345.678), np.arange(10.0)).groups
    assert far == ("12,346 to 12,346",)


def test_total_variation_is_half_the_sum_of_the_differences():
    levels = schema.CATALOGUE[schema.CATEGORIES[0]].categories
    kind = pd.CategoricalDtype(list(levels))
    before = pd.Series([levels[0]] * 60 + [levels[1]] * 40, dtype=kind)
    now = pd.Series([levels[0]] * 10 + [levels[1]] * 40, dtype=kind)
    drifted = category_drift(schema.CATEGORIES[0], before, now)
    assert drifted.effect == pytest.approx(0.4)
    assert drifted.p_value < 1e-4
    assert drifted.shares[:2] == pytest.approx((0.2, 0.8))


def test_a_category_that_nothing_has_changes_nothing():
    levels = schema.CATALOGUE[schema.CATEGORIES[0]].categories
    one = pd.Series([levels[0]] * 5, dtype=pd.CategoricalDtype(list(levels)))
    drifted = category_drift(schema.CATEGORIES[0], one, one)
    assert (drifted.effect, drifted.p_value) == (0, 1)


def test_levels_that_a_text_column_has_not_are_counted_as_none():
    levels = schema.CATALOGUE[schema.CATEGORIES[0]].categories
    before, now = pd.Series([levels[0]] * 4), pd.Series([levels[0]] * 3 + ["no such level"])
    drifted = category_drift(schema.CATEGORIES[0], before, now)
    assert drifted.reference_shares == (1, *[0] * len(levels))
    assert drifted.shares == (0.75, *[0] * (len(levels) - 1), 0.25)


def test_a_level_of_a_single_row_counts_in_the_chi_square_test():
    levels = schema.CATALOGUE[schema.CATEGORIES[0]].categories[:3]
    before, now = (pd.Series(np.repeat(levels, counts)) for counts in ((5, 5, 0), (5, 4, 1)))
    # By hand: half of the totals 10, 9, 1 are expected, so that the sum of squares is
    # 2 (0.25 / 4.5 + 0.25 / 0.5) = 10 / 9, of which exp(-x / 2) is the chance at two degrees.
    p_value = category_drift(schema.CATEGORIES[0], before, now).p_value
    assert p_value == pytest.approx(np.exp(-5 / 9))


def test_a_category_without_a_value_is_a_level_of_its_own():
    levels = schema.CATALOGUE[schema.CATEGORIES[0]].categories
    kind = pd.CategoricalDtype(list(levels))
    gaps = pd.Series([levels[0]] * 5 + [None] * 5, dtype=kind)
    full = pd.Series([levels[0]] * 10, dtype=kind)
    assert category_drift(schema.CATEGORIES[0], full, gaps).effect == pytest.approx(0.5)


def test_gaps_in_a_number_have_a_line_of_their_own():
    before, now = table(400), table(300, 1)
    name = schema.NUMBERS[3]
    now.loc[:149, name] = np.nan
    drift = measure_drift(before, now, names=NAMES)
    lines = {c.kind: c for c in drift.columns if c.column == name}
    assert lines["number"].rows == 150
    assert lines["missing"].effect == pytest.approx(0.5)
    assert lines["missing"].shares == pytest.approx((0.5, 0.5))
    assert [c.column for c in found(drift.columns, POLICY)] == [name]


def test_a_column_without_values_is_reported_as_missing():
    before, now = table(400), table(300, 1)
    name = schema.NUMBERS[3]
    now[name] = np.nan
    kinds = [c.kind for c in measure_drift(before, now, names=NAMES).columns if c.column == name]
    assert kinds == ["missing"]


def test_columns_that_only_one_table_has_are_left_out():
    drift = measure_drift(table(50), table(40).drop(columns=schema.TARGET), names=NAMES)
    assert {c.column for c in drift.columns} == set(schema.FEATURES)
    assert (drift.reference, drift.current) == NAMES
    assert (drift.reference_rows, drift.rows) == (50, 40)


@pytest.mark.parametrize(("before", "now"), [(0, 40), (40, 0), (0, 0)])
def test_no_rows_give_no_drift(before, now):
    drift = measure_drift(table(before), table(now), names=NAMES)
    assert drift.columns == ()
    assert found(drift.columns, ANYTHING) == ()


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    p = [0.01, 0.04, 0.03, 0.005]
    q = [c.q_value for c in adjusted([column(q=value) for value in p])]
    # by hand: sorted .005 .01 .03 .04 -> times 4/1, 4/2, 4/3, 4/4, then the running minimum
    assert q == pytest.approx([0.02, 0.04, 0.04, 0.02])


@pytest.mark.parametrize(
    ("change", "there"),
    [
        ({}, True),
        ({"effect": 0.1}, True),
        ({"effect": 0.0999}, False),
        ({"q": 0.05}, True),
        ({"q": 0.0501}, False),
        ({"rows": 100}, True),
        ({"rows": 99}, False),
        ({"reference_rows": 99}, False),
    ],
)
def test_a_finding_takes_rows_an_effect_and_more_than_chance(change, there):
    assert bool(found([column(**change)], POLICY)) is there


def test_the_largest_effect_comes_first():
    largest, _ = found([column(0.2), column(0.4, name="population")], ANYTHING)
    assert largest.column == "population"


def test_the_same_world_is_seldom_found_to_drift():
    """With effects ignored, some column is found in about 5 % of tables from one world."""
    reference = table(3_000)
    hits = sum(
        bool(
            found(
                measure_drift(reference, table(300, seed), names=NAMES).columns,
                DriftPolicy(min_rows=1, min_effect=0, fdr=0.05),
            )
        )
        for seed in range(1, 121)
    )
    assert hits <= 14  # of 120; 6 expected, and 14 is beyond 99.7 % of draws


def test_a_very_large_table_is_thinned_and_counted_whole():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=250_000), rng.normal(0.2, 1, size=1_000)
    drifted = number_drift("households", a, b)
    assert (drifted.reference_rows, drifted.rows) == (250_000, 1_000)
    assert drifted.effect == pytest.approx(
        number_drift("households", a[:90_000], b).effect, abs=0.01
    )
    assert sum(drifted.reference_shares) == pytest.approx(1)


def test_a_hundred_thousand_rows_are_compared_whole_and_of_one_more_every_second():
    now = np.zeros(10)
    other = np.arange(100_001) % 2.0  # every second row is 0
    assert number_drift("households", other[:100_000], now).effect == 0.5
    assert number_drift("households", other, now).effect == 0
