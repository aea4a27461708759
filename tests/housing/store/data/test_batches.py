"""Deliveries: kept once, with their rejected rows, and taken when a person says so."""

import dataclasses

import pandas as pd
import pytest
import sqlalchemy as sa

from housing.errors import NotPossible, UnknownId
from housing.records import Rejection
from housing.store.data import batches, datasets
from housing.store.data.batches import BatchLookup, NewBatch
from housing.store.data.segments import get_table, to_frame
from housing.store.database.tables import batches as batches_table
from housing.store.database.tables import blobs
from housing.store.runs import runs


@pytest.fixture
def new(districts):
    return NewBatch(
        source="landing",
        name="july.csv",
        digest="a" * 64,
        size=123,
        simulated=False,
        watermark=None,
        read=5,
        accepted=districts([1, 2, 3]),
        rejected=pd.DataFrame({"line": [4, 5], "code": ["range", "range"]}),
        rejections=(Rejection("range", "population", 2, "line 4: population -1"),),
        status="accepted",
        message="3 of 5 rows came in.",
    )


def row_of(store, batch):
    with store.read() as connection:
        return batches.get(connection, batch)


def count(store, table):
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def test_a_delivery_is_kept_with_its_rejected_rows(store, new):
    summary = batches.add(store, new, run=None)
    assert summary == batches.summary(row_of(store, summary.id))
    assert (summary.status, summary.read, summary.accepted, summary.rejected) == (
        "accepted", 5, 3, 2,
    )  # fmt: skip
    assert summary.rejections == new.rejections
    row = row_of(store, summary.id)
    pd.testing.assert_frame_equal(to_frame(get_table(store, row.segment)), new.accepted)
    pd.testing.assert_frame_equal(get_table(store, row.rejected).to_pandas(), new.rejected)


def test_the_same_content_again_is_a_no_op(store, new):
    first = batches.add(store, new, run=None)
    again = batches.add(store, dataclasses.replace(new, name="copy.csv"), run=None)
    assert (again.id, again.status) == (first.id, "unchanged")
    assert f"b{first.id}" in again.message
    assert count(store, batches_table) == 1


def test_equal_rows_in_two_deliveries_share_one_blob(store, new):
    one = batches.add(store, new, run=None)
    two = batches.add(store, dataclasses.replace(new, digest="b" * 64), run=None)
    assert row_of(store, one.id).segment == row_of(store, two.id).segment
    assert count(store, blobs) == 2


def test_a_delivery_without_a_good_row_is_kept_and_waits_for_nothing(store, new):
    summary = batches.add(store, dataclasses.replace(new, accepted=new.accepted[:0]), run=None)
    assert row_of(store, summary.id).segment is None
    with store.read() as connection:
        assert datasets.waiting(connection) == ()


def test_a_quarantined_delivery_waits_for_a_person(store, new):
    batch = batches.add(store, dataclasses.replace(new, status="quarantined"), run=None)
    assert batch.status == "quarantined"
    with store.read() as connection:
        assert datasets.waiting(connection) == ()
    batches.release_quarantined(store, batch.id)
    with store.read() as connection:
        assert datasets.waiting(connection) == (batch.id,)
    with pytest.raises(NotPossible, match="released, not quarantined"):
        batches.release_quarantined(store, batch.id)
    with pytest.raises(UnknownId, match="b99"):
        batches.release_quarantined(store, 99)


def test_sources_can_ask_what_was_there_before(store, new):
    seen = BatchLookup(store)
    assert seen.batch_with(new.digest) is None
    assert seen.watermark("landing") is None
    assert not seen.has_batch_of("census")
    marks = ["2026-01-01", "2026-01-02", None]
    for i, watermark in enumerate(marks):
        delivery = dataclasses.replace(new, digest=f"{i}" * 64, watermark=watermark)
        assert seen.batch_with(delivery.digest) is None
        batch = batches.add(store, delivery, run=None)
        assert seen.batch_with(delivery.digest).batch == batch.id
    assert seen.watermark("landing") == "2026-01-02"
    assert seen.watermark("sql") is None
    batches.add(store, dataclasses.replace(new, source="census", digest="c" * 64), run=None)
    assert seen.has_batch_of("census")


def test_recent_row_counts_are_of_one_source_and_of_accepted_batches(store, new):
    for i, (source, read, status) in enumerate(
        [
            ("a", 51, "accepted"), ("a", 52, "quarantined"), ("b", 53, "accepted"),
            ("a", 54, "released"), ("a", 55, "rejected"), ("a", 0, "empty"),
            ("a", 49, "accepted"), ("a", 56, "unchanged"), ("a", 57, "discarded"),
        ]
    ):  # fmt: skip
        made = dataclasses.replace(new, source=source, read=read, status=status, digest=f"{i:064}")
        batches.add(store, made, run=None)
    with store.read() as connection:
        assert batches.recent_row_counts(connection, "a", 10, at_least=50) == (51, 54)
        assert batches.recent_row_counts(connection, "a", 1, at_least=50) == (54,)
        assert batches.recent_row_counts(connection, "a", 2, at_least=1) == (54, 49)
        assert batches.recent_row_counts(connection, "c", 2, at_least=1) == ()


def test_batches_of_later_runs_are_listed(store, new):
    with store.write() as connection:
        ids = [runs.start(connection, "nightly", {}) for _ in range(3)]
    for i, run in enumerate(ids):
        batches.add(store, dataclasses.replace(new, digest=f"{i:064}"), run=run)
    with store.read() as connection:
        assert [row.run for row in batches.ingested_after(connection, ids[0])] == ids[1:]
