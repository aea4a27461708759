"""The migration after which SQLite gives no number of answers twice."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from housing.store.blobs import BlobStore
from housing.store.engine import Store, create_engine
from housing.store.opening import migrate

ROW = "INSERT INTO prediction_batches VALUES (3, 'abc', 5, '{}', 1, 'x', 'y', 'z')"
BLOB = """
INSERT INTO blobs (digest, kind, size, suffix, created_at) VALUES ('abc', 'answers', 5, 'p', 'z')"""
LOOK = """
INSERT INTO monitor_windows
    (id, model, source, rows, labelled, cursor, signals, errors, actions, recorded_at)
VALUES (?, 1, ?, 5, 0, ?, '{}', '[]', '{}', 'z')"""


@pytest.fixture
def older(tmp_path: Path) -> Store:
    """A store as the release before left it, without rows."""
    blobs = BlobStore(str(tmp_path / "blobs"))
    url = f"sqlite:///{tmp_path / 'old.db'}"
    store = Store(create_engine(url), blobs, blobs, signer=None)  # type: ignore[arg-type]
    migrate(store, "0006")
    return store


def _migrated(store: Store, path: Path, statements: list[tuple[str, tuple[object, ...]]]) -> int:
    """The number of the next batch of answers after the migration."""
    with closing(sqlite3.connect(path)) as plain, plain:  # which does not ask for the links' ends
        for statement, values in [(BLOB, ()), *statements]:
            plain.execute(statement, values)
    migrate(store)
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute(ROW.replace("(3,", "(NULL,"))
        (number,) = plain.execute("SELECT max(id) FROM prediction_batches").fetchone()
    store.close()
    return int(number)


def test_rows_and_index_stay(older: Store, tmp_path: Path) -> None:
    assert _migrated(older, tmp_path / "old.db", [(ROW, ())]) == 4
    with closing(sqlite3.connect(tmp_path / "old.db")) as plain:
        first = plain.execute("SELECT * FROM prediction_batches WHERE id = 3").fetchone()
        indexes = {row[1] for row in plain.execute("PRAGMA index_list(prediction_batches)")}
        links = plain.execute("PRAGMA foreign_key_list(prediction_batches)").fetchall()
    assert first == (3, "abc", 5, "{}", 1, "x", "y", "z")
    assert "ix_prediction_batches_last" in indexes
    assert [link[2:5] for link in links] == [("blobs", "segment", "digest")]


def test_it_counts_on_from_what_the_monitor_has_looked_at(older: Store, tmp_path: Path) -> None:
    """All of those may have expired before the migration."""
    looks = [
        (LOOK, (1, "answers", '{"batch": 9, "labels_at": ""}')),
        (LOOK, (2, "batches", '{"batch": 70}')),
    ]
    assert _migrated(older, tmp_path / "old.db", [*looks, (ROW, ())]) == 10
