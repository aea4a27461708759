"""Snapshots of the whole store: what they hold, when they count, and what comes back."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from housing.errors import (
    BackupKeyWrong,
    Corrupt,
    NotPossible,
    RunInProgress,
    SchemaTooNew,
    StoreUnavailable,
    UnknownId,
)
from housing.operations import backup, doctor
from housing.settings import Settings, load_settings
from housing.store.backups import snapshots
from housing.store.database.engine import MAINTENANCE, Store
from housing.store.database.open import open_for_restore, open_store
from housing.store.database.ownership import MARK
from housing.store.database.tables import blobs, utc_now
from housing.store.models import artifacts, promotion_log, registry
from housing.store.objects.blobs import BlobStore
from housing.store.runs import lease, runs
from tests.fixtures.small_settings import contents

KEY = "a passphrase of the backup"


@pytest.fixture
def seen(populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a copy of a home that has seen two runs."""
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(populated_home, tmp_path / "seen")
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "seen"))
    monkeypatch.setenv("HOUSING_BACKUP_URL", str(tmp_path / "backup"))
    return load_settings()


@pytest.fixture
def original(seen: Settings) -> Iterator[Store]:
    with open_store(seen) as store:
        yield store


def elsewhere(tmp_path: Path, database_url: str | None = None, **more: object) -> Settings:
    """Settings of an empty machine that sees the same backup place."""
    place = {} if database_url is None else {"database_url": database_url}
    return load_settings(home=tmp_path / "elsewhere", **place, **more)


def without_ledger_tail(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """The contents but for the line of the restore and the list of snapshots."""
    found = contents(store)
    restored = [row for row in found["promotion_log"] if "'restore'" in row]
    return {
        **found,
        "promotion_log": [r for r in found["promotion_log"] if r not in restored],
        "backups": [],
    }


# --- there and back -------------------------------------------------------------------------


def test_a_snapshot_brings_everything_back_on_either_database(
    original: Store, seen: Settings, tmp_path: Path, database_url: str
) -> None:
    snapshot = backup.create(original, seen)
    assert snapshot.copied > 0
    assert not snapshot.encrypted
    assert backup.verify(original).good
    shutil.copytree(seen.home / "keys", tmp_path / "elsewhere" / "keys")
    there = elsewhere(tmp_path, database_url)
    done = backup.restore(there)
    assert (done.id, done.champion, done.notices) == (snapshot.id, 2, ())
    with open_store(there) as store:
        assert without_ledger_tail(store) == without_ledger_tail(original)
        with store.read() as connection:
            line = promotion_log.head(connection)
            model = registry.model(connection, 2)
            assert line is not None
            assert (line.operation, line.to_model) == ("restore", 2)
            assert snapshot.id in line.reason
        assert artifacts.get_model(store, model.artifact) is not None
        # Ids go on where they were, and a snapshot of the restored store is as good.
        with store.write() as connection:
            assert runs.start(connection, "nightly", {}) == 3
        again = backup.create(store, there)
        assert again.copied == 0
        assert backup.verify(store, again.id).good
        assert snapshots.read(store.backup, again.id).database == store.engine.dialect.name
    back = load_settings(home=tmp_path / "back")
    shutil.copytree(seen.home / "keys", back.home / "keys")
    assert backup.restore(back, again.id).champion == 2  # from PostgreSQL to SQLite as well


def test_a_second_snapshot_costs_what_is_new(original: Store, seen: Settings) -> None:
    first = backup.create(original, seen)
    second = backup.create(original, seen)
    assert second.copied == 0
    assert second.blobs == first.blobs
    listed = backup.listing(original)
    assert [row["backup"] for row in listed] == sorted([first.id, second.id], reverse=True)
    assert {row["state"] for row in listed} == {"not tried"}
    backup.verify(original, first.id)
    assert {r["backup"]: r["state"] for r in backup.listing(original)} == {
        first.id: "good",
        second.id: "not tried",
    }


def test_a_copy_that_went_missing_is_copied_again(original: Store, seen: Settings) -> None:
    backup.create(original, seen)
    victim = next(n for n in original.backup.names() if not n.startswith("snapshots/"))
    original.backup.remove(victim)
    assert backup.create(original, seen).copied > 0
    assert backup.verify(original).good


def test_an_empty_store_has_a_good_backup_too(home: Path) -> None:
    settings = load_settings()
    with open_store(settings) as store:
        backup.create(store, settings)
        found = backup.verify(store)
        assert (found.good, found.champion, found.blobs) == (True, None, 0)
    there = load_settings(home=home / "x", backup_url=settings.backup_url)
    with open_store(there) as store:
        assert backup.verify(store).good  # looking at a backup is no use of the store
    assert backup.restore(there).champion is None
    assert backup.restore(there).blobs == 0


def test_a_damaged_object_is_not_backed_up(original: Store, seen: Settings) -> None:
    with original.read() as connection:
        row = connection.execute(sa.select(blobs).where(blobs.c.kind == "segment")).first()
    assert row is not None
    Path(original.blobs.path(row.digest, row.suffix)).write_bytes(b"damaged")
    with pytest.raises(Corrupt, match=row.digest):
        backup.create(original, seen)
    assert snapshots.ids(original.backup) == []


# --- what does not count --------------------------------------------------------------------


def kinds_of_files(store: Store, snapshot: str) -> dict[str, str]:
    """One stored file of each kind that a snapshot refers to."""
    with store.read() as connection:
        rows = connection.execute(sa.select(blobs).order_by(blobs.c.digest)).all()
    found = {row.kind: f"{row.digest[:2]}/{row.digest}.{row.suffix}" for row in rows}
    found |= {
        name: f"snapshots/{snapshot}/{name}.parquet"
        for name in ("promotion_log", "models", "split_sides")
    }
    return {**found, "manifest": f"snapshots/{snapshot}/manifest.json"}


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << (at % 8)
    path.write_bytes(bytes(data))


@pytest.mark.system
@pytest.mark.parametrize("encrypted", [False, True])
def test_one_flipped_bit_in_any_kind_of_file_is_found(
    seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    if encrypted:
        monkeypatch.setenv("HOUSING_BACKUP_KEY", KEY)
    settings = load_settings()
    with open_store(settings) as store:
        snapshot = backup.create(store, settings)
        for number, (kind, name) in enumerate(kinds_of_files(store, snapshot.id).items()):
            path = Path(store.backup.at(name))
            whole = path.read_bytes()
            flip(path, 7919 * (number + 1))
            if kind == "manifest":
                with pytest.raises((Corrupt, BackupKeyWrong)):
                    backup.verify(store)
            else:
                found = backup.verify(store)
                assert not found.good, kind
                assert path.stem.partition(".")[0] in found.problems[0], kind
                assert backup.listing(store)[0]["state"] == "bad"
            with pytest.raises((Corrupt, BackupKeyWrong)):
                backup.restore(elsewhere(tmp_path))
            path.write_bytes(whole)
            there = open_for_restore(elsewhere(tmp_path))
            with there as empty, empty.read() as connection:
                assert promotion_log.head(connection) is None, "half a restore"
        assert backup.verify(store).good


@pytest.mark.system
def test_the_newest_backup_is_the_last_one_although_a_clock_was_ahead(
    original: Store, seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setattr(snapshots, "utc_now", lambda: utc_now() + timedelta(days=40))
        first = backup.create(original, seen)
        named = [f.what for f in doctor.examine(original, seen).findings if f.area == "backup"]
    assert any(f"{first.id}, was created in the future" in what for what in named), named
    with original.write() as connection:
        run = runs.start(connection, "judge", {})
    second = backup.create(original, seen)
    assert [row["backup"] for row in backup.listing(original)] == [second.id, first.id]
    named = [f.what for f in doctor.examine(original, seen).findings if f.area == "backup"]
    assert not any("future" in what for what in named), named
    there = elsewhere(tmp_path)
    assert backup.restore(there).id == second.id
    with open_store(there) as store, store.read() as connection:
        assert runs.get(connection, run).kind == "judge"


def test_a_missing_file_is_found(original: Store, seen: Settings) -> None:
    snapshot = backup.create(original, seen)
    for name in kinds_of_files(original, snapshot.id).values():
        path = Path(original.backup.at(name))
        whole = path.read_bytes()
        path.unlink()
        if name.endswith("manifest.json"):
            with pytest.raises(UnknownId, match="housing backup list"):
                backup.verify(original)
        else:
            assert not backup.verify(original).good
        path.write_bytes(whole)


def test_a_database_that_is_not_sound_is_no_good_backup(original: Store, seen: Settings) -> None:
    with original.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER promotion_log_refuses_DELETE")
        connection.exec_driver_sql("DELETE FROM promotion_log WHERE seq = 1")
    backup.create(original, seen)
    found = backup.verify(original)
    assert found.problems == ("The promotion log goes from entry 0 to entry 2.",)


def test_a_snapshot_without_its_manifest_is_none(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kill -9 leaves: everything but the end."""
    good = backup.create(original, seen)
    write = type(original.backup).write

    def dies_at_the_manifest(place: object, name: str, data: bytes) -> None:
        if name.endswith("manifest.json"):
            raise KeyboardInterrupt
        write(place, name, data)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(type(original.backup), "write", dies_at_the_manifest)
        with pytest.raises(KeyboardInterrupt):
            backup.create(original, seen)
    assert snapshots.ids(original.backup) == [good.id]
    assert len(snapshots.unfinished(original.backup)) == 1
    assert backup.verify(original).id == good.id
    assert backup.create(original, seen).id in snapshots.ids(original.backup)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("file", ["models.parquet", "split_sides.parquet", "manifest.json"])
@pytest.mark.parametrize("how", ["one bit", "missing"])
def test_a_file_that_does_not_read_the_same_makes_no_backup(
    seen: Settings, monkeypatch: pytest.MonkeyPatch, encrypted: bool, file: str, how: str
) -> None:
    """A disk that acknowledges what it does not keep."""
    if encrypted:
        monkeypatch.setenv("HOUSING_BACKUP_KEY", KEY)
    settings = load_settings()
    with open_store(settings) as store:
        good = backup.create(store, settings)
        write = type(store.backup).write

        def loses(place: BlobStore, name: str, data: bytes) -> None:
            write(place, name, data)
            if name.endswith(file):
                path = Path(place.at(name))
                path.unlink() if how == "missing" else flip(path, len(data) // 2)

        with monkeypatch.context() as patch:
            patch.setattr(type(store.backup), "write", loses)
            with pytest.raises((Corrupt, BackupKeyWrong, UnknownId), match=file.partition(".")[0]):
                backup.create(store, settings)
        assert snapshots.ids(store.backup) == [good.id]
        assert [row["backup"] for row in backup.listing(store)] == [good.id]
        assert backup.verify(store).id == good.id


def test_a_backup_of_a_newer_release_is_left_alone(original: Store, seen: Settings) -> None:
    snapshot = backup.create(original, seen)
    path = Path(original.backup.at(f"snapshots/{snapshot.id}/manifest.json"))
    manifest = json.loads(path.read_text().partition("\n")[2])
    text = json.dumps({**manifest, "schema": "9999"}, sort_keys=True, indent=1)
    path.write_text(f"{snapshots.digest_of(text)}\n{text}\n")
    assert "newer than this release" in backup.verify(original).problems[0]
    with pytest.raises(SchemaTooNew):
        backup.restore(load_settings(home=seen.home / "other"))


# --- where it goes --------------------------------------------------------------------------


def test_a_restore_overwrites_nothing(original: Store, seen: Settings) -> None:
    backup.create(original, seen)
    before = contents(original)
    with pytest.raises(NotPossible, match="not empty"):
        backup.restore(seen)
    assert contents(original) == before


def test_a_restore_that_was_interrupted_is_done_again(
    original: Store, seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.create(original, seen)
    there = elsewhere(tmp_path)
    shutil.copytree(seen.home / "keys", there.home / "keys")
    with monkeypatch.context() as patch:
        patch.setattr(backup.promotion_log, "append", _interrupt)  # the last statement of all
        with pytest.raises(KeyboardInterrupt):
            backup.restore(there)
    assert backup.restore(there).champion == 2


def _interrupt(*_: object, **__: object) -> int:
    raise KeyboardInterrupt


def test_a_second_backup_at_the_same_time_is_refused(original: Store, seen: Settings) -> None:
    with lease.held_lease(original, owner="the backup of ann", name=MAINTENANCE):
        for work in (backup.create, backup.verify):
            with pytest.raises(RunInProgress, match="the backup of ann"):
                work(original, seen)


def test_a_run_may_run_meanwhile(original: Store, seen: Settings) -> None:
    token = lease.acquire(original, owner="the nightly run")
    backup.create(original, seen)
    lease.renew(original, token)


# --- keys -----------------------------------------------------------------------------------


def test_an_encrypted_snapshot_is_unreadable_and_restores_its_key(
    seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_BACKUP_KEY", KEY)
    settings = load_settings()
    with open_store(settings) as store:
        snapshot = backup.create(store, settings)
        assert snapshot.encrypted
        assert backup.verify(store).good
        reason = promotion_log.history(_reading(store))[0].reason
    place = Path(settings.backup_url)
    files = [path for path in place.rglob("*") if path.is_file()]
    assert {path.name for path in files if path.suffix != ".enc"} == {MARK}
    for path in files:
        data = path.read_bytes()
        for plain in (b"PAR1", reason[:20].encode(), b"schema.json", KEY.encode()):
            assert plain not in data, path
    there = elsewhere(tmp_path)
    assert not (there.home / "keys").exists()
    done = backup.restore(there)
    assert "signing.key" in done.notices[0]
    key = there.home / "keys" / "signing.key"
    assert key.read_text() == (settings.home / "keys" / "signing.key").read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    with open_store(there) as store, store.read() as connection:
        digest = registry.model(connection, 2).artifact
        assert artifacts.get_model(store, digest) is not None


def _reading(store: Store) -> sa.Connection:
    return store.engine.connect()


def test_a_wrong_passphrase_is_named(
    seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_BACKUP_KEY", KEY)
    with open_store(load_settings()) as store:
        backup.create(store, load_settings())
    monkeypatch.setenv("HOUSING_BACKUP_KEY", "another passphrase")
    with pytest.raises(BackupKeyWrong, match="HOUSING_BACKUP_KEY"):
        backup.restore(elsewhere(tmp_path))
    monkeypatch.delenv("HOUSING_BACKUP_KEY")
    with pytest.raises(UnknownId, match=r"encrypted.*HOUSING_BACKUP_KEY"):
        backup.restore(elsewhere(tmp_path))


def test_one_encrypted_file_cannot_stand_in_for_another(
    seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_BACKUP_KEY", KEY)
    settings = load_settings()
    with open_store(settings) as store:
        first, second = backup.create(store, settings), backup.create(store, settings)
        names = [f"snapshots/{snapshot.id}/promotion_log.parquet" for snapshot in (first, second)]
        old, new = (Path(store.backup.at(name)) for name in names)
        shutil.copyfile(old, new)
        assert "not those that were sealed" in backup.verify(store, second.id).problems[0]


def test_a_restore_without_the_signing_key_succeeds_with_a_warning(
    original: Store, seen: Settings, tmp_path: Path
) -> None:
    backup.create(original, seen)
    done = backup.restore(elsewhere(tmp_path))
    assert done.champion == 2
    assert "housing sign" in done.notices[0]


# --- an object store ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """A real S3 server process on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, "the S3 server ended"
            assert time.monotonic() < deadline, "the S3 server does not answer"
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket; returns its URL."""
    import fsspec

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()
    bucket = f"bucket-{time.time_ns()}"
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}/housing"


@pytest.mark.parametrize("key", [None, KEY])
def test_cuts_in_an_object_store(
    seen: Settings, tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv("HOUSING_BACKUP_URL", s3)
    if key:
        monkeypatch.setenv("HOUSING_BACKUP_KEY", key)
    settings = load_settings()
    with open_store(settings) as store:
        snapshot = backup.create(store, settings)
        assert backup.create(store, settings).copied == 0
        assert backup.verify(store, snapshot.id).good
        victim = next(n for n in store.backup.names() if not n.startswith("snapshots/"))
        whole = store.backup.read(victim)
        store.backup.raw().write(victim + (".enc" if key else ""), b"damaged")
        assert not backup.verify(store, snapshot.id).good
        store.backup.write(victim, whole)
    shutil.copytree(seen.home / "keys", tmp_path / "elsewhere" / "keys")
    assert backup.restore(elsewhere(tmp_path), snapshot.id).champion == 2


def test_a_store_in_an_object_store(seen: Settings, tmp_path: Path, s3: str) -> None:
    """Blobs there too, not only backups."""
    with open_store(seen) as store:
        backup.create(store, seen)
    shutil.copytree(seen.home / "keys", tmp_path / "elsewhere" / "keys")
    there = elsewhere(tmp_path, blob_url=f"{s3}/blobs")
    backup.restore(there)
    with open_store(there) as store:
        assert list(store.blobs.names())
        with store.read() as connection:
            digest = registry.model(connection, 2).artifact
        assert artifacts.get_model(store, digest) is not None


def test_an_object_store_that_does_not_answer_is_named(
    seen: Settings, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.filesystem("s3").clear_instance_cache()
    settings = load_settings(backup_url=s3)
    with (
        open_store(settings) as store,
        pytest.raises(StoreUnavailable, match=r"s3://.*HOUSING_BACKUP_URL"),
    ):
        backup.create(store, settings)
    fsspec.filesystem("s3").clear_instance_cache()
