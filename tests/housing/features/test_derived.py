import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from housing import schema
from housing.features.derived import compute, inputs_of, log_count, ratio, transformer
from housing.problems.california.features import LOGS, LOWEST_INCOME, RATIOS, log_income

ALL = (*RATIOS, *LOGS)
counts = hnp.arrays(np.float64, 7, elements=st.just(0.0) | st.floats(1e-3, 1e6))


@given(counts, counts)
def test_ratio_times_denominator_is_numerator_and_zero_denominators_are_gaps(a, b):
    result = ratio(a, b)
    nonzero = b != 0
    assert np.isnan(result[~nonzero]).all()
    np.testing.assert_allclose((result * b)[nonzero], a[nonzero], rtol=1e-12)


@given(counts)
def test_logs_are_finite_for_every_legal_value(values):
    assert np.isfinite(log_count(values)).all()
    assert np.isfinite(log_income(values)).all()


def test_logs_are_plain_logs_where_the_reference_table_has_values():
    incomes = np.array([0.4999, 3.5, 15.0001])
    np.testing.assert_array_equal(log_income(incomes), np.log(incomes))
    assert log_income(np.array([0.0]))[0] == np.log(LOWEST_INCOME)
    np.testing.assert_array_equal(log_count(np.array([1.0, 39320.0])), np.log([1.0, 39320.0]))


def test_missing_values_stay_missing():
    gap = np.array([np.nan])
    assert np.isnan(ratio(gap, np.ones(1))).all()
    assert np.isnan(ratio(np.ones(1), gap)).all()
    assert np.isnan(log_count(gap)).all()
    assert np.isnan(log_income(gap)).all()


def test_registry_rows_are_documented_and_read_only_features():
    names = [column.name for column in ALL]
    assert len(set(names)) == len(names)
    assert not set(names) & set(schema.CATALOGUE)
    for column in ALL:
        assert column.unit
        assert column.reason
    assert set(inputs_of(ALL)) <= set(schema.FEATURES)


def test_each_column_gets_its_own_inputs():
    row = {"total_bedrooms": 200.0, "total_rooms": 1000.0, "population": 600.0}
    row |= {"households": 250.0, "median_income": 4.0}
    frame = pd.DataFrame([row])[list(inputs_of(ALL))]
    derived = dict(zip([c.name for c in ALL], compute(frame, ALL)[0], strict=True))
    assert derived == pytest.approx(
        {
            "bedrooms_per_room": 0.2,
            "rooms_per_house": 4.0,
            "people_per_house": 2.4,
            "log_bedrooms": np.log(200),
            "log_rooms": np.log(1000),
            "log_population": np.log(600),
            "log_households": np.log(250),
            "log_income": np.log(4),
        }
    )


def test_the_step_names_its_columns():
    step = transformer(RATIOS).fit(np.ones((2, len(inputs_of(RATIOS)))))
    assert list(step.get_feature_names_out()) == [column.name for column in RATIOS]
