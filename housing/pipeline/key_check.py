"""Whether a delivery may hold known districts under other keys, for want of their ids."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing import schema
from housing.keys import KEY_COLUMN, mix
from housing.store.data import datasets, split
from housing.store.database.engine import Store

LEAST_ROWS = 20
"""Rows below which nothing is said: a handful may well be of known locations."""

KNOWN_LOCATIONS, NEW_KEYS = 0.9, 0.5
"""Shares of a delivery from which on it looks like districts that are known. New districts of the
reference table lie for 57 % at locations of the others."""


def unknown_keys_at_known_locations(store: Store, accepted: pd.DataFrame) -> str:
    """A warning for people, or "" where there is nothing to warn of."""
    if len(accepted) < LEAST_ROWS:
        return ""
    keys = accepted[KEY_COLUMN].to_numpy()
    new = ~np.isin(keys, split.recorded_sides(store, keys)[0])
    if new.mean() < NEW_KEYS:
        return ""
    with store.read() as connection:
        active = datasets.active(connection)
    if active is None or not active.batches:
        return ""
    known = datasets.delivered(store, active.id, schema.COORDINATES)
    at_known = np.isin(_words(accepted), _words(known)).mean()
    if at_known < KNOWN_LOCATIONS:
        return ""
    return (
        f" {at_known:.0%} of its rows lie at locations of the dataset, and {new.mean():.0%} are "
        f"new districts by their keys. Where they are known ones with other values, only the same "
        f"`{schema.ID_COLUMN}` in both deliveries makes them corrections."
    )


def _words(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """One word for each location; shape (n,)."""
    state = np.zeros(len(frame), dtype=np.uint64)
    for name in schema.COORDINATES:
        resolution = schema.CATALOGUE[name].resolution or 1.0
        steps = np.rint(frame[name].to_numpy(dtype=np.float64) / resolution).astype(np.int64)
        state = mix(state ^ mix(steps.view(np.uint64)))
    return state
