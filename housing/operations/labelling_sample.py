"""Labelling sample: uncertain, disputed and random rows.

The file has an empty column for the true value. `housing ingest --audit` reads the completed file;
each row has its id, or its key as one, so it is known as the same row.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing import schema
from housing.errors import NotPossible
from housing.evaluation.conformal import FLOOR
from housing.inference.columns import columns_of_frame
from housing.inference.file_scoring import NUMBERS
from housing.inference.loaded_model import load
from housing.keys import KEY_COLUMN, ids_of_keys
from housing.operations.labelled_predictions import logged
from housing.operations.predict import champion_of
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.models import registry
from housing.store.objects.filesystem import write_page
from housing.store.runs.predictions import AT

REASON = schema.unused_name("picked_for")
OTHER = schema.unused_name("other")
WIDEST, DISAGREEMENT, RANDOM = "widest interval", "models disagree", "random"
SHARES = {WIDEST: 0.4, DISAGREEMENT: 0.4, RANDOM: 0.2}
"""Of the sample. The random part estimates the error; the others find large errors."""


def sample(store: Store, count: int, *, seed: int, other: int | None = None) -> pd.DataFrame:
    """Rows to check: id, features, an empty target, predictions, why each was picked.

    From logged predictions with their inputs if there are any, else from the active dataset. The
    second model is the newest that is not champion, unless named. NotPossible without a champion.
    """
    champion = champion_of(store, "An audit")
    with store.read() as connection:
        other = other if other is not None else registry.newest_besides(connection, [champion])
        if other is not None:
            registry.model(connection, other)
    pool = _pool(store)
    served = load(store, champion)
    columns = columns_of_frame(pool)
    found = served.predictions(columns)
    pool = pool.assign(**{schema.unused_name(name): getattr(found, name) for name in NUMBERS})
    second = None if other is None or other == champion else load(store, other)
    # Relative to the prediction, unless that is next to nothing beside the others.
    size = np.abs(found.predicted)
    size = np.maximum(size, FLOOR * float(np.median(size)) or 1.0)
    difference = np.zeros(len(pool))
    if second is not None:
        pool[OTHER] = second.predict(columns)
        difference = np.abs(pool[OTHER].to_numpy() - found.predicted) / size
    width = np.nan_to_num((found.upper - found.lower) / size)
    return _picked(pool, width, difference, count, np.random.default_rng(seed))


def _pool(store: Store) -> pd.DataFrame:
    """One row per key, as in its last request, or as the dataset has it."""
    requests = logged(store, inputs=schema.FEATURES)
    if len(requests) and set(schema.FEATURES) <= set(requests.columns):
        requests = requests.dropna(subset=list(schema.REQUIRED)).sort_values(AT, kind="stable")
        requests = requests.drop_duplicates(KEY_COLUMN, keep="last")
        if len(requests):
            kinds = schema.dtypes(schema.FEATURES)
            return _identified(requests.astype(kinds))
    active = store.query(datasets.active)
    if active is None:
        raise NotPossible(what="An audit", why="there are no rows; `housing retrain` ingests some.")
    columns = (*schema.FEATURES, schema.ID_COLUMN)
    return _identified(datasets.read(store, active.id, columns=columns))


def _identified(rows: pd.DataFrame) -> pd.DataFrame:
    """The features of rows and their ids: their own, or one that stands for their key."""
    ids = pd.Series(ids_of_keys(rows[KEY_COLUMN].to_numpy()), index=rows.index, dtype="str")
    if schema.ID_COLUMN in rows:
        ids = rows[schema.ID_COLUMN].fillna(ids)
    found = rows[list(schema.FEATURES)].assign(**{schema.ID_COLUMN: ids})
    return found.reset_index(drop=True)


def _picked(
    pool: pd.DataFrame,
    width: npt.NDArray[np.float64],
    difference: npt.NDArray[np.float64],
    count: int,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """The largest of each kind, each row once, and the rest by chance."""
    reason = np.full(len(pool), "", dtype=object)
    for name, values in ((WIDEST, width), (DISAGREEMENT, difference)):
        wanted = round(count * SHARES[name]) if values.any() else 0
        order = np.argsort(-values, kind="stable")
        reason[order[reason[order] == ""][:wanted]] = name
    free = generator.permutation(np.flatnonzero(reason == ""))
    reason[free[: max(count - int(np.sum(reason != "")), 0)]] = RANDOM
    rows = np.flatnonzero(reason != "")
    picked = pool.iloc[rows].copy()
    picked[REASON], picked[schema.TARGET] = reason[rows], np.nan
    first = [schema.ID_COLUMN, *schema.FEATURES, schema.TARGET, REASON]
    return picked[[*first, *(c for c in picked.columns if c not in first)]]


def write_sample(store: Store, path: Path, count: int, *, seed: int, other: int | None) -> int:
    """Write a sample as CSV; returns its rows. NotPossible where the file is there already."""
    if path.exists():
        raise NotPossible(
            what=f"Writing {path}", why="the file exists and may have labels already. Name another."
        )
    found = sample(store, count, seed=seed, other=other)
    write_page(path.resolve(), found.to_csv(index=False).encode())
    return len(found)
