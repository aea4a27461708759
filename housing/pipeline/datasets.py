"""Freeze accepted batches into a dataset version, and split its rows."""

from housing.errors import NothingToTrainOn
from housing.pipeline.run_context import RunContext
from housing.records import DatasetVersion
from housing.settings import Settings
from housing.store.data import datasets
from housing.store.data import split as sides
from housing.store.database.engine import Store
from housing.training.split import SplitRule


def freeze(store: Store, run: RunContext) -> DatasetVersion:
    """Freeze a version with the new batches, if there are any; returns the active version."""
    made = datasets.append_waiting(store, reason="new batches", run=run.id)
    if made is not None:
        return made
    current = store.query(datasets.active)
    if current is None:
        raise NothingToTrainOn(
            why="no batch has been accepted yet",
            next_step="Put a CSV file into the landing folder, or run with another --source.",
        )
    return current


def split(store: Store, settings: Settings) -> int:
    """Assign every row without a side to one; returns how many there were."""
    rule = SplitRule(test_share=settings.split.test_share, seed=settings.split.seed)
    todo = store.query(sides.unsplit)
    return sum(sides.split_batch(store, batch, rule)[0] for batch in todo)
