"""A database never deletes or adopts the files of another one."""

import shutil
from pathlib import Path

import pytest

from housing.errors import NotPossible, StoreUnavailable
from housing.operations import backup, prune
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
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


def test_an_empty_database_adopts_no_files(stranger: Settings, seen: Settings) -> None:
    before = files(Path(seen.blob_url))
    with pytest.raises(StoreUnavailable, match=r"another database.*new.*HOUSING_DATABASE_URL"):
        open_store(stranger)
    assert files(Path(seen.blob_url)) == before


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
