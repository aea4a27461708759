"""The split through SQL: once test, always test, whatever happens to the rows afterwards."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from housing import schema
from housing.keys import KEY_COLUMN
from housing.store.data import datasets, split
from housing.store.data.segments import get_table
from housing.store.database import bulk
from housing.store.database.open import open_store
from housing.store.database.tables import (
    batch_splits,
    batches,
    near_duplicate_index,
    split_sides,
    stratum_counts,
)
from housing.training.split import SplitRule, strata, stratum_name
from tests.fixtures import dataset_operations

RULE = SplitRule(test_share=0.2, seed=42)
ROUNDING = 1.75 + 1e-9  # districts by which a stratum may be off its share
FEW = settings(max_examples=12, deadline=None)  # each example is a database of its own


@pytest.fixture(autouse=True, scope="module")
def small_generations():
    """So that most tests here cross from one generation of the ledger into the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "GENERATION_KEYS", 20)
        patch.setattr(split, "GENERATION_ROWS", 30)
        yield


def ledger_of(store):
    with store.read() as connection:
        rows = connection.execute(sa.select(split_sides).order_by(split_sides.c.key)).all()
    sides = {row.key: row.side for row in rows}
    assert len(sides) == len(rows), "a district has two sides"
    return sides


def generations_of(store):
    query = sa.select(split_sides.c.key, split_sides.c.generation)
    with store.read() as connection:
        return dict(connection.execute(query).tuples().all())


def counts_of(store):
    query = sa.select(
        stratum_counts.c.stratum,
        sa.func.sum(stratum_counts.c["keys"]),
        sa.func.sum(stratum_counts.c.test_keys),
    ).group_by(stratum_counts.c.stratum)
    with store.read() as connection:
        return {stratum: (int(n), int(t)) for stratum, n, t in connection.execute(query)}


def bring_in(store, batch, rule=RULE):
    """As a run does: into the dataset, then every batch without sides gets its own."""
    datasets.append_waiting(store, reason="test", run=None)
    with store.read() as connection:
        assert split.unsplit(connection) == (batch,)
    return split.split_batch(store, batch, rule)


def sides_of(store, batch):
    with store.read() as connection:
        query = sa.select(batch_splits.c.sides).where(batch_splits.c.batch == batch)
        return get_table(store, connection.execute(query).scalar_one())["side"].to_numpy()


BATCHES = st.lists(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 3)),  # key, stratum that this batch says
        unique_by=lambda pair: pair[0],
        max_size=30,
    ),
    min_size=1,
    max_size=5,
)


@FEW
@given(batches=BATCHES, share=st.sampled_from([0.1, 0.2, 0.5]))
def test_shares_hold_and_sides_stay_over_several_batches(
    blank_store, districts, add_batch, batches, share
):
    rule = SplitRule(share, 42)
    with blank_store() as store:
        seen, first_stratum = {}, {}
        for rows in batches:
            frame = districts([key for key, _ in rows], stratum=[code for _, code in rows])
            batch = add_batch(store, frame)
            new, known = bring_in(store, batch, rule)
            fresh = [(key, code) for key, code in rows if key not in first_stratum]
            assert (new, known) == (len(fresh), len(rows) - len(fresh))
            first_stratum |= dict(fresh)
            now = ledger_of(store)
            assert now.items() >= seen.items()  # once on a side, for ever on it
            assert set(now) == set(first_stratum)
            assert sides_of(store, batch).tolist() == [now[key] for key, _ in rows]
            seen = now
            for code in set(first_stratum.values()):
                own = [key for key, c in first_stratum.items() if c == code]
                assert abs(sum(now[key] for key in own) - share * len(own)) <= ROUNDING


@pytest.mark.system
@FEW
@given(batches=BATCHES, random=st.randoms())
def test_a_replay_in_another_row_order_and_database_gives_the_same_ledger(
    blank_store, blank_sqlite, districts, add_batch, batches, random
):
    with ExitStack() as stack:
        first, second = stack.enter_context(blank_store()), stack.enter_context(blank_sqlite())
        for rows in batches:
            shuffled = random.sample(rows, len(rows))
            for store, ordered in ((first, rows), (second, shuffled)):
                frame = districts([key for key, _ in ordered], stratum=[c for _, c in ordered])
                bring_in(store, add_batch(store, frame))
        assert ledger_of(first) == ledger_of(second)
        assert counts_of(first) == counts_of(second)
        assert generations_of(first) == generations_of(second)


def test_a_correction_keeps_the_side_even_in_another_stratum(store, districts, add_batch):
    keys = range(100)
    bring_in(store, add_batch(store, districts(keys, stratum=np.zeros(100, dtype=int))))
    before, counted = ledger_of(store), counts_of(store)
    again = add_batch(store, districts(keys, revision=1, stratum=np.ones(100, dtype=int)))
    assert bring_in(store, again) == (0, 100)
    assert ledger_of(store) == before
    assert counts_of(store) == counted
    assert sides_of(store, again).tolist() == [before[key] for key in keys]


def test_keys_that_come_back_after_a_withdrawal_find_their_old_side(store, districts, add_batch):
    first = add_batch(store, districts(range(50)))
    bring_in(store, first)
    before = ledger_of(store)
    bring_in(store, add_batch(store, districts(range(50, 80))))
    dataset_operations.withdraw(store, first, reason="polluted")
    third = add_batch(store, districts([*range(40, 50), *range(80, 90)], revision=2))
    assert bring_in(store, third) == (10, 10)
    assert ledger_of(store).items() >= before.items()
    assert sides_of(store, third)[:10].tolist() == [before[key] for key in range(40, 50)]


def test_a_rollback_changes_no_side(store, districts, add_batch):
    bring_in(store, add_batch(store, districts(range(50))))
    bring_in(store, add_batch(store, districts(range(40, 100), revision=1)))
    before = ledger_of(store)
    dataset_operations.roll_back(store, 1, reason="test")
    assert ledger_of(store) == before
    frame = datasets.read(store, 3)
    assert dict(zip(frame[KEY_COLUMN], frame["#test"], strict=True)) == {
        key: before[key] for key in range(50)
    }
    bring_in(store, add_batch(store, districts(range(90, 120), revision=2)))
    assert ledger_of(store).items() >= before.items()


def test_five_districts_of_an_island_give_one_to_the_test_side(store, districts, add_batch):
    island = np.full(5, 2)  # a single stratum
    others = np.arange(200) % 2
    frame = districts(range(205), stratum=np.concatenate([island, others]))
    bring_in(store, add_batch(store, frame))
    sides = ledger_of(store)
    assert sum(sides[key] for key in range(5)) == 1
    assert sum(sides.values()) == 41


def test_an_empty_batch_has_no_sides(store, districts, add_batch):
    batch = add_batch(store, districts([]))
    assert bring_in(store, batch) == (0, 0)
    assert ledger_of(store) == {}
    assert counts_of(store) == {}
    assert sides_of(store, batch).tolist() == []


def test_splitting_a_batch_twice_changes_nothing(store, districts, add_batch):
    batch = add_batch(store, districts(range(30)))
    assert bring_in(store, batch) == (30, 0)
    before = ledger_of(store), counts_of(store)
    assert split.split_batch(store, batch, SplitRule(0.9, 1)) == (30, 0)
    assert (ledger_of(store), counts_of(store)) == before


def test_counts_are_those_of_the_ledger(store, districts, add_batch):
    frame = districts(range(400))
    bring_in(store, add_batch(store, frame))
    sides, codes = ledger_of(store), strata(frame)
    expected = {
        stratum_name(int(code)): (
            int((codes == code).sum()),
            sum(sides[key] for key in frame[KEY_COLUMN][codes == code]),
        )
        for code in np.unique(codes)
    }
    assert counts_of(store) == expected


def test_batches_are_split_in_reading_order(store, districts, add_batch):
    ids = [add_batch(store, districts(range(10 * i, 10 * i + 10))) for i in range(3)]
    datasets.append_waiting(store, reason="test", run=None)
    with store.read() as connection:
        assert split.unsplit(connection) == tuple(ids)
    split.split_batch(store, ids[0], RULE)
    with store.read() as connection:
        assert split.unsplit(connection) == tuple(ids[1:])


def test_a_batch_accepted_later_by_a_person_is_read_and_split_later(store, districts, add_batch):
    """Reading order is that of the versions, and not of the batches' numbers."""
    held = add_batch(store, districts(range(30), revision=1), status="quarantined")
    first = add_batch(store, districts(range(20, 60)))
    datasets.append_waiting(store, reason="test", run=None)
    with store.write() as connection:
        released = batches.update().where(batches.c.id == held).values(status="released")
        connection.execute(released)
    datasets.append_waiting(store, reason="test", run=None)
    with store.read() as connection:
        assert split.unsplit(connection) == (first, held)
    assert split.split_batch(store, first, RULE) == (40, 0)
    assert split.split_batch(store, held, RULE) == (20, 10)
    read = datasets.read(store, 2).set_index(KEY_COLUMN)
    again = districts(range(30), revision=1).set_index(KEY_COLUMN)
    names = list(schema.CATALOGUE)
    pd.testing.assert_frame_equal(read.loc[again.index, names], again[names])  # the later counts


def test_a_waiting_or_quarantined_batch_has_no_sides(store, districts, add_batch):
    add_batch(store, districts(range(10)), status="quarantined")
    add_batch(store, districts(range(10, 20)))
    with store.read() as connection:
        assert split.unsplit(connection) == ()


def test_recorded_sides_answers_for_known_keys_alone(store, districts, add_batch):
    bring_in(store, add_batch(store, districts([5, -7, 2**63 - 1, -(2**63)])))
    keys, sides = store.query(bulk.known_sides, np.array([9, 5, -7, 5, -(2**63)]))
    assert keys.tolist() == [-(2**63), -7, 5]
    assert sides.tolist() == [ledger_of(store)[key] for key in keys.tolist()]
    assert sides.dtype == np.int8
    keys, sides = store.query(bulk.known_sides, np.array([], dtype=np.int64))
    assert len(keys) == len(sides) == 0


def test_many_keys_go_in_and_come_back_in_chunks(store, monkeypatch):
    monkeypatch.setattr(bulk, "_CHUNK", 7)
    keys = np.random.default_rng(1).permutation(np.arange(-50, 50))
    test = keys % 3 == 0
    with store.write() as connection:
        bulk.insert_sides(connection, 0, keys, test.astype(np.int8))
    found, sides = store.query(bulk.known_sides, keys)
    assert found.tolist() == list(range(-50, 50))
    assert (sides == (found % 3 == 0)).all()


def test_a_key_gets_no_second_side(store):
    keys = np.array([1, 2], dtype=np.int64)
    with store.write() as connection:
        bulk.insert_sides(connection, 0, keys, np.array([1, 0], dtype=np.int8))
    dbapi = store.engine.dialect.loaded_dbapi
    with pytest.raises(dbapi.IntegrityError), store.write() as connection:
        bulk.insert_sides(connection, 0, np.array([3, 2]), np.array([1, 1], dtype=np.int8))
    assert ledger_of(store) == {1: True, 2: False}  # all of it or nothing: 3 is not there


def test_an_interrupted_split_leaves_no_trace(store, districts, add_batch, monkeypatch):
    batch = add_batch(store, districts(range(20)))
    datasets.append_waiting(store, reason="test", run=None)

    class PowerCut(Exception):
        pass

    def cut(*_):
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(split, "record_blob", cut)
        with pytest.raises(PowerCut):
            split.split_batch(store, batch, RULE)
    assert ledger_of(store) == counts_of(store) == {}
    assert split.split_batch(store, batch, RULE) == (20, 0)


@pytest.mark.parametrize("column", [split_sides.c.key, near_duplicate_index.c.hash], ids=str)
def test_sqlite_looks_each_word_up_and_never_scans_the_table(blank_sqlite, column):
    """PostgreSQL has statistics to choose by; SQLite has none, so the query leaves no choice."""
    where = {"table": column.table.name, "column": column.name, "fields": "l.side"}
    query = bulk.LOOKUP.format(words="json_each(?) w", generations="7, 8", **where)
    with blank_sqlite() as store, store.read() as connection:
        explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("[1, 2]",))
        plan = [row[-1] for row in explained]
    assert f"SEARCH l USING PRIMARY KEY (generation=? AND {column.name}=?)" in plan
    assert plan[0].startswith("SCAN w")


def test_a_generation_ends_when_it_is_full_and_old_ones_are_still_looked_up(
    store, districts, add_batch
):
    sizes = (5, 15, 59, 1, 20)  # 20 begin a new one; a batch is never cut in two
    start = 0
    for size in sizes:
        bring_in(store, add_batch(store, districts(range(start, start + size))))
        start += size
    generation = generations_of(store)
    assert [generation[key] for key in (0, 19, 20, 78, 79, 80, 99)] == [0, 0, 1, 1, 3, 4, 4]
    assert bring_in(store, add_batch(store, districts(range(start), revision=1))) == (0, start)


def test_writers_at_the_same_time_give_a_shared_district_one_side(
    settings, store, districts, add_batch
):
    ids = [add_batch(store, districts(range(20 * i, 20 * i + 40))) for i in range(4)]
    datasets.append_waiting(store, reason="test", run=None)
    barrier = threading.Barrier(len(ids))

    def work(batch):
        with open_store(settings) as own:
            barrier.wait()
            return split.split_batch(own, batch, RULE)

    with ThreadPoolExecutor(len(ids)) as pool:
        done = list(pool.map(work, ids))
    sides = ledger_of(store)
    assert set(sides) == set(range(100))
    assert sum(new for new, _ in done) == 100
    for i, batch in enumerate(ids):
        assert sides_of(store, batch).tolist() == [sides[k] for k in range(20 * i, 20 * i + 40)]
