"""Bytes under their digest: whole or not at all, checked at each reading, for the owner alone."""

import errno
import hashlib
import os
import stat
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing.errors import BlobMissing, Corrupt, DiskFull, StoreUnavailable
from housing.store.objects.blobs import BlobStore, name_of
from housing.store.objects.filesystem import write_durably, write_page

DATA = b"districts" * 100


@pytest.fixture(params=["folder", "object store"])
def blobs(request, tmp_path):
    """A folder, and fsspec's store in memory, which stands for those that have no folders."""
    if request.param == "folder":
        return BlobStore(str(tmp_path / "blobs"))
    return BlobStore(f"memory://{uuid.uuid4().hex}")


def overwrite(blobs, blob, data):
    blobs._fs.pipe_file(blobs.path(blob.digest, blob.suffix), data)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_come_back_by_their_digest(blobs):
    blob = blobs.put(DATA, "bin")
    assert blob.digest == hashlib.sha256(DATA).hexdigest()
    assert (blob.suffix, blob.size) == ("bin", len(DATA))
    assert blobs.get(blob.digest, "bin") == DATA
    assert blobs.path(blob.digest, "bin").endswith(f"/{blob.digest[:2]}/{blob.digest}.bin")


@given(st.binary(max_size=300))
def test_any_bytes_come_back(tmp_path_factory, data):
    blobs = BlobStore(str(tmp_path_factory.getbasetemp() / "any-bytes"))
    assert blobs.get(blobs.put(data, "bin").digest, "bin") == data


@pytest.mark.parametrize(
    "damage",
    [DATA[:-1], b"", DATA + b"x", b"X" + DATA[1:]],
    ids=["cut short", "emptied", "longer", "one byte"],
)
def test_damaged_bytes_are_named_and_never_returned(blobs, damage):
    blob = blobs.put(DATA, "bin")
    overwrite(blobs, blob, damage)
    with pytest.raises(Corrupt, match=blob.digest) as caught:
        blobs.get(blob.digest, "bin")
    assert caught.value.exit_code == 5
    assert "housing doctor" in str(caught.value)


def test_missing_bytes_are_named(blobs):
    digest = hashlib.sha256(b"never stored").hexdigest()
    with pytest.raises(BlobMissing, match=digest[:12]) as caught:
        blobs.get(digest, "bin")
    assert caught.value.exit_code == 5
    assert blobs.url in str(caught.value)


def test_storing_again_heals_a_damaged_copy(blobs):
    blob = blobs.put(DATA, "bin")
    overwrite(blobs, blob, b"damaged")
    assert blobs.put(DATA, "bin") == blob
    assert blobs.get(blob.digest, "bin") == DATA


def test_storing_again_writes_nothing(tmp_path):
    blobs = BlobStore(str(tmp_path))
    blob = blobs.put(DATA, "bin")
    path = Path(blobs.path(blob.digest, "bin"))
    before = path.stat()
    blobs.put(DATA, "bin").ensure_stored()
    assert path.stat().st_ino == before.st_ino


def test_bytes_that_were_deleted_before_they_were_recorded_are_stored_again(blobs):
    blob = blobs.put(DATA, "bin")
    blobs.remove(name_of(blob.digest, "bin"))
    blob.ensure_stored()
    assert blobs.get(blob.digest, "bin") == DATA


def test_a_write_whose_scratch_file_is_swept_away_is_done_again(tmp_path, monkeypatch):
    blobs, fsync, swept = BlobStore(str(tmp_path / "blobs")), os.fsync, []

    def sweep_once(handle):
        fsync(handle)
        for path in () if swept else tmp_path.rglob(".writing-*"):
            swept.append(path)
            path.unlink()

    monkeypatch.setattr(os, "fsync", sweep_once)
    assert blobs.get(blobs.put(DATA, "bin").digest, "bin") == DATA
    assert swept


def test_written_files_are_readable_by_their_owner_only(tmp_path):
    umask = os.umask(0)
    try:
        blobs = BlobStore(str(tmp_path / "new" / "blobs"))
        blob = blobs.put(DATA, "bin")
    finally:
        os.umask(umask)
    path = Path(blobs.path(blob.digest, "bin"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parents[1], path.parents[2]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_file_and_folders_are_synced_before_put_returns(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def spy(handle):
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not say which file a handle belongs to")
    monkeypatch.setattr(os, "fsync", spy)
    root = tmp_path / "blobs"
    digest = BlobStore(str(root)).put(DATA, "bin").digest
    folder = root / digest[:2]
    assert synced[:2] == [tmp_path, root]  # the names of the folders that were made
    assert synced[2].parent == folder
    assert synced[2].name.startswith(".writing-")  # the bytes, before they get their name
    assert synced[3:] == [folder]  # the name


def test_writers_of_the_same_bytes_do_not_disturb_one_another(tmp_path):
    blobs = BlobStore(str(tmp_path / "blobs"))
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: blobs.put(DATA, "bin"), range(40)))
    assert len(set(stored)) == 1
    assert len(files(tmp_path)) == 1
    assert blobs.get(stored[0].digest, "bin") == DATA


@pytest.mark.parametrize("name", ["a b", "a#b", "100%25", "ä€", "-n"])
def test_folders_with_odd_names_work(tmp_path, name):
    blobs = BlobStore(str(tmp_path / name))
    blob = blobs.put(DATA, "bin")
    assert blobs.get(blob.digest, "bin") == DATA
    assert files(tmp_path / name) == [Path(blobs.path(blob.digest, "bin"))]


def test_a_file_url_is_a_folder(tmp_path):
    blobs = BlobStore(f"file://{tmp_path}/blobs")
    assert blobs.local
    blob = blobs.put(DATA, "bin")
    assert BlobStore(str(tmp_path / "blobs")).get(blob.digest, "bin") == DATA


def test_a_blob_url_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(StoreUnavailable, match="HOUSING_BLOB_URL"):
        BlobStore(str(tmp_path / "blobs")).put(DATA, "bin")


def test_a_write_that_is_interrupted_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_durably(path, b"old")

    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == [path]


def test_a_full_disk_is_named_and_no_partial_file_is_left(small_disk):
    disk = small_disk("256k")
    blobs = BlobStore(str(disk / "blobs"))
    kept = blobs.put(DATA, "bin")
    large = os.urandom(512 * 1024)
    with pytest.raises(DiskFull, match="housing prune") as caught:
        blobs.put(large, "bin")
    assert blobs.url in str(caught.value)
    assert files(disk) == [Path(blobs.path(kept.digest, "bin"))]
    assert blobs.get(kept.digest, "bin") == DATA


def test_a_disk_that_was_full_works_again_once_there_is_space(small_disk):
    disk = small_disk("256k")
    blobs = BlobStore(str(disk / "blobs"))
    (disk / "ballast").write_bytes(bytes(180 * 1024))
    data = os.urandom(128 * 1024)
    with pytest.raises(DiskFull):
        blobs.put(data, "bin")
    (disk / "ballast").unlink()
    blob = blobs.put(data, "bin")
    assert blobs.get(blob.digest, "bin") == data


def test_a_read_only_disk_can_be_read_and_a_write_names_it(small_disk, read_only):
    disk = small_disk("256k")
    blobs = BlobStore(str(disk / "blobs"))
    blob = blobs.put(DATA, "bin")
    read_only(disk)
    assert blobs.get(blob.digest, "bin") == DATA
    assert blobs.put(DATA, "bin") == blob  # it is there already
    with pytest.raises(StoreUnavailable, match=r"Read-only file system.*HOUSING_BLOB_URL"):
        blobs.put(b"other", "bin")


@pytest.mark.parametrize(
    ("code", "said"), [(errno.ENOSPC, DiskFull), (errno.EIO, StoreUnavailable)]
)
def test_a_page_that_cannot_be_written_names_its_folder(tmp_path, monkeypatch, code, said):
    def fails(handle):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(said, match="reports"):
            write_page(tmp_path / "reports" / "r1.html", b"page")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    write_page(tmp_path / "reports" / "r1.html", b"page")
