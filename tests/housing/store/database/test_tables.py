"""What the database itself refuses, whoever asks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from housing.records import Candidate, Score, Trial
from housing.store.data import datasets, split
from housing.store.database.tables import (
    APPEND_ONLY,
    backup_copies,
    batches,
    metadata,
    prediction_batches,
    runs,
    utc_now,
)
from housing.store.models import registry, searches
from housing.store.models.registry import Change
from housing.store.objects.recording import record_blob
from housing.training.split import SplitRule


@pytest.fixture
def filled(store, districts, add_batch, add_model):
    """A store with at least one row in each append-only table."""
    batch = add_batch(store, districts(range(10)))
    version = datasets.append_waiting(store, reason="test", run=None).id
    split.split_batch(store, batch, SplitRule(0.2, 42))
    model = add_model(store, version)
    trial = Trial(Candidate(0, "test", {"depth": 3}), (1.0, 2.0), seconds=0.1)
    with store.read() as connection:
        search = registry.model(connection, model).search
    searches.record_score(store, search, Score(0, 0, 1.0, 0.1))
    searches.record(store, search, trial)
    registry.change_champion(store, Change("promote", model, None, "test", "test"))
    return store


def rows(store, table):
    with store.read() as connection:
        return connection.execute(sa.select(table)).all()


@pytest.mark.parametrize("table", APPEND_ONLY, ids=lambda table: table.name)
def test_history_cannot_be_changed(filled, table):
    before = rows(filled, table)
    assert before
    column = list(table.c)[-1].name
    statements = [
        f'UPDATE {table.name} SET "{column}" = "{column}"',
        f"DELETE FROM {table.name}",
    ]
    if filled.engine.dialect.name == "postgresql":
        statements.append(f"TRUNCATE {table.name} CASCADE")
    else:
        statements.append(f"REPLACE INTO {table.name} SELECT * FROM {table.name}")
    for statement in statements:
        with (
            pytest.raises(sa.exc.DBAPIError, match=r"is append-only"),
            filled.write() as connection,
        ):
            connection.exec_driver_sql(statement)
        assert rows(filled, table) == before


def test_the_history_of_decisions_is_append_only():
    assert {table.name for table in APPEND_ONLY} >= {
        "promotion_log", "split_sides", "batch_splits", "stratum_counts", "dataset_versions",
        "fold_scores", "trials",
    }  # fmt: skip


def test_a_link_to_nothing_is_refused(store):
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            assert key.column.table.name in metadata.tables
    dangling = backup_copies.insert().values(digest="0" * 64, url="x", verified_at=utc_now())
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        connection.execute(dangling)


def test_batches_of_a_version_cannot_be_deleted(filled):
    with pytest.raises(sa.exc.IntegrityError), filled.write() as connection:
        connection.execute(batches.delete())


def test_times_come_back_in_utc_whatever_zone_they_had(store):
    berlin = timezone(timedelta(hours=2))
    when = datetime(2026, 7, 1, 2, 30, 15, 123456, tzinfo=berlin)
    values = {"kind": "t", "status": "t", "parameters": {}, "actor": "t", "started_at": when}
    with store.write() as connection:
        connection.execute(runs.insert().values(**values))
    (row,) = rows(store, runs)
    assert row.started_at == when
    assert row.started_at.tzinfo is UTC
    with store.read() as connection:  # and compare as instants in SQL
        later = sa.select(runs.c.id).where(runs.c.started_at > when - timedelta(microseconds=1))
        assert connection.execute(later).all()
        assert not connection.execute(sa.select(runs.c.id).where(runs.c.started_at > when)).all()


def test_a_time_without_a_zone_is_refused(store):
    values = {"kind": "t", "status": "t", "parameters": {}, "actor": "t"}
    naive = datetime(2026, 7, 1)
    with pytest.raises(sa.exc.StatementError, match="without a zone"), store.write() as connection:
        connection.execute(runs.insert().values(started_at=naive, **values))


def test_the_views_answer_the_common_questions(filled):
    with filled.read() as connection:
        champion = connection.execute(sa.text("SELECT * FROM current_champion")).one()
        dataset = connection.execute(sa.text("SELECT * FROM current_dataset")).one()
        assert connection.execute(sa.text("SELECT * FROM nightly_runs")).all() == []
    assert (champion.operation, champion.actor) == ("promote", "test")
    assert (dataset.version, dataset.operation, dataset.rows) == (1, "append", None)


def test_the_number_of_an_expired_prediction_batch_is_never_used_again(store):
    """The monitor's cursor is such a number: a reused one would be skipped as seen."""

    def add():
        with store.write() as connection:
            blob = record_blob(connection, store.blobs.put(b"rows", "parquet"), "predictions")
            row = {
                "segment": blob, "rows": 1, "models": {}, "has_inputs": True,
                "first_at": utc_now(), "last_at": utc_now(), "recorded_at": utc_now(),
            }  # fmt: skip
            new = prediction_batches.insert().values(**row).returning(prediction_batches.c.id)
            return connection.execute(new).scalar_one()

    first = add()
    with store.write() as connection:
        connection.execute(prediction_batches.delete())
    assert add() > first
