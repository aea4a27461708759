"""A delivery of known districts without their ids is named as it comes in."""

import pandas as pd
import pytest

from housing import schema
from housing.pipeline import datasets as dataset_steps
from housing.pipeline import key_check
from housing.pipeline.ingest import ingest_files
from housing.pipeline.key_check import LEAST_ROWS
from housing.settings import Settings
from housing.store import queries
from housing.store.data import datasets
from housing.store.database.engine import Store


@pytest.fixture
def census(census_path) -> pd.DataFrame:
    return pd.read_csv(census_path).sample(2_000, random_state=3).reset_index(drop=True)


def deliver(store: Store, settings: Settings, frame: pd.DataFrame, name: str) -> str:
    """Bring a file in and into the dataset; returns what `housing show bN` says of it."""
    path = settings.home / f"{name}.csv"
    frame.to_csv(path, index=False)
    batch = ingest_files(store, settings, [path]).batches[0]
    datasets.append_waiting(store, reason="test", run=None)
    dataset_steps.split(store, settings)
    with store.read() as connection:
        return str(queries.show_batch(connection, batch.id or 0)["message"])


def test_known_locations_with_new_keys_are_named_with_the_remedy(
    store: Store, small: Settings, census: pd.DataFrame
) -> None:
    first, fresh = census.head(1_500), census.tail(500)
    with_ids = first.assign(district_id=[f"d{i}" for i in range(len(first))])
    assert schema.ID_COLUMN not in deliver(store, small, with_ids, "first")
    assert schema.ID_COLUMN not in deliver(store, small, fresh, "fresh")
    moved = with_ids.sample(200, random_state=1)
    moved["population"] += 1
    assert schema.ID_COLUMN not in deliver(store, small, moved, "with-ids")
    without = moved.drop(columns=schema.ID_COLUMN)
    said = deliver(store, small, without, "without")
    assert "100 % of its rows are at locations of the dataset, and 100 % are new" in said
    assert f"`{schema.ID_COLUMN}`" in said
    few = without.head(LEAST_ROWS - 1).assign(households=without["households"] + 1)
    assert schema.ID_COLUMN not in deliver(store, small, few, "few")


def test_only_the_newest_rows_are_compared(
    store: Store, small: Settings, census: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, newest = census.head(1_000), census.tail(1_000)
    deliver(store, small, old, "old")
    deliver(store, small, newest, "newest")
    monkeypatch.setattr(key_check, "MOST_ROWS", 1_000)
    moved = old.sample(100, random_state=1).assign(population=lambda frame: frame.population + 1)
    assert schema.ID_COLUMN not in deliver(store, small, moved, "moved old")
    monkeypatch.setattr(key_check, "MOST_ROWS", 1_001)
    moved["population"] += 1
    assert schema.ID_COLUMN in deliver(store, small, moved.iloc[::-1], "again")


def test_an_installation_that_begins_has_nothing_to_compare_with(
    store: Store, small: Settings, census: pd.DataFrame
) -> None:
    assert schema.ID_COLUMN not in deliver(store, small, census, "first")
