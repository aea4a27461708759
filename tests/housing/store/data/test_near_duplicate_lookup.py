"""Near-duplicates stay on one side of the split, whatever is delivered, withdrawn or corrected."""

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from housing import schema
from housing.evaluation.compare import compare
from housing.evaluation.spatial_se import spatial_cells
from housing.keys import KEY_COLUMN, row_keys
from housing.store.backups import table_dump
from housing.store.data import datasets, near_duplicate_lookup, profiles, split
from housing.store.data.datasets import SIDE_COLUMN
from housing.store.data.segments import get_table
from housing.store.database.open import open_store
from housing.store.database.tables import batch_splits, near_duplicate_index, split_sides
from housing.training.fingerprints import NEITHER, TEST, TRAIN, fingerprints
from housing.training.split import SplitRule
from tests.fixtures import dataset_operations

RULE = SplitRule(test_share=0.2, seed=42)
COLUMNS = [*schema.FEATURES, schema.TARGET]


@pytest.fixture(autouse=True, scope="module")
def small_generations():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "GENERATION_KEYS", 100)
        patch.setattr(split, "GENERATION_ROWS", 300)
        yield


@pytest.fixture(scope="module")
def census(census_path):
    frame = pd.read_csv(census_path).astype(schema.dtypes())
    return frame.sample(1_000, random_state=7).reset_index(drop=True)


def keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """As a file without ids: the key is of the values."""
    return frame.assign(**{KEY_COLUMN: row_keys(frame[COLUMNS])})


def with_ids(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    ids = pd.Series([f"{name}-{i}" for i in range(len(frame))], index=frame.index, dtype="str")
    return frame.assign(**{KEY_COLUMN: row_keys(frame[COLUMNS].assign(district_id=ids))})


def perturbed(frame: pd.DataFrame, column: str, steps: int = 1) -> pd.DataFrame:
    """Another value in one column of every row, and nothing else."""
    facts, frame = schema.CATALOGUE[column], frame.copy()
    if facts.kind == "category":
        codes = (frame[column].cat.codes.astype(int) + steps) % len(facts.categories)
        frame[column] = pd.Categorical.from_codes(codes, categories=list(facts.categories))
    else:
        frame[column] = frame[column].fillna(0) + steps * (facts.resolution or 1e-4)
    return frame


def bring_in(store, batch):
    datasets.append_waiting(store, reason="test", run=None)
    return split.split_batch(store, batch, RULE)


def newest(store):
    with store.read() as connection:
        return datasets.active(connection).id


def twins(frame: pd.DataFrame) -> int:
    """Test rows with a near-duplicate in training: the definition in plain words of a table."""
    found = np.zeros(len(frame), dtype=bool)
    for left_out in (None, *COLUMNS):
        same = [name for name in COLUMNS if name != left_out]
        groups = frame.groupby(same, dropna=False, observed=True)[SIDE_COLUMN]
        found |= (frame[SIDE_COLUMN] & ~groups.transform("all")).to_numpy(dtype=bool)
    return int(found.sum())


def ledger_of(store):
    with store.read() as connection:
        return dict(connection.execute(sa.select(split_sides.c.key, split_sides.c.side)).all())


def sides_of(store, batch):
    query = sa.select(batch_splits.c.sides).where(batch_splits.c.batch == batch)
    with store.read() as connection:
        return get_table(store, connection.execute(query).scalar_one())["side"].to_numpy()


def index_rows(store):
    with store.read() as connection:
        return connection.execute(
            sa.select(sa.func.count()).select_from(near_duplicate_index)
        ).scalar()


def test_the_slow_reference_finds_near_duplicates(census):
    both = pd.concat([census, perturbed(census.head(50), "population")], ignore_index=True)
    both[SIDE_COLUMN] = np.arange(len(both)) < len(census)
    assert twins(both) == 50


def test_no_column_makes_another_district(store, settings, census, add_batch):
    """Each column in turn, with and without ids, with a restart, a withdrawal and a rollback."""
    first = with_ids(census, "first")
    bring_in(store, add_batch(store, first))
    side_of = dict(zip(first[KEY_COLUMN], sides_of(store, 1), strict=True))
    generator = np.random.default_rng(3)
    for column in COLUMNS:
        some = first.iloc[generator.permutation(len(first))[:100]]
        for name, make in (("keyed", keyed), ("ids", lambda f, c=column: with_ids(f, c))):
            twin = make(perturbed(some, column))
            with open_store(settings) as again:  # another process would see the same
                batch = add_batch(again, twin)
                bring_in(again, batch)
            expected = [side_of[key] for key in some[KEY_COLUMN]]
            assert sides_of(store, batch).tolist() == expected, (column, name)
    assert twins(datasets.read(store, newest(store))) == 0
    dataset_operations.withdraw(store, 1, reason="test")
    again = keyed(perturbed(first.head(200), "households", 2))
    bring_in(store, add_batch(store, again))
    dataset_operations.roll_back(store, 1, reason="test")
    bring_in(store, add_batch(store, with_ids(first.tail(200), "copy")))
    frame = datasets.read(store, newest(store))
    assert twins(frame) == 0
    assert frame[SIDE_COLUMN].mean() == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_near_duplicates_in_one_file_are_on_one_side_in_any_order(
    blank_store, census, add_batch, share
):
    ledgers = []
    for order in (None, 1, 2):
        with blank_store() as store:
            parts = [census]
            for column in ("population", "ocean_proximity", "median_income"):
                some = census.sample(frac=share, random_state=5)
                parts.append(perturbed(some, column))
            frame = with_ids(pd.concat(parts, ignore_index=True), "file")
            if order is not None:
                frame = frame.sample(frac=1, random_state=order).reset_index(drop=True)
            bring_in(store, add_batch(store, frame))
            found = datasets.read(store, 1)
            assert twins(found) == 0
            assert len(found) == len(frame)  # they form stars around one row: none is between
            assert found[SIDE_COLUMN].mean() == pytest.approx(0.2, abs=0.05)
            ledgers.append(ledger_of(store))
    assert ledgers[0] == ledgers[1] == ledgers[2]


def between(census, n):
    """Rows, others that differ from them in two columns, and rows that differ by one from each."""
    one = census.head(n)
    other = perturbed(perturbed(one, "population", 3), "households", 5)
    return with_ids(one, "one"), with_ids(other, "other"), perturbed(one, "population", 3)


def test_a_row_between_two_sides_is_used_on_neither(store, census, add_batch):
    one, other, middle = between(census, 300)
    bring_in(store, add_batch(store, pd.concat([one, other], ignore_index=True)))
    sides = sides_of(store, 1).reshape(2, -1)
    split_apart = sides[0] != sides[1]
    assert split_apart.sum() > 50
    batch = add_batch(store, with_ids(middle, "middle"))
    bring_in(store, batch)
    expected = np.where(split_apart, NEITHER, sides[0])
    assert sides_of(store, batch).tolist() == expected.tolist()
    version, ledger = newest(store), ledger_of(store)
    unused = with_ids(middle, "middle")[KEY_COLUMN][split_apart]
    assert [ledger[key] for key in unused] == [NEITHER] * split_apart.sum()
    frame = datasets.read(store, version)
    assert len(frame) == 900 - split_apart.sum()
    assert not frame[KEY_COLUMN].isin(unused).any()
    assert frame[SIDE_COLUMN].dtype == np.bool_
    profile = profiles.record_or_verify(store, version, frame)
    assert profile.unused_rows == split_apart.sum()
    assert profile.rows == len(frame) == profile.train_rows + profile.test_rows
    profiles.record_or_verify(store, version, datasets.read(store, version))
    # A later row beside an unused one is free; the unused one stays so, delivered again.
    again = add_batch(store, with_ids(middle, "middle"))
    bring_in(store, again)
    assert sides_of(store, again).tolist() == expected.tolist()


def test_a_restored_backup_has_sides_and_agreements(blank_store, blank_sqlite, census, add_batch):
    one, other, middle = between(census, 200)
    with blank_store() as store, blank_sqlite() as restored:
        bring_in(store, add_batch(store, pd.concat([one, other], ignore_index=True)))
        bring_in(store, add_batch(store, with_ids(middle, "middle")))
        for table in (split_sides, near_duplicate_index):
            query = sa.select(table).order_by(*table.primary_key.columns)
            with store.read() as connection:
                rows, data = connection.execute(query).all(), table_dump.dump(connection, table)
            with restored.write() as connection:
                assert table_dump.load(connection, table, data) == len(rows)
                assert connection.execute(query).all() == rows
            assert {row.side for row in rows} == {TEST, TRAIN, NEITHER}


def test_a_correction_that_meets_the_other_side_is_not_used_until_it_is_corrected_back(
    store, census, add_batch
):
    first = with_ids(census.head(400), "id")
    bring_in(store, add_batch(store, first))
    ledger = ledger_of(store)
    side = sides_of(store, 1)
    test, train = first[side == TEST].head(20), first[side == TRAIN].head(20)
    crossed = perturbed(test, "population").assign(**{KEY_COLUMN: train[KEY_COLUMN].to_numpy()})
    batch = add_batch(store, crossed)
    assert bring_in(store, batch) == (0, 20)
    assert ledger_of(store) == ledger
    assert sides_of(store, batch).tolist() == [NEITHER] * 20
    version = newest(store)
    frame = datasets.read(store, version)
    assert len(frame) == 380
    assert twins(frame) == 0
    assert profiles.record_or_verify(store, version, frame).unused_rows == 20
    corrected = add_batch(store, train)
    bring_in(store, corrected)
    assert sides_of(store, corrected).tolist() == [TRAIN] * 20
    dataset_operations.withdraw(store, corrected, reason="test")
    dataset_operations.withdraw(store, batch, reason="test")
    assert len(datasets.read(store, newest(store))) == 400


def test_a_district_delivered_every_run_under_another_key_keeps_its_side(store, census, add_batch):
    some = census.head(60)
    sides = []
    for day in range(24):
        batch = add_batch(store, keyed(perturbed(some, "population", day)))
        bring_in(store, batch)
        sides.append(sides_of(store, batch))
    assert (np.array(sides) == sides[0]).all()


def test_districts_that_are_delivered_again_add_nothing_to_the_index(store, census, add_batch):
    bring_in(store, add_batch(store, with_ids(census, "a")))
    before = index_rows(store)
    assert before == 3 * len(census)
    bring_in(store, add_batch(store, with_ids(census.sample(frac=1), "a")))
    assert index_rows(store) == before
    bring_in(store, add_batch(store, with_ids(census, "b")))
    assert index_rows(store) == before + len(census)  # the batch that brought each
    assert twins(datasets.read(store, newest(store))) == 0


def test_the_index_has_equal_rows_once(blank_sqlite, census, add_batch):
    with blank_sqlite() as store:
        bring_in(store, add_batch(store, with_ids(census, "first")))
        before = index_rows(store)
        copies = pd.concat([census.head(3)] * 100, ignore_index=True)
        for name in ("a", "b"):
            bring_in(store, add_batch(store, with_ids(copies, name)))
        assert index_rows(store) == before + 2 * 3


def coarse(n: int, seed: int) -> pd.DataFrame:
    """A table of few values a column: 1,500 different rows in all."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({name: np.full(n, 5.0) for name in schema.NUMBERS})
    for name, values in (("total_rooms", 10), ("population", 5), ("households", 3)):
        frame[name] = generator.integers(1, 1 + values, n).astype(float)
    frame[schema.TARGET] = 1e5 * generator.integers(1, 3, n)
    levels = generator.integers(0, 5, n)
    categories = list(schema.CATALOGUE["ocean_proximity"].categories)
    frame["ocean_proximity"] = pd.Categorical.from_codes(levels, categories=categories)
    return with_ids(frame[COLUMNS], f"coarse-{seed}")


@pytest.mark.parametrize("deliveries", [1, 20])
def test_a_table_of_few_values_does_not_collapse(blank_sqlite, add_batch, deliveries):
    with blank_sqlite() as store:
        n = 40_000 // deliveries
        for seed in range(deliveries):
            bring_in(store, add_batch(store, coarse(n, seed)))
        frame = datasets.read(store, newest(store))
        # Each agreement is rare until its first handful is there: in small deliveries some of
        # these lie between the sides.
        assert len(frame) > (0.99 if deliveries == 1 else 0.8) * 40_000
        assert frame[SIDE_COLUMN].mean() == pytest.approx(0.2, abs=0.01)
        groups = frame.groupby(COLUMNS, observed=True)[SIDE_COLUMN].agg(["mean", "size"])
        large = groups[groups["size"] >= 20]
        assert len(large) > 500
        # Independent sides but for the first handful: the share scatters nearly as a binomial one.
        z = (large["mean"] - 0.2) / np.sqrt(0.16 / large["size"])
        assert z.std() < (1.3 if deliveries == 1 else 2)  # of one side each: 5
        assert not np.any(leaks(store, frame))


def leaks(store, frame):
    test = frame[SIDE_COLUMN].to_numpy()
    prints = fingerprints(frame)
    return near_duplicate_lookup.leaking_rows(
        store, prints.take(np.flatnonzero(test)), prints.take(np.flatnonzero(~test))
    )


def test_the_leak_proof_counts_what_the_oracle_counts(store, census, add_batch):
    frame = keyed(pd.concat([census, perturbed(census.head(80), "latitude")], ignore_index=True))
    bring_in(store, add_batch(store, frame))
    found = datasets.read(store, 1)
    assert twins(found) == leaks(store, found).sum() == 0
    found[SIDE_COLUMN] = np.random.default_rng(2).random(len(found)) < 0.3
    assert twins(found) == leaks(store, found).sum() > 5


def test_rows_that_the_split_has_never_seen_count_as_rare(store, census):
    both = pd.concat([census, perturbed(census.head(10), "median_income")], ignore_index=True)
    both[SIDE_COLUMN] = np.arange(len(both)) < 500
    assert leaks(store, both).sum() == 10


def nearest(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Prices by a model that remembers every row: what leaks most."""
    model = make_pipeline(StandardScaler(), KNeighborsRegressor(1))
    numbers = [name for name in schema.NUMBERS if name != schema.TARGET]
    model.fit(train[numbers].fillna(0), train[schema.TARGET])
    return model.predict(test[numbers].fillna(0))


@pytest.mark.parametrize("make", [keyed, with_ids], ids=["without ids", "with others"])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_no_single_column_makes_a_better_challenger(blank_sqlite, census, add_batch, make, share):
    """A challenger that also has the perturbed rows is never judged better by them."""
    names = {"name": "perturbed"} if make is with_ids else {}
    for column in schema.FEATURES:
        with blank_sqlite() as store:
            bring_in(store, add_batch(store, with_ids(census, "first")))
            before = datasets.read(store, 1)
            some = perturbed(census.sample(frac=share, random_state=11), column)
            bring_in(store, add_batch(store, make(some, **names)))
            after = datasets.read(store, 2)
        test = after[after[SIDE_COLUMN]]
        champion, challenger = (
            nearest(frame[~frame[SIDE_COLUMN]], test) for frame in (before, after)
        )
        where = spatial_cells(test["longitude"].to_numpy(), test["latitude"].to_numpy(), 0.1)
        actual = test[schema.TARGET].to_numpy()
        found = compare(actual, champion, challenger, where, confidence=0.95)
        assert found.effect > -0.01, column
        assert found.upper > 0, column
