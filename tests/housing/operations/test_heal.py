"""What `housing heal` brings back, and what it says about the rest."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from housing.errors import KeyMissing, StoreUnavailable
from housing.operations import backup, doctor
from housing.operations.heal import heal
from housing.pipeline.run_context import NightlyParameters, start_run
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.ownership import MARK
from housing.store.database.tables import blobs, models, runs
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen


@pytest.mark.system
@pytest.mark.parametrize("kind", ["model", "segment"])
def test_an_object_lost_in_store_and_backup_is_named_once_with_its_remedy(
    original: Store, seen: Settings, kind: str
) -> None:
    backup.create(original, seen)
    with original.read() as connection:
        row = connection.execute(sa.select(blobs).where(blobs.c.kind == kind)).first()
    assert row is not None
    for place in (original.blobs, original.backup):
        Path(place.path(row.digest, row.suffix)).write_bytes(b"other bytes")
    with original.read() as connection:
        of_model = sa.select(models.c.id).where(models.c.artifact == row.digest)
        model = connection.execute(of_model).scalar()
    remedy = {
        "model": f"`housing reproduce m{model} --keep` trains the model again.",
        "segment": "Restore an older backup (`housing backup list`), or ingest its file again.",
    }[kind]
    fixes = [f.fix for f in doctor.examine(original, seen).findings if f.area == "objects"]
    assert fixes == [f"no whole copy in the backup: {remedy}"]
    assert heal(original).lost == (
        f"The {kind} {row.digest[:12]} is damaged or missing in {original.blobs.url}, and so is "
        f"its copy in the backup {original.backup.url}. {remedy}",
    )


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"0123"])
@pytest.mark.parametrize("place", ["blob_url", "backup_url"])
def test_a_damaged_mark_is_written_again_beside_the_files_of_its_database(
    original: Store, seen: Settings, place: str, content: bytes
) -> None:
    backup.create(original, seen)
    mark = Path(getattr(seen, place)) / MARK
    whole = mark.read_bytes()
    mark.write_bytes(content)
    refused = pytest.raises(StoreUnavailable, match=r"store-id is damaged.*`housing heal`")
    with refused, open_store(seen) as store:
        backup.create(store, seen)
    with open_store(seen, claim=False) as store:
        heal(store)
    assert mark.read_bytes() == whole
    with open_store(seen) as store:
        backup.create(store, seen)


def test_a_damaged_mark_beside_files_of_another_database_stays(
    original: Store, seen: Settings, tmp_path: Path
) -> None:
    mark = Path(seen.blob_url) / MARK
    other = load_settings(database_url=f"sqlite:///{tmp_path}/other.db")
    for content in (mark.read_bytes(), b"damaged"):
        mark.write_bytes(content)
        with pytest.raises(StoreUnavailable), open_store(other, claim=False) as store:
            heal(store)
        assert not (tmp_path / "other.db").exists()
        assert mark.read_bytes() == content


def test_a_run_without_the_signing_key_of_the_champion_ends_before_any_work(
    original: Store, seen: Settings
) -> None:
    (seen.home / "keys" / "signing.key").unlink()
    refused = pytest.raises(KeyMissing, match=r"signing.key or set HOUSING_SIGNING_KEY")
    with refused, start_run("nightly", NightlyParameters()):
        pytest.fail("it began to work")
    with original.read() as connection:
        row = connection.execute(sa.select(runs).order_by(runs.c.id.desc())).first()
    assert row is not None
    assert row.status == "failed"
    assert not (seen.home / "keys" / "signing.key").exists()
