import numpy as np
import pandas as pd
import pytest

from housing.problem import Bins, Levels
from housing.schema import (
    CATALOGUE,
    CATEGORIES,
    COLUMNS,
    COORDINATES,
    FEATURES,
    ID_COLUMN,
    KEY,
    LABEL_CAP,
    NUMBERS,
    TABLE,
    TARGET,
    TIME_COLUMN,
    dtypes,
)


def test_every_column_is_described_and_has_limits_or_categories():
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    for column in COLUMNS:
        assert column.meaning
        assert column.unit
        if column.kind == "number":
            assert column.minimum < column.maximum
            assert not column.categories
        else:
            assert len(set(column.categories)) == len(column.categories) > 1
            assert column.minimum is column.maximum is None
        if column.cap is not None:
            assert column.minimum < column.cap <= column.maximum


def test_names_of_columns_refer_to_the_catalogue():
    assert set(FEATURES) == set(CATALOGUE) - {TARGET}
    assert set(NUMBERS) | set(CATEGORIES) == set(CATALOGUE)
    assert {*KEY, *COORDINATES, TARGET} | {
        name for pair in TABLE.not_above for name in pair
    } <= set(CATALOGUE)
    assert not {ID_COLUMN, TIME_COLUMN} & set(CATALOGUE)
    assert LABEL_CAP == 500_001
    assert all(not CATALOGUE[name].nullable for name in (*KEY, TARGET))


def test_the_census_satisfies_the_catalogue(census_path):
    table = pd.read_csv(census_path)
    assert list(table) == list(CATALOGUE)
    for name in NUMBERS:
        column = CATALOGUE[name]
        assert table[name].min() >= column.minimum
        assert table[name].max() <= column.maximum
        assert column.nullable or table[name].notna().all()
    for name in CATEGORIES:
        assert set(table[name]) == set(CATALOGUE[name].categories)
    for part, whole in TABLE.not_above:
        assert not (table[part] > table[whole]).any()


def test_a_bin_holds_its_upper_edge():
    bins = Bins("median_income", (1.5, 3.0))
    frame = pd.DataFrame({"median_income": [0.0, 1.5, 1.6, 3.0, 3.1, 99.0]})
    assert bins.codes(frame).tolist() == [0, 0, 1, 1, 2, 2]
    assert bins.names() == ("<=1.5", "1.5-3", ">3")


def test_levels_are_in_catalogue_order_whatever_the_dtype():
    levels = Levels("ocean_proximity", CATALOGUE["ocean_proximity"].categories)
    names = list(reversed(levels.names()))
    for frame in (
        pd.DataFrame({"ocean_proximity": names}),
        pd.DataFrame({"ocean_proximity": pd.Categorical(names)}),
    ):
        assert levels.codes(frame).tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("groups", [*TABLE.strata, *TABLE.slices])
def test_groups_have_as_many_names_as_codes(groups, census_path):
    codes = groups.codes(pd.read_csv(census_path))
    assert codes.dtype == np.int16
    assert sorted(set(codes.tolist())) == list(range(len(groups.names())))


def test_each_column_has_the_dtype_of_its_kind():
    assert list(dtypes()) == list(CATALOGUE)
    assert dtypes(("population",)) == {"population": "float64"}
    assert list(dtypes()["ocean_proximity"].categories) == list(
        CATALOGUE["ocean_proximity"].categories
    )
