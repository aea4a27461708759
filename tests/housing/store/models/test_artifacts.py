"""Models as bytes: nothing is deserialised before its digest and signature were checked."""

import io
import stat
import zipfile

import joblib
import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.cluster import Birch
from sklearn.linear_model import LinearRegression

from housing import schema
from housing.errors import (
    BlobMissing,
    Corrupt,
    KeyMissing,
    NotPossible,
    SettingsInvalid,
    SignatureWrong,
    StoreUnavailable,
    WrongKey,
)
from housing.settings import load_settings
from housing.store.backups import replication
from housing.store.database.open import open_store
from housing.store.database.tables import backup_copies, blobs
from housing.store.models import artifacts, skops_format
from housing.store.objects.blobs import BlobStore
from housing.store.objects.recording import record_blob
from housing.training.candidates import FAMILIES
from housing.training.search import sample_candidates
from housing.training.search_config import SearchPlan
from tests.fixtures.small_settings import landing_rows
from tests.housing.training.families import SMALL, fit


class Doubling(LinearRegression):
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


def pack(plain):
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(plain)
    return packed.getvalue().to_pybytes()


def pickled(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return pack(buffer.getvalue())


def line():
    return LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])


@pytest.fixture
def on_disk(settings):
    """A store on the disk alone; these checks come before SQL's dialect matters."""
    with open_store(load_settings(database_url=f"sqlite:///{settings.home}/disk.db")) as opened:
        yield opened


# --- what is stored comes back --------------------------------------------------------------


@pytest.mark.parametrize("ensemble_size", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_each_family_comes_back_and_predicts_the_same(family, ensemble_size, home):
    rows = landing_rows(0, 300)
    X, y = rows[list(schema.FEATURES)].astype(schema.dtypes(schema.FEATURES)), rows[schema.TARGET]
    candidate = sample_candidates(
        SearchPlan(families=(family,), n_trials=1, seed=ensemble_size), SMALL
    )[0]
    with open_store(load_settings()) as store:
        stored = []
        for _ in range(2):
            model = fit(
                X[:200], y[:200], candidate, seed=1, ensemble_size=ensemble_size, families=SMALL
            )
            stored.append(artifacts.put_model(store, model))
        assert stored[0] == stored[1], "the same model must be the same bytes"
        assert stored[0].suffix == artifacts.FORMAT
        again = artifacts.get_model(store, keep(store, stored[0]))
    assert np.array_equal(again.predict(X), model.predict(X))


def test_members_of_a_bag_are_stored_once(home):
    rows = landing_rows(0, 300)
    X, y = rows[list(schema.FEATURES)].astype(schema.dtypes(schema.FEATURES)), rows[schema.TARGET]
    drawn = sample_candidates(SearchPlan(families=("tree",), n_trials=1))[0]
    with open_store(load_settings()) as store:
        ensemble = fit(X, y, drawn, seed=1, ensemble_size=3)
        again = artifacts.get_model(store, keep(store, artifacts.put_model(store, ensemble)))
    assert [again.named_estimators_[name] for name, _ in ensemble.estimators] == again.estimators_
    plain = skops_format.dump(ensemble, artifacts.trusted_types())
    arrays = [n for n in zipfile.ZipFile(io.BytesIO(plain)).namelist() if n.endswith(".npy")]
    raw = zipfile.ZipFile(io.BytesIO(skops.io.dumps(ensemble))).namelist()
    assert len(arrays) < 0.7 * len(raw)


def test_a_model_that_skops_cannot_store_is_stored_by_joblib_and_signed(on_disk):
    model = Birch(n_clusters=2).fit([[0.0], [1.0], [9.0]])
    blob = artifacts.put_model(on_disk, model)
    assert blob.suffix == artifacts.PICKLED
    again = artifacts.get_model(on_disk, keep(on_disk, blob))
    assert again.predict([[0.0], [9.0]]).tolist() == model.predict([[0.0], [9.0]]).tolist()


# --- what is refused ------------------------------------------------------------------------


def test_a_type_that_is_not_listed_is_neither_stored_nor_loaded(on_disk, monkeypatch):
    model = Doubling().fit([[0.0], [1.0]], [1.0, 3.0])
    with pytest.raises(NotPossible, match=r"test_artifacts\.Doubling.*trusted_types\.py"):
        artifacts.put_model(on_disk, model)
    name = f"{Doubling.__module__}.Doubling"
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "trusted_types", lambda: (name,))
        digest = keep(on_disk, artifacts.put_model(on_disk, model))
        assert isinstance(artifacts.get_model(on_disk, digest), Doubling)
    with pytest.raises(Corrupt, match="Untrusted"):
        artifacts.get_model(on_disk, digest)


def test_a_tampered_model_is_not_deserialised(on_disk, tmp_path):
    trace = tmp_path / "trace"
    blob = artifacts.put_model(on_disk, Birch())
    digest = keep(on_disk, blob)
    path = on_disk.blobs.path(digest, blob.suffix)
    on_disk.blobs._fs.pipe_file(path, pickled(Bomb(trace)))
    with pytest.raises(Corrupt, match=digest):
        artifacts.get_model(on_disk, digest)
    assert not trace.exists()


def test_a_pickle_that_is_not_signed_is_not_deserialised(on_disk, tmp_path):
    """Whoever can write to the blobs and to SQL, and has no key."""
    trace = tmp_path / "trace"
    evil = on_disk.blobs.put(pickled(Bomb(trace)), artifacts.PICKLED)
    keep(on_disk, evil)
    artifacts.put_model(on_disk, line())  # so there is a key
    signature = artifacts.put_model(on_disk, Birch()).signature
    forged = f"{signature.partition(':')[0]}:{'0' * 64}"
    for claimed in (None, signature, forged):
        with on_disk.write() as connection:
            connection.execute(blobs.update().values(signature=claimed))
        with pytest.raises(SignatureWrong):
            artifacts.get_model(on_disk, evil.digest)
        assert not trace.exists()
    with on_disk.write() as connection:
        right = artifacts.signed(on_disk, evil).signature
        connection.execute(blobs.update().values(signature=right))
    artifacts.get_model(on_disk, evil.digest)
    assert trace.exists()  # so the bomb would have gone off


def test_one_format_is_not_read_as_the_other(on_disk):
    digest = keep(on_disk, artifacts.put_model(on_disk, line()))
    with on_disk.write() as connection:
        connection.execute(blobs.update().values(suffix=artifacts.PICKLED))
    with pytest.raises(SignatureWrong):
        artifacts.get_model(on_disk, digest)


def test_another_key_and_no_key_are_named(on_disk):
    digest = keep(on_disk, artifacts.put_model(on_disk, line()))
    file = on_disk.signer.file
    ours = on_disk.signer.key_id()
    settings = load_settings(
        database_url=f"sqlite:///{on_disk.engine.url.database}", signing_key="k" * 40
    )
    with (
        open_store(settings) as other,
        pytest.raises(WrongKey, match=rf"{ours}.*HOUSING_SIGNING_KEY") as caught,
    ):
        artifacts.get_model(other, digest)
    assert "k" * 40 not in str(caught.value)
    file.unlink()
    with pytest.raises(KeyMissing, match=rf"{ours}.*signing\.key"):
        artifacts.get_model(on_disk, digest)


def test_the_same_key_by_file_and_by_setting(on_disk):
    digest = keep(on_disk, artifacts.put_model(on_disk, line()))
    key = on_disk.signer.file.read_text()
    on_disk.signer.file.unlink()
    settings = load_settings(
        database_url=f"sqlite:///{on_disk.engine.url.database}", signing_key=key
    )
    with open_store(settings) as other:
        assert artifacts.get_model(other, digest).predict([[2.0]]) == pytest.approx([5.0])


def test_the_key_is_made_at_first_use_for_its_owner_alone(on_disk):
    file = on_disk.signer.file
    assert not file.exists()
    artifacts.put_model(on_disk, line())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["signing.key"]
    assert not str(file).startswith(on_disk.blobs.url)


SIGN = """
import sys
from pathlib import Path
from housing.store.objects.signing import Signer

signer = Signer(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(signer.sign("text"), flush=True)
"""


def test_processes_that_make_the_key_at_once_use_the_same(child, tmp_path):
    for number in range(5):
        file = tmp_path / str(number) / "signing.key"
        signers = [child(SIGN, file) for _ in range(4)]
        for signer in signers:
            assert signer.stdout.readline() == "ready\n"
        for signer in signers:
            signer.stdin.write("\n")
            signer.stdin.flush()
        assert len({signer.stdout.readline() for signer in signers}) == 1


@pytest.mark.either_database
@pytest.mark.parametrize("text", ["", "short", "\x00" * 3])
def test_a_damaged_key_file_is_named(on_disk, text):
    on_disk.signer.file.parent.mkdir(parents=True)
    on_disk.signer.file.write_text(text)
    with pytest.raises(StoreUnavailable, match=r"signing\.key.*fewer than 32"):
        artifacts.put_model(on_disk, line())


def test_a_short_key_is_no_setting(home):
    with pytest.raises(SettingsInvalid, match="HOUSING_SIGNING_KEY") as caught:
        load_settings(signing_key="correct horse")
    assert "correct horse" not in str(caught.value)


def test_a_model_that_this_environment_cannot_load_is_named(on_disk):
    blob = artifacts.signed(on_disk, on_disk.blobs.put(pack(b"no zip at all"), artifacts.FORMAT))
    digest = keep(on_disk, blob)
    with pytest.raises(Corrupt, match="loading it fails"):
        artifacts.get_model(on_disk, digest)


# --- golden rows, backups, frames -----------------------------------------------------------


def test_golden_rows_detect_changed_predictions(store, districts):
    rows, model = districts(range(10)), Doubling()
    digest = keep(store, artifacts.put_golden(store, rows, model.predict(rows)), "golden")
    assert artifacts.replay_golden(store, digest, model.predict) == 0.0
    for factor in (2.0 * (1 + 1e-8), float("nan")):
        model.factor = factor
        with pytest.raises(Corrupt, match="golden predictions differ") as caught:
            artifacts.replay_golden(store, digest, model.predict)
        assert caught.value.exit_code == 5


@pytest.mark.parametrize("then", [[0.0, 5.0, 10.0], [0.0, 0.0, 0.0]])
def test_a_golden_prediction_may_be_zero(store, districts, then):
    rows, predicted = districts(range(3)), np.array(then)
    digest = keep(store, artifacts.put_golden(store, rows, predicted), "golden")
    assert artifacts.replay_golden(store, digest, lambda _: predicted) == 0.0
    assert artifacts.replay_golden(store, digest, lambda _: predicted + 1e-12) < 1e-11
    with pytest.raises(Corrupt, match="golden predictions differ"):
        artifacts.replay_golden(store, digest, lambda _: predicted + np.array([1e-6, 0.0, 0.0]))


def test_a_backup_is_a_second_copy_that_was_read_back(store):
    digests = [keep(store, store.blobs.put(bytes([i]) * 100, "bin"), "model") for i in range(3)]
    assert replication.copy_verified(store, [*digests, digests[0]]) == 300
    second = BlobStore(store.backup.url)
    assert [second.get(d, "bin")[:1] for d in digests] == [b"\0", b"\1", b"\2"]
    with store.read() as connection:
        first = connection.execute(backup_copies.select()).all()
    assert {row.digest for row in first} == set(digests)
    store.backup._fs.pipe_file(store.backup.path(digests[0], "bin"), b"damaged")
    replication.copy_verified(store, digests)  # heals it, and says when
    assert second.get(digests[0], "bin") == b"\0" * 100
    with store.read() as connection:
        again = connection.execute(backup_copies.select()).all()
    assert len(again) == 3
    assert min(row.verified_at for row in again) > max(row.verified_at for row in first)


def test_a_backup_of_what_is_damaged_or_unknown_is_refused(store):
    digest = keep(store, store.blobs.put(b"x", "bin"))
    with pytest.raises(Corrupt, match="does not know"):
        replication.copy_verified(store, [digest, "f" * 64])
    store.blobs._fs.rm(store.blobs.path(digest, "bin"))
    with pytest.raises(BlobMissing):
        replication.copy_verified(store, [digest])
    with store.read() as connection:
        assert connection.execute(backup_copies.select()).all() == []


def test_frames_come_back_unchanged_and_as_the_same_bytes(store, districts):
    from housing.store.data.segments import get_table, put_frame, to_frame

    frame = districts(range(300))
    blob = put_frame(store, frame)
    assert put_frame(store, frame.copy()) == blob
    assert put_frame(store, frame.set_index(frame.index + 7)) == blob  # the index is not kept
    back = to_frame(get_table(store, blob.digest))
    assert back.equals(frame)
    assert dict(back.dtypes) == dict(frame.dtypes)
    assert get_table(store, blob.digest, ["population", "nosuch"]).column_names == ["population"]


def test_a_segment_that_is_no_table_is_corrupt(store):
    from housing.store.data.segments import get_table

    blob = store.blobs.put(b"not a table", "parquet")
    with pytest.raises(Corrupt, match=blob.digest[:12]):
        get_table(store, blob.digest)
