"""Backfill: many landing files, one dataset version each, then one run."""

import pytest

from flows.backfill import backfill
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import Settings
from housing.store import queries
from housing.store.database.open import open_store

pytestmark = pytest.mark.prefect


def test_each_file_becomes_a_version_of_its_own(small: Settings) -> None:
    folder = small.sources.landing_dir
    assert folder is not None
    folder.mkdir(parents=True)
    for day in range(3):
        simulate(300, 0, day=day).to_csv(folder / f"{day}.csv", index=False)
    (folder / "3-bad.csv").write_text("this,is,no,table\n1,2,3,4\n")
    state = backfill(return_state=True)
    assert state.name in ("Promoted", "Kept")
    with open_store(small) as store, store.read() as connection:
        versions = [queries.show_dataset(connection, v)["batches"] for v in (3, 2, 1)]
        models = queries.list_models(connection)
    assert versions == [["b1", "b2", "b3"], ["b1", "b2"], ["b1"]]
    assert len(models) == 1
