"""Warns if a delivery seems to have known rows under other keys because it lacks their ids."""

import numpy as np
import pandas as pd

from housing import schema
from housing.formatting import percent
from housing.keys import KEY_COLUMN, among, words_of
from housing.store.data import datasets
from housing.store.database import bulk
from housing.store.database.engine import Store

LEAST_ROWS = 20
"""A delivery of fewer rows is not checked: a handful may well be at known locations."""

KNOWN_LOCATIONS, NEW_KEYS = 0.9, 0.5
"""Shares from which on a delivery looks like known rows. Of new rows of the reference
table 57 % are at locations of others."""

MOST_ROWS = 2_000_000
"""Rows of the dataset, newest batches first, after which no further batch is compared."""


def unknown_keys_at_known_locations(store: Store, accepted: pd.DataFrame) -> str:
    """A warning for people, or "" if there is none; rows without a location give none."""
    if schema.LOCATION is None or len(accepted) < LEAST_ROWS:
        return ""
    keys = accepted[KEY_COLUMN].to_numpy()
    new = ~among(keys, store.query(bulk.known_sides, keys)[0])
    if new.mean() < NEW_KEYS:
        return ""
    active = store.query(datasets.active)
    if active is None or not active.batches:
        return ""
    at_known = _share_at_known_locations(store, active.id, accepted)
    if at_known < KNOWN_LOCATIONS:
        return ""
    return (
        f" {percent(at_known, 0)} of its rows are at locations of the dataset, and "
        f"{percent(new.mean(), 0)} are new rows by their keys. If they are known rows with other "
        f"values, only the same `{schema.ID_COLUMN}` in both deliveries makes them corrections."
    )


def _share_at_known_locations(store: Store, version: int, accepted: pd.DataFrame) -> float:
    """Share of rows; one batch of the dataset is in memory at a time."""
    words, compared = words_of(accepted, schema.COORDINATES), 0
    known = np.zeros(len(words), dtype=np.bool_)
    for batch in datasets.delivered(store, version, schema.COORDINATES):
        known |= among(words, words_of(batch, schema.COORDINATES))
        compared += len(batch)
        if known.all() or compared >= MOST_ROWS:
            break
    return float(known.mean())
