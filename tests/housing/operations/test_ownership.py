"""A database never deletes or adopts the files of another one."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import make_url
from typer.testing import CliRunner

from deployments.cli.main import app
from housing.errors import NotOwned, NotPossible, StoreUnavailable
from housing.operations import backup, doctor, prune
from housing.operations.heal import heal
from housing.pipeline.run_context import NightlyParameters, start_run
from housing.settings import Settings, load_settings
from housing.store.backups.replication import copy_verified
from housing.store.database.engine import Store
from housing.store.database.open import open_for_restore, open_store
from housing.store.database.ownership import MARK, mark_of, must_own
from housing.store.database.tables import runs as run_rows
from housing.store.objects.recording import record_blob
from tests.housing.operations.test_backup import contents, without_ledger_tail
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen
from tests.housing.operations.test_prune import Later, later

__all__ = ["later"]


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def stranger(tmp_path: Path, original: Store) -> Settings:
    """The same folders with an empty database, as in a shell without HOUSING_DATABASE_URL."""
    return load_settings(database_url=f"sqlite:///{tmp_path}/other.db")


@pytest.mark.parametrize("options", [{}, {"create": False}, {"claim": False}])
def test_an_empty_database_adopts_no_files_and_gets_no_tables(
    stranger: Settings, seen: Settings, tmp_path: Path, options: dict[str, bool]
) -> None:
    before = files(tmp_path)
    with pytest.raises(NotOwned, match=r"another database.*other.db, which is new.*DATABASE_URL"):
        open_store(stranger, **options)
    (Path(seen.blob_url) / MARK).unlink()
    with pytest.raises(NotOwned, match=r"unknown to sqlite.*other.db"):
        open_store(stranger, **options)
    assert files(tmp_path) | {Path(seen.blob_url) / MARK} == before


def test_a_process_that_marks_a_new_storage_meanwhile_is_no_other_database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(settings, claim=False) as store:
        names = store.blobs.names

        def marked_meanwhile(*arguments: Any, **options: Any) -> Iterator[str]:
            with open_store(settings) as other:
                other.blobs.put(b"rows", ".parquet")  # its row follows
            return names(*arguments, **options)

        monkeypatch.setattr(store.blobs, "names", marked_meanwhile)
        assert must_own(store, store.blobs) == mark_of(store.blobs)
        (Path(settings.blob_url) / MARK).unlink()
        monkeypatch.setattr(store.blobs, "names", names)
        with pytest.raises(NotOwned, match="unknown to"):
            must_own(store, store.blobs)


def test_an_empty_postgresql_database_is_left_empty_beside_files_of_another(
    original: Store, seen: Settings, postgres_server: str
) -> None:
    url = make_url(postgres_server).set(database="postgres").render_as_string(hide_password=False)
    for options in ({}, {"create": False}, {"claim": False}):
        with pytest.raises(NotOwned, match="which is new"):
            open_store(load_settings(database_url=url), **options)
    with psycopg.connect(url) as connection:
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        assert connection.execute(tables).fetchone() == (0,)


def test_a_prune_deletes_nothing_of_another_store(
    tmp_path: Path, original: Store, seen: Settings, later: Later
) -> None:
    """A store with folders of its own that is pointed at the backup or the blobs of the first."""
    backup.create(original, seen)
    second = load_settings(home=tmp_path / "second")
    with open_store(second) as other:
        later(100)
        before = files(tmp_path)
        with pytest.raises(StoreUnavailable, match=r"backup.*another database.*HOUSING_BACKUP_URL"):
            prune.prune(other, second)
        with pytest.raises(StoreUnavailable, match="another database"):
            backup.create(other, second)
        assert {f for f in before if "seen" in f.parts or "backup" in f.parts} <= files(tmp_path)
    with pytest.raises(StoreUnavailable, match="HOUSING_BLOB_URL"):
        open_store(load_settings(home=tmp_path / "second", blob_url=seen.blob_url))


@pytest.fixture
def lost(original: Store, seen: Settings) -> dict[str, list[tuple[object, ...]]]:
    """What the database held that is gone now."""
    backup.create(original, seen)
    held = without_ledger_tail(original)
    original.close()
    for name in Path(seen.home).glob("housing.db*"):
        name.unlink()
    return held


def test_a_lost_database_is_restored_beside_its_files(
    lost: dict[str, list[tuple[object, ...]]], seen: Settings
) -> None:
    with pytest.raises(StoreUnavailable, match="housing backup restore"):
        open_store(seen)
    backup.restore(seen)
    with open_store(seen) as store:
        assert without_ledger_tail(store) == lost
        backup.create(store, seen)


def test_a_restore_leaves_the_files_of_a_third_store_alone(
    original: Store, seen: Settings, tmp_path: Path
) -> None:
    backup.create(original, seen)
    third = load_settings(home=tmp_path / "third", backup_url=str(tmp_path / "its backup"))
    with open_store(third) as store:
        held = contents(store)
    shutil.copytree(third.blob_url, tmp_path / "as it was")
    mixed = load_settings(home=tmp_path / "fourth", blob_url=third.blob_url)
    with pytest.raises(NotPossible, match="another store"):
        backup.restore(mixed)
    with open_store(third) as store:
        assert contents(store) == held


def test_files_without_a_mark_are_not_adopted_by_a_database_that_does_not_know_them(
    original: Store, seen: Settings, stranger: Settings, later: Later
) -> None:
    backup.create(original, seen)
    marks = [Path(url) / MARK for url in (seen.blob_url, seen.backup_url)]
    for mark in marks:
        mark.unlink()
    before = files(Path(seen.blob_url)) | files(Path(seen.backup_url))
    later(100)
    with pytest.raises(NotOwned, match=r"no file store-id.*unknown.*HOUSING_DATABASE_URL"):
        open_store(stranger)
    with open_for_restore(stranger) as other:
        for claimed in (
            lambda: prune.prune(other, stranger),
            lambda: backup.create(other, stranger),
            lambda: heal(other),
            lambda: heal(other, take_over=True),
        ):
            with pytest.raises(NotOwned):
                claimed()
    assert files(Path(seen.blob_url)) | files(Path(seen.backup_url)) == before
    with open_store(seen) as store:  # the right database marks them again
        prune.prune(store, seen)
        backup.create(store, seen)
    assert all(mark.is_file() for mark in marks)


def test_every_refusal_names_the_way_to_claim_files_with_a_wrong_mark(
    original: Store, seen: Settings
) -> None:
    backup.create(original, seen)
    orphan = original.blobs.put(b"never recorded", "bin")
    for content in ("0" * 32, "damaged"):
        for url in (seen.blob_url, seen.backup_url):
            (Path(url) / MARK).write_text(content)
        with pytest.raises(NotOwned, match="housing heal"):
            open_store(seen)
        with open_store(seen, claim=False) as store:
            with pytest.raises(NotOwned, match="`housing heal --take-over`"):
                heal(store)
            heal(store, take_over=True)
        with open_store(seen) as store:
            backup.create(store, seen)
    assert Path(original.blobs.path(orphan.digest, "bin")).is_file()


@pytest.fixture
def clone(original: Store, seen: Settings, tmp_path: Path) -> Settings:
    """A copy of the home, such as a cloned machine, with the same backup location."""
    backup.create(original, seen)
    shutil.copytree(seen.home, tmp_path / "clone")
    return load_settings(home=tmp_path / "clone")


def _copied_by_a_run(store: Store, data: bytes) -> Path:
    """An object that a run stores and copies to the backup, as before a promotion."""
    with start_run("nightly", NightlyParameters()), store.write() as connection:
        blob = store.blobs.put(data, "bin")
        record_blob(connection, blob, "model")
    copy_verified(store, [blob.digest])
    return Path(store.backup.path(blob.digest, "bin"))


def test_a_cloned_database_deletes_no_copies_of_the_other(
    original: Store, seen: Settings, clone: Settings, later: Later, tmp_path: Path
) -> None:
    copy = _copied_by_a_run(original, b"a model that the clone does not know")
    later(100)
    with open_store(clone) as other:
        for deleted in (lambda: prune.prune(other, clone), lambda: backup.create(other, clone)):
            with pytest.raises(NotOwned, match=r"a copy.*HOUSING_BACKUP_URL.*heal --take-over"):
                deleted()
        with other.read() as connection:
            error = connection.execute(sa.select(run_rows.c.error)).scalars().all()[-1]
        assert error.endswith("`housing heal --take-over`."), "it resumes nothing"
    assert copy.is_file()
    with open_store(load_settings(home=clone.home, backup_url=str(tmp_path / "own"))) as other:
        prune.prune(other, clone)
        backup.create(other, clone)
    assert copy.is_file()


def test_after_a_take_over_the_other_database_deletes_nothing(
    original: Store, seen: Settings, clone: Settings, later: Later
) -> None:
    _copied_by_a_run(original, b"of the first")
    with open_store(clone) as other:
        heal(other, take_over=True)
    for deleted in (lambda: prune.prune(original, seen), lambda: backup.create(original, seen)):
        with pytest.raises(NotOwned, match="a copy"):
            deleted()
    with open_store(clone) as other:
        prune.prune(other, clone)
        backup.create(other, clone)


@pytest.mark.system
def test_an_older_database_beside_newer_files_is_named_and_runs_nothing(
    original: Store, seen: Settings, tmp_path: Path, later: Later
) -> None:
    original.close()
    shutil.copy(seen.home / "housing.db", tmp_path / "older.db")
    with open_store(seen) as store:
        copy = _copied_by_a_run(store, b"newer than the copy of the database")
    older = load_settings(database_url=f"sqlite:///{tmp_path}/older.db")
    later(100)
    with open_store(older) as store:
        for place in ("blob store", "backup"):
            found = [f for f in doctor.examine(store, older).findings if place in f.what]
            assert any(
                "older state" in f.what and "housing backup restore" in f.what for f in found
            )
        with pytest.raises(NotOwned, match="housing backup restore"):
            prune.prune(store, older)
    env = {"HOUSING_DATABASE_URL": f"sqlite:///{tmp_path}/older.db"}
    said = CliRunner().invoke(app, ["status", "--json"], env=env).stdout
    assert "housing backup restore" in said
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOUSING_DATABASE_URL", f"sqlite:///{tmp_path}/older.db")
        refused = pytest.raises(NotOwned, match="older state")
        with refused, start_run("nightly", NightlyParameters()):
            pytest.fail("it began to work")
    assert copy.is_file()


@pytest.mark.parametrize("command", ["rollback --yes", "block b2", "dataset withdraw b2"])
def test_an_older_database_is_named_although_no_file_is_newer(
    original: Store, seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    original.close()
    shutil.copy(seen.home / "housing.db", tmp_path / "older.db")
    before = files(Path(seen.blob_url))
    done = CliRunner().invoke(app, [*command.split(), "--reason", "wrong"])
    assert done.exit_code == 0, done.output
    assert files(Path(seen.blob_url)) == before
    with open_store(seen) as store:
        must_own(store, store.blobs)
    monkeypatch.setenv("HOUSING_DATABASE_URL", f"sqlite:///{tmp_path}/older.db")
    assert "older state" in CliRunner().invoke(app, ["status", "--json"]).stdout
    refused = pytest.raises(NotOwned, match=r"older state.*housing backup restore")
    with refused, start_run("nightly", NightlyParameters()):
        pytest.fail("it began to work")


def test_a_restored_older_backup_names_the_database_with_newer_copies(
    original: Store, seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.create(original, seen)
    copy = _copied_by_a_run(original, b"newer than the backup")
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "elsewhere"))
    shutil.copytree(seen.home / "keys", tmp_path / "elsewhere" / "keys")
    there = load_settings()
    assert any("housing heal --take-over" in text for text in backup.restore(there).notices)
    with pytest.raises(NotOwned), start_run("nightly", NightlyParameters()):
        pytest.fail("it began to work")
    assert copy.is_file()
    with open_store(there, claim=False) as store:
        heal(store, take_over=True)
    with start_run("nightly", NightlyParameters()):
        pass
