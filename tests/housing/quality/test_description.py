"""Figures of a description agree with numpy's and do not depend on the order of rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from housing.quality.description import correlations, describe, stratum_shares

NUMBERS = st.floats(-1e9, 1e9) | st.just(float("nan"))
COLUMNS = arrays(np.float64, st.integers(1, 60), elements=NUMBERS)


@given(values=COLUMNS)
def test_every_value_is_in_a_bar_beyond_the_bars_or_missing(values):
    facts = describe(pd.Series(values))
    if facts is None:
        assert np.isnan(values).all()
        return
    shown = sum(facts.counts) + facts.beyond
    assert shown + round(facts.missing * len(values)) == len(values)
    assert facts.quartiles == tuple(np.nanquantile(values, (0, 0.25, 0.5, 0.75, 1)))
    assert 0 <= facts.outliers <= 1


@given(values=COLUMNS, seed=st.integers(0, 9))
def test_the_order_of_rows_does_not_matter(values, seed):
    shuffled = np.random.default_rng(seed).permutation(values)
    first, second = (describe(pd.Series(each)) for each in (values, shuffled))
    if first is None:
        assert second is None
        return
    assert (first.counts, first.edges, first.quartiles) == (
        second.counts, second.edges, second.quartiles,
    )  # fmt: skip
    assert first.mean == pytest.approx(second.mean, abs=1e-3)


def test_one_huge_value_does_not_squeeze_the_histogram():
    facts = describe(pd.Series([*np.linspace(0, 1, 1000), 1e6]))
    assert facts.edges[-1] <= 1
    assert facts.beyond >= 1
    assert facts.quartiles[-1] == 1e6


def test_values_at_the_cap_are_counted():
    facts = describe(pd.Series([1.0, 5.0, 5.0, 2.0]), cap=5.0)
    assert facts.at_cap == 0.5


def test_the_strongest_correlation_with_the_target_comes_first():
    random = np.random.default_rng(0)
    target = random.normal(size=500)
    frame = pd.DataFrame(
        {"weak": target + 5 * random.normal(size=500), "against": -target, "y": target, "same": 1.0}
    )
    frame.loc[3, "weak"] = np.nan
    found = correlations(frame).of("y")
    assert list(found) == ["against", "weak"]  # a constant column has no correlation
    assert found["against"] == pytest.approx(-1)


def test_shares_of_strata_and_the_error_of_a_random_sample():
    random = np.random.default_rng(1)
    strata = np.repeat([0, 1], [300, 700])
    test = np.zeros(1000, dtype=bool)
    test[:60] = test[300:440] = True
    large, small = stratum_shares(strata, test, {0: "a", 1: "b"})
    assert (large.name, large.share, large.train, large.test) == ("b", 0.7, 0.7, 0.7)
    assert small.error == pytest.approx(0)
    drawn = [strata[random.permutation(1000)[:200]].mean() for _ in range(4000)]
    assert large.chance == pytest.approx(np.std(drawn), rel=0.05)
