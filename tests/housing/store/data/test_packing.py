"""Packs: the rows of many batches in one object, and nothing else changes."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from housing.errors import Corrupt, StoreUnavailable
from housing.keys import KEY_COLUMN
from housing.operations import backup, prune
from housing.operations.heal import heal
from housing.store.data import copies, datasets, packing, parts, profiles
from housing.store.data.row_status import CurrentRows
from housing.store.database import tables
from housing.store.database.tables import packed_batches
from housing.store.models import retention
from housing.store.objects.blobs import BlobStore
from housing.training.fingerprints import VALUES
from tests.housing.store.data.test_datasets import append
from tests.housing.store.data.test_row_status import counted

pytestmark = pytest.mark.either_database

BATCHES = packing.LOOSE + 2


@pytest.fixture
def filled(store, districts, add_batch):
    """A version a batch: each brings rows of its own, and corrects those of the one before."""
    for number in range(BATCHES):
        keys = range(10 * number, 10 * number + 10)
        corrected = districts(range(max(10 * number - 3, 0), 10 * number), revision=number)
        add_batch(store, pd.concat([districts(keys), corrected]))
        append(store)
    profiles.measured(store, BATCHES)
    return store


def versions(store):
    return {v: datasets.read(store, v) for v in (1, BATCHES // 2, BATCHES)}


def objects_read(store, monkeypatch):
    """Digests of the objects that reading the newest version takes."""
    read, get = [], BlobStore.get
    with monkeypatch.context() as patch:
        patch.setattr(BlobStore, "get", lambda *a: read.append(a[1]) or get(*a))
        frame = datasets.read(store, BATCHES)
    return frame, read


def rows_of(store, batch):
    with store.read() as connection:
        found = parts.parts(connection, [batch])
    ((_, table),) = parts.each(store, found, VALUES)
    return table.to_pandas()


def test_a_version_of_packed_batches_is_the_same_and_one_object(filled, monkeypatch):
    before, batch = versions(filled), rows_of(filled, 3)
    assert len(objects_read(filled, monkeypatch)[1]) == 2 * BATCHES
    assert packing.pack(filled) == BATCHES
    frame, read = objects_read(filled, monkeypatch)
    assert len(read) == 1
    for version, rows in before.items():
        pd.testing.assert_frame_equal(datasets.read(filled, version), rows)
    pd.testing.assert_frame_equal(rows_of(filled, 3), batch)
    profiles.record_or_verify(filled, BATCHES, frame)
    assert packing.pack(filled) == 0, "packed once"


def test_batches_are_withdrawn_restored_and_rolled_back_from_a_pack(filled, districts):
    before = versions(filled)
    packing.pack(filled)
    withdrawn = copies.withdraw(filled, 3, reason="wrong").version
    left = datasets.read(filled, withdrawn.id)
    assert len(left) < len(before[BATCHES])
    copies.roll_back(filled, BATCHES // 2, reason="to the middle")
    half = datasets.read(filled, withdrawn.id + 1)
    pd.testing.assert_frame_equal(half, before[BATCHES // 2])
    copies.roll_back(filled, withdrawn.id, reason="forward")
    datasets.restore(filled, 3, reason="right after all")
    pd.testing.assert_frame_equal(datasets.read(filled, withdrawn.id + 3), before[BATCHES])
    newest = districts(range(10 * BATCHES - 10, 10 * BATCHES))
    assert counted(CurrentRows(filled).compare(newest)) == (0, 0, 10)
    assert counted(CurrentRows(filled).compare(districts([10], revision=99))) == (0, 1, 0)


def test_ids_and_times_of_rows_are_packed_and_compared(store, districts, add_batch, monkeypatch):
    for number in range(packing.LOOSE):
        frame = districts(range(10 * number, 10 * number + 10))
        ids = pd.Series([f"a{key}" for key in frame[KEY_COLUMN]]).where(frame.index % 3 > 0, None)
        times = pd.to_datetime(pd.Series(["2024-12-31T06:00:00Z", None] * 5), utc=True)
        times = times.astype("datetime64[us, UTC]")
        add_batch(store, frame.assign(district_id=ids, surveyed_at=times))
        append(store)
    before = datasets.read(store, packing.LOOSE)
    get = packing.get_table
    for column in ("district_id", "surveyed_at"):
        with monkeypatch.context() as patch:

            def read_back(*given, column=column):
                table = get(*given)
                at = table.column_names.index(column)
                nulls = pa.nulls(len(table), table.schema.field(at).type)
                return table.set_column(at, column, nulls)

            patch.setattr(packing, "get_table", read_back)
            with pytest.raises(Corrupt, match="has other rows"):
                packing.pack(store)
    assert packing.pack(store) == packing.LOOSE
    pd.testing.assert_frame_equal(datasets.read(store, packing.LOOSE), before)


def test_the_newest_pack_is_extended(filled, districts, add_batch, monkeypatch):
    packing.pack(filled)
    for number in range(packing.LOOSE):
        assert packing.pack(filled) == 0, "too few to pack"
        add_batch(filled, districts(range(1000 + number, 1003 + number)))
        append(filled)
    version = BATCHES + packing.LOOSE
    rows = datasets.read(filled, version)
    assert packing.pack(filled) == packing.LOOSE
    pd.testing.assert_frame_equal(datasets.read(filled, version), rows)
    with filled.read() as connection:
        assert len(set(connection.scalars(sa.select(packed_batches.c.pack)))) == 1
    monkeypatch.setattr(packing, "PACK_ROWS", 50)  # it is full now: new batches begin others
    for number in range(packing.LOOSE):
        add_batch(filled, districts(range(2000 + 10 * number, 2010 + 10 * number)))
        append(filled)
    rows = datasets.read(filled, version + packing.LOOSE)
    assert packing.pack(filled) == packing.LOOSE
    pd.testing.assert_frame_equal(datasets.read(filled, version + packing.LOOSE), rows)
    with filled.read() as connection:
        assert len(set(connection.scalars(sa.select(packed_batches.c.pack)))) == 5


def test_a_process_that_dies_before_the_switch_changes_nothing(filled, monkeypatch):
    before = versions(filled)
    with monkeypatch.context() as patch:
        patch.setattr(packing, "record_blob", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            packing.pack(filled)
    with filled.read() as connection:
        assert connection.execute(sa.select(packed_batches)).first() is None
    for version, rows in before.items():
        pd.testing.assert_frame_equal(datasets.read(filled, version), rows)
    assert packing.pack(filled) == BATCHES


def newest_pack(store):
    with store.read() as connection:
        newest = packed_batches.c.packed_at.desc()
        return connection.scalar(sa.select(packed_batches.c.pack).order_by(newest).limit(1))


def test_a_pack_that_cannot_be_copied_to_the_backup_is_not_used(filled):
    before, location = versions(filled), Path(filled.backup.url)
    aside = location.rename(location.with_name("aside")) if location.exists() else None
    location.touch()  # a file, where the disk should be mounted
    with pytest.raises(StoreUnavailable, match="HOUSING_BACKUP_URL"):
        packing.pack(filled)
    assert newest_pack(filled) is None
    for version, rows in before.items():
        pd.testing.assert_frame_equal(datasets.read(filled, version), rows)
    location.unlink()
    if aside is not None:
        aside.rename(location)
    assert packing.pack(filled) == BATCHES


def test_a_lost_pack_is_copied_back_before_the_next_backup(filled, districts, add_batch):
    packing.pack(filled)
    first, before = newest_pack(filled), versions(filled)
    Path(filled.blobs.path(first, "parquet")).unlink()
    assert heal(filled).healed == (first,)
    for version, rows in before.items():
        pd.testing.assert_frame_equal(datasets.read(filled, version), rows)
    for number in range(packing.LOOSE):
        add_batch(filled, districts(range(1000 + 10 * number, 1010 + 10 * number)))
        append(filled)
    packing.pack(filled)
    extended, rows = newest_pack(filled), datasets.read(filled, BATCHES + packing.LOOSE)
    Path(filled.blobs.path(extended, "parquet")).unlink()
    assert heal(filled).healed == (extended,)
    pd.testing.assert_frame_equal(datasets.read(filled, BATCHES + packing.LOOSE), rows)


def test_rows_that_are_not_those_of_the_batch_are_never_packed_again(filled, districts, add_batch):
    packing.pack(filled)
    with filled.write() as connection:
        wrong = packed_batches.update().where(packed_batches.c.batch == 2)
        connection.execute(wrong.values(digest="0" * 64))
    for number in range(packing.LOOSE):
        add_batch(filled, districts(range(1000 + number, 1003 + number)))
        append(filled)
    with pytest.raises(Corrupt, match="b2 has other rows"):
        packing.pack(filled)


def test_daily_packing_leaves_no_more_objects_than_one(
    filled, settings, districts, add_batch, monkeypatch
):
    """A prune deletes what a packing replaced before it packs again."""
    monkeypatch.setattr(packing, "LOOSE", 1)
    objects = []
    for day in range(5):
        for module in (packing, prune, retention):
            monkeypatch.setattr(
                module, "utc_now", lambda day=day: tables.utc_now() + day * timedelta(hours=23.9)
            )
        add_batch(filled, districts(range(1000 + 10 * day, 1010 + 10 * day)))
        append(filled)
        backup.create(filled, settings)
        prune.prune(filled, settings)
        objects.append(len([*filled.blobs.names()]))
    assert objects[0] > 2 * BATCHES
    assert max(objects[2:]) < 12, objects
    assert len(datasets.read(filled, BATCHES + 5)) == 10 * (BATCHES + 5)
