"""Models as bytes: nothing is deserialised before its digest was checked."""

import numpy as np
import pytest

from housing.errors import BlobMissing, Corrupt
from housing.store import artifacts, backup
from housing.store.blobs import BlobStore
from housing.store.segments import record_blob
from housing.store.tables import backup_copies


class Doubling:
    """A model that says twice the population."""

    factor = 2.0

    def predict(self, rows):
        return rows["population"].to_numpy() * self.factor


class Bomb:
    """Leaves a trace when it is deserialised."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (type(self.trace).write_text, (self.trace, "it went off"))


def keep(store, blob, kind="model"):
    with store.write() as connection:
        record_blob(connection, blob, kind)
    return blob.digest


def test_a_model_comes_back_and_predicts_the_same(store, districts):
    digest = keep(store, artifacts.put_model(store, Doubling()))
    rows = districts(range(5))
    model = artifacts.get_model(store, digest)
    assert (model.predict(rows) == Doubling().predict(rows)).all()


def test_a_tampered_model_is_not_deserialised(store, tmp_path):
    trace = tmp_path / "trace"
    digest = keep(store, artifacts.put_model(store, Doubling()))
    evil = artifacts.put_model(store, Bomb(trace))
    path = store.blobs.path(digest, artifacts.FORMAT)
    store.blobs._fs.cp_file(store.blobs.path(evil.digest, evil.suffix), path)
    with pytest.raises(Corrupt, match=digest):
        artifacts.get_model(store, digest)
    assert not trace.exists()
    artifacts.get_model(store, keep(store, evil))
    assert trace.exists()  # so the bomb would have gone off


def test_golden_rows_tell_whether_a_model_still_says_the_same(store, districts):
    rows, model = districts(range(10)), Doubling()
    digest = keep(store, artifacts.put_golden(store, rows, model.predict(rows)), "golden")
    assert artifacts.replay_golden(store, digest, model.predict) == 0.0
    for factor in (2.0 * (1 + 1e-8), float("nan")):
        model.factor = factor
        with pytest.raises(Corrupt, match="golden predictions differ") as caught:
            artifacts.replay_golden(store, digest, model.predict)
        assert caught.value.exit_code == 5


def test_a_backup_is_a_second_copy_that_was_read_back(store):
    digests = [keep(store, store.blobs.put(bytes([i]) * 100, "bin"), "model") for i in range(3)]
    assert backup.copy_verified(store, [*digests, digests[0]]) == 300
    second = BlobStore(store.backup.url)
    assert [second.get(d, "bin")[:1] for d in digests] == [b"\0", b"\1", b"\2"]
    with store.read() as connection:
        first = connection.execute(backup_copies.select()).all()
    assert {row.digest for row in first} == set(digests)
    store.backup._fs.pipe_file(store.backup.path(digests[0], "bin"), b"damaged")
    backup.copy_verified(store, digests)  # heals it, and says when
    assert second.get(digests[0], "bin") == b"\0" * 100
    with store.read() as connection:
        again = connection.execute(backup_copies.select()).all()
    assert len(again) == 3
    assert min(row.verified_at for row in again) > max(row.verified_at for row in first)


def test_a_backup_of_what_is_damaged_or_unknown_is_refused(store):
    digest = keep(store, store.blobs.put(b"x", "bin"))
    with pytest.raises(Corrupt, match="does not know"):
        backup.copy_verified(store, [digest, "f" * 64])
    store.blobs._fs.rm(store.blobs.path(digest, "bin"))
    with pytest.raises(BlobMissing):
        backup.copy_verified(store, [digest])
    with store.read() as connection:
        assert connection.execute(backup_copies.select()).all() == []


def test_frames_come_back_unchanged_and_as_the_same_bytes(store, districts):
    from housing.store.segments import get_sides, get_table, put_frame, put_sides, to_frame

    frame = districts(range(300))
    blob = put_frame(store, frame)
    assert put_frame(store, frame.copy()) == blob
    assert put_frame(store, frame.set_index(frame.index + 7)) == blob  # the index is not kept
    back = to_frame(get_table(store, blob.digest))
    assert back.equals(frame)
    assert dict(back.dtypes) == dict(frame.dtypes)
    assert get_table(store, blob.digest, ["population", "nosuch"]).column_names == ["population"]
    sides = np.arange(300) % 5 == 0
    assert (get_sides(store, put_sides(store, sides).digest) == sides).all()


def test_a_segment_that_is_no_table_is_corrupt(store):
    from housing.store.segments import get_table

    blob = store.blobs.put(b"not a table", "parquet")
    with pytest.raises(Corrupt, match=blob.digest[:12]):
        get_table(store, blob.digest)
