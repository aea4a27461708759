"""Answers that the server no longer keeps, and what prune, doctor and backups make of it."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from housing.errors import BlobMissing
from housing.operations import backup, doctor, prune
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, utc_now
from housing.store.runs import predictions
from tests.housing.operations.test_backup import elsewhere
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen

AREAS = ("database", "objects", "orphans", "signatures")


@pytest.fixture
def answered(original: Store) -> Store:
    """A store with answers of forty days ago and of today."""
    for days in (40, 0):
        at = pd.Timestamp(utc_now() - timedelta(days=days)).floor("us")
        frame = pd.DataFrame({"#at": [at] * 3, "#model": 2, "#key": range(3), "#predicted": 1e5})
        predictions.add(original, frame, has_inputs=False)
    return original


def _expire(store: Store) -> int:
    return predictions.expire(store, utc_now() - timedelta(days=30))


def _found(store: Store, settings: Settings) -> list[str]:
    return [f.what for f in doctor.examine(store, settings).findings if f.area in AREAS]


@pytest.mark.system
def test_pruned_predictions_are_not_reported_as_lost(
    answered: Store, seen: Settings, tmp_path: Path
) -> None:
    before = backup.create(answered, seen)
    assert _expire(answered) == 1
    assert _found(answered, seen) == []
    assert prune.prune(answered, seen).blobs == 0, "they went already"
    after = backup.create(answered, seen)
    assert after.blobs == before.blobs - 1
    for snapshot in (before, after):
        assert backup.verify(answered, snapshot.id).problems == ()
    there = elsewhere(tmp_path, signing_key=answered.signer.key_to_keep())
    backup.restore(there, before.id)
    with open_store(there) as store:
        assert _found(store, there) == []
        assert _expire(store) == 1, "the older snapshot still had them"
        assert _found(store, there) == []


@pytest.mark.system
def test_a_server_that_died_between_marking_and_deleting(
    answered: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(type(answered.blobs), "remove", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            _expire(answered)
    (finding,) = [f for f in doctor.examine(answered, seen).findings if f.area in AREAS]
    assert (finding.severity, finding.fix) == ("warning", "`housing prune`")
    assert prune.prune(answered, seen).blobs == 1
    assert _found(answered, seen) == []


def test_predictions_are_pruned_while_a_backup_is_made(
    answered: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = backup.copy_new, []

    def copy_while_they_go(store, wanted):  # type: ignore[no-untyped-def]
        calls.append(_expire(answered))
        return real(store, wanted)

    monkeypatch.setattr(backup, "copy_new", copy_while_they_go)
    snapshot = backup.create(answered, seen)
    assert calls == [1, 0]
    assert backup.verify(answered, snapshot.id).problems == ()


def test_a_missing_object_that_was_not_pruned_is_reported(answered: Store, seen: Settings) -> None:
    with answered.read() as connection:
        row = connection.execute(blobs.select().where(blobs.c.kind == "answers")).first()
    assert row is not None
    Path(answered.blobs.path(row.digest, row.suffix)).unlink()
    with pytest.raises(BlobMissing):
        backup.create(answered, seen)


def test_numbers_of_pruned_predictions_are_never_reused(answered: Store) -> None:
    """The monitor remembers up to which number it has looked."""
    with answered.read() as connection:
        numbers = [row.id for row in predictions.since(connection, 0)]
    predictions.expire(answered, utc_now() + timedelta(days=1))
    at = pd.Timestamp(utc_now())
    frame = pd.DataFrame({"#at": [at], "#model": 2, "#key": 1, "#predicted": 1e5})
    predictions.add(answered, frame, has_inputs=False)
    with answered.read() as connection:
        (new,) = predictions.since(connection, max(numbers))
    assert new.id > max(numbers)
