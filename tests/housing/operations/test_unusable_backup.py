"""A run whose backup location is unusable promotes nothing; the next one finishes its work."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from housing.errors import StoreUnavailable
from housing.operations import backup, doctor
from housing.settings import Settings, load_settings
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, models, searches
from housing.store.models import promotion_log
from tests.fixtures.run_without_prefect import plain_run
from tests.housing.conftest import Land

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.mark.system
def test_the_model_of_the_first_run_is_backed_up_and_promoted_by_the_next(
    small: Settings, land: Land, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = tmp_path / "disk"
    location.touch()  # a file, where the disk should be mounted
    monkeypatch.setenv("HOUSING_BACKUP_URL", str(location))
    land("first.csv", 1200, 0)
    with pytest.raises(StoreUnavailable, match="HOUSING_BACKUP_URL"):
        plain_run()
    location.unlink()
    settings = load_settings()
    with open_store(settings) as store:
        with store.read() as connection:
            assert promotion_log.champion(connection) is None
            trained = connection.execute(sa.select(models)).one()
        result = plain_run()
        assert (result.outcome, result.challenger) == ("promoted", trained.id)
        with store.read() as connection:
            assert promotion_log.champion(connection) == trained.id
            assert connection.execute(sa.select(models)).one() == trained, "not trained again"
            connection.execute(sa.select(searches)).one()
            data = sa.select(blobs).where(blobs.c.kind.in_(("model", "golden", "segment")))
            copied = connection.execute(data).all()
        assert {row.kind for row in copied} == {"model", "golden", "segment"}
        for row in copied:
            assert store.backup.get(row.digest, row.suffix) == store.blobs.get(
                row.digest, row.suffix
            )
        backup.create(store, settings)
        assert backup.verify(store).good
        assert not doctor.examine(store, settings).damaged
