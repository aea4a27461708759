"""However many copies of a row there are, and whatever lies beside them, none crosses the split."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsRegressor

from housing import schema
from housing.evaluation.compare import compare
from housing.evaluation.spatial_se import spatial_cells
from housing.keys import KEY_COLUMN
from housing.store.data import datasets, near_duplicate_lookup
from housing.store.data.datasets import SIDE_COLUMN
from housing.training.fingerprints import LEFT_OUT, fingerprints
from tests.fixtures import dataset_operations
from tests.housing.store.data.test_near_duplicate_lookup import (
    COLUMNS,
    bring_in,
    index_rows,
    keyed,
    leaks,
    newest,
    perturbed,
    sides_of,
    with_ids,
)

STEP = 1e-4

SYSTEM = pytest.mark.system
"""Further cases of what `make test` has one case of."""


@pytest.fixture(scope="module")
def census(census_path):
    frame = pd.read_csv(census_path).astype(schema.dtypes())
    return frame.sample(600, random_state=7).reset_index(drop=True)


def plain(frame: pd.DataFrame) -> np.ndarray:
    """Values as whole numbers, independent of how the product hashes them; shape (n, 10)."""
    steps = {name: schema.CATALOGUE[name].resolution or STEP for name in schema.NUMBERS}
    numbers = [(frame[name].astype(float) / steps[name]).round().fillna(-1) for name in steps]
    return np.column_stack([*numbers, frame["ocean_proximity"].cat.codes]).astype(np.int64)


def pairs(frame: pd.DataFrame, differ: int = 1) -> int:
    """Pairs of a test and a training row that differ in at most so many columns, one by one."""
    test = frame[SIDE_COLUMN].to_numpy()
    values, found = plain(frame), 0
    for row in values[test]:
        found += int(((values[~test] != row).sum(axis=1) <= differ).sum())
    return found


def copies(frame: pd.DataFrame, column: str, times: int) -> list[pd.DataFrame]:
    return [perturbed(frame, column, step) for step in range(1, times + 1)]


def fillers(frame: pd.DataFrame, each: int, seed: int = 5) -> list[pd.DataFrame]:
    """Rows that crowd each of three hashes of `frame`: other values where it leaves some out."""
    generator = np.random.default_rng(seed)
    found = []
    for names in LEFT_OUT:
        for _ in range(each):
            other = frame.copy()
            for name in (n for n in names if n in schema.NUMBERS):
                step = schema.CATALOGUE[name].resolution or STEP
                other[name] = generator.integers(1_000, 900_000, len(frame)) * step
            found.append(other)
    return found


def deliver(store, add_batch, parts: list[pd.DataFrame], name: str, deliveries: int = 1) -> None:
    frame = pd.concat(parts, ignore_index=True)
    made = with_ids(frame, name) if name else keyed(frame).drop_duplicates(KEY_COLUMN)
    for part in range(deliveries):
        rows = made.iloc[part::deliveries].reset_index(drop=True)
        if len(rows):
            bring_in(store, add_batch(store, rows))


def assert_no_better(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """A model that remembers each row and has the copies too is not judged better by them.

    Both measure nearness in the same units: copies must not help by changing a column's spread.
    """
    test = after[after[SIDE_COLUMN] & after[KEY_COLUMN].isin(before[KEY_COLUMN])]
    numbers = [name for name in schema.NUMBERS if name != schema.TARGET]
    units = before[numbers].std()
    said = [
        KNeighborsRegressor(1)
        .fit((train[numbers] / units).fillna(0), train[schema.TARGET])
        .predict((test[numbers] / units).fillna(0))
        for train in (frame[~frame[SIDE_COLUMN]] for frame in (before, after))
    ]
    where = spatial_cells(test["longitude"].to_numpy(), test["latitude"].to_numpy(), 0.1)
    found = compare(test[schema.TARGET].to_numpy(), *said, where, confidence=0.95)
    assert found.effect > -0.1  # by luck within about 0.05; of a copy it would know the label
    assert found.upper >= 0


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(
    "times", [1, pytest.param(9, marks=SYSTEM), pytest.param(40, marks=SYSTEM)]
)
def test_no_number_of_copies_crosses_the_split(blank_sqlite, census, add_batch, column, times):
    """A tenth of the rows, again and again, without ids and with others."""
    some = census.sample(frac=0.1, random_state=times)
    for name in ("", "copies"):
        with blank_sqlite() as store:
            deliver(store, add_batch, [census], "first")
            before = datasets.read(store, 1)
            deliver(store, add_batch, copies(some, column, times), name)
            after = datasets.read(store, newest(store))
            assert pairs(after) == 0
            assert not leaks(store, after).any()
            assert len(after) > len(census)
            if column != schema.TARGET:
                assert_no_better(before, after)


@pytest.mark.parametrize("share", [0.05, 1.0])
@pytest.mark.parametrize("deliveries", [pytest.param(1, marks=SYSTEM), 3])
@pytest.mark.parametrize("order", ["copies last", "copies first", "at once"])
def test_no_share_no_delivery_and_no_order(
    blank_sqlite, census, add_batch, share, deliveries, order
):
    """Nine copies in each of three columns: stars around a row, its centre at any place."""
    census = census.head(200)
    some = census.sample(frac=share, random_state=3)
    stars = [c for n in ("population", "median_income", "longitude") for c in copies(some, n, 9)]
    with blank_sqlite() as store:
        parts = {
            "copies last": [([census], "first", 1), (stars, "copies", deliveries)],
            "copies first": [(stars[::-1], "copies", deliveries), ([census], "first", 1)],
            "at once": [([*stars, census], "all", deliveries)],
        }
        for part in parts[order]:
            deliver(store, add_batch, *part)
        after = datasets.read(store, newest(store))
        assert pairs(after) == 0
        assert not leaks(store, after).any()
        assert after[SIDE_COLUMN].mean() == pytest.approx(0.2, abs=0.12)


@pytest.mark.parametrize("when", ["before", "after", "between", "in the first delivery"])
def test_no_crowd_hides_copies(blank_sqlite, census, add_batch, when):
    some = census.sample(30, random_state=4)
    crowd, near = fillers(some, 80), copies(some, "population", 3)
    exact = [some.copy()]
    with blank_sqlite() as store:
        orders = {
            "before": [[*crowd], [census], near, exact],
            "after": [[census], near, crowd, exact, copies(some, "households", 3)],
            "between": [[census], crowd, near, exact, copies(some, "latitude", 3)],
            "in the first delivery": [[census, *crowd, *near, *exact], near],
        }
        for number, parts in enumerate(orders[when]):
            deliver(store, add_batch, parts, f"d{number}")
        after = datasets.read(store, newest(store))
        assert pairs(after) == 0
        assert not leaks(store, after).any()
        test = after[SIDE_COLUMN].to_numpy()
        after[SIDE_COLUMN] = np.random.default_rng(1).permutation(test)
        assert leaks(store, after).sum() > 20


@pytest.mark.parametrize("column", ["population", "ocean_proximity", schema.TARGET])
def test_a_row_that_is_most_of_the_table_keeps_its_side(blank_sqlite, census, add_batch, column):
    """A source that issues one row again every hour: 400 copies beside 150 rows."""
    census, one = census.head(150), census.head(1)
    for first in (20, 400):
        with blank_sqlite() as store:
            deliver(store, add_batch, [census], "first")
            deliver(store, add_batch, copies(one, column, first), "a")
            deliver(store, add_batch, copies(one, column, 420 - first)[::-1], "b")
            for day in range(5):
                deliver(store, add_batch, [perturbed(one, column, 2_000 + day)], f"n{day}")
            after = datasets.read(store, newest(store))
            assert pairs(after) == 0
            assert len(set(sides_of(store, 3)) | set(sides_of(store, 6))) == 1


def test_the_leak_proof_leaves_out_no_large_group(blank_sqlite, census, add_batch):
    frame = pd.concat([census, *copies(census.head(50), "population", 40)], ignore_index=True)
    with blank_sqlite() as store:
        deliver(store, add_batch, [frame], "all")
        found = datasets.read(store, 1)
        assert pairs(found) == leaks(store, found).sum() == 0
        found[SIDE_COLUMN] = np.random.default_rng(2).random(len(found)) < 0.2
        values, test = plain(found), found[SIDE_COLUMN].to_numpy()
        near = [((values[~test] != row).sum(axis=1) <= 1).any() for row in values[test]]
        assert leaks(store, found).sum() == sum(near) > 300


def test_copies_between_withdrawals_and_rollbacks(blank_sqlite, census, add_batch):
    some = census.sample(60, random_state=8)
    with blank_sqlite() as store:
        deliver(store, add_batch, [census], "first")
        deliver(store, add_batch, copies(some, "population", 12), "a")
        dataset_operations.withdraw(store, 2, reason="test")
        deliver(store, add_batch, copies(some, "households", 12), "b")
        dataset_operations.withdraw(store, 1, reason="test")
        deliver(store, add_batch, copies(some, "median_income", 12), "c")
        dataset_operations.roll_back(store, 1, reason="test")
        deliver(store, add_batch, [*copies(some, "latitude", 12), some], "d")
        dataset_operations.roll_back(store, 2, reason="test")
        deliver(store, add_batch, copies(some, "total_rooms", 12), "e")
        assert pairs(datasets.read(store, newest(store))) == 0
        for version in range(1, newest(store) + 1):
            assert pairs(datasets.read(store, version)) == 0


def odd(census: pd.DataFrame, case: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows, and the same rows written in another way."""
    rows, same = census.copy(), census.copy()
    if case == "label 0":
        rows[schema.TARGET] = same[schema.TARGET] = 0.0
    elif case == "missing":
        rows["total_bedrooms"] = same["total_bedrooms"] = np.nan
    elif case == "minus 0":
        rows["median_income"], same["median_income"] = 0.0, -0.0
    elif case == "float32":
        for name in schema.NUMBERS:
            as_text = census[name].astype(np.float32).map(lambda v: repr(float(v)))
            same[name] = as_text.astype(float)
    return rows, same


@pytest.mark.parametrize("case", ["label 0", "missing", "minus 0", "float32", "reversed"])
def test_however_values_are_written(blank_sqlite, census, add_batch, case):
    rows, same = odd(census, case)
    with blank_sqlite() as store:
        deliver(store, add_batch, [rows], "first")
        deliver(store, add_batch, [same[::-1], *copies(same.head(60), "population", 12)], "copies")
        after = datasets.read(store, newest(store))
        assert sides_of(store, 2)[: len(census)].tolist() == sides_of(store, 1)[::-1].tolist()
        assert pairs(after) == 0
        assert index_rows(store) == 3 * (len(census) + 12 * 60) + len(census)  # listed once


def test_two_columns_exchanged_make_another_row(blank_sqlite, census, add_batch):
    swapped = census.rename(columns={"population": "households", "households": "population"})
    with blank_sqlite() as store:
        deliver(store, add_batch, [census], "first")
        deliver(store, add_batch, [swapped[COLUMNS]], "swapped")
        deliver(store, add_batch, copies(swapped[COLUMNS], "latitude", 2), "copies")
        after = datasets.read(store, newest(store))
        assert pairs(after) == 0
        assert (sides_of(store, 1) != sides_of(store, 2)).mean() > 0.2  # drawn on their own


def test_a_crowd_costs_a_run_no_more_than_its_own_rows(blank_sqlite, census, add_batch):
    """Of 3,000 rows that share a hash with one row, the run reads a list and words of its own."""
    one = census.head(1)
    with blank_sqlite() as store:
        deliver(store, add_batch, [census, *fillers(one, 1_000)], "first")
        with store.read() as connection:
            known = near_duplicate_lookup.look_up(
                connection, fingerprints(perturbed(one, "population"))
            )
        assert len(known.hashes) <= 3 * near_duplicate_lookup.LISTED
        assert len(known.words) <= 3 * len(near_duplicate_lookup.AGREEMENTS)


# --- tables of few values -------------------------------------------------------------------


def binary(n: int, seed: int) -> pd.DataFrame:
    """Nine columns of two values, and a label of five."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({name: 1.0 + generator.integers(0, 2, n) for name in schema.NUMBERS})
    frame[schema.TARGET] = 1e5 * generator.integers(1, 6, n)
    levels = list(schema.CATALOGUE["ocean_proximity"].categories)
    codes = generator.integers(0, 2, n)
    frame["ocean_proximity"] = pd.Categorical.from_codes(codes, categories=levels)
    return frame[COLUMNS]


def dependent(n: int, seed: int) -> pd.DataFrame:
    """The like, where one column decides two others, as a postal code its town and state."""
    frame, generator = binary(n, seed), np.random.default_rng(seed)
    code = generator.integers(0, 20, n)
    frame["longitude"], frame["latitude"] = code + 1.0, code // 4 + 1.0
    frame["housing_median_age"] = code // 10 + 1.0
    return frame


@pytest.mark.parametrize("deliveries", [1, 20])
@pytest.mark.parametrize("make", [binary, dependent])
def test_a_table_of_few_values_is_split_row_by_row(blank_sqlite, add_batch, make, deliveries):
    with blank_sqlite() as store:
        deliver(store, add_batch, [make(20_000, 3)], "few", deliveries)
        frame = datasets.read(store, newest(store))
        assert len(frame) > 0.99 * 20_000
        assert frame[SIDE_COLUMN].mean() == pytest.approx(0.2, abs=0.01)
        groups = frame.groupby(COLUMNS, observed=True)[SIDE_COLUMN].agg(["mean", "size"])
        z = (groups["mean"] - 0.2) / np.sqrt(0.16 / groups["size"])
        assert z.std() < 1.2  # of one side each: 2 and more
        assert not leaks(store, frame).any()
