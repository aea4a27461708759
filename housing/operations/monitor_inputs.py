"""Rows that arrived since the last run of the monitor: requests, and rows of batches.

Reading is bounded: of many rows every k-th is taken, and of a file only the columns that are asked
for. Joining predictions with later labels belongs in `labelled_predictions`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from housing import schema
from housing.keys import KEY_COLUMN, Keys, among
from housing.operations import labelled_predictions
from housing.store.data import datasets, parts
from housing.store.data.near_duplicate_lookup import leaking_rows
from housing.store.data.parts import Part
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import batches
from housing.store.runs import predictions
from housing.store.runs.labelled import ORIGIN
from housing.store.runs.predictions import MODEL, PREDICTED
from housing.training.fingerprints import fingerprints

MOST_ROWS = 20_000
"""Rows of one window; of more, every k-th."""
MOST_FILES = 200
"""Files of logged predictions that a window reads; of more, every k-th."""


@dataclass(frozen=True)
class LoggedPredictions:
    """Predictions of one model after a cursor, by SQL alone: no file is read."""

    rows: int
    segments: tuple[str, ...]  # of the files with inputs and with such rows
    newest: int  # of all files


def logged_since(store: Store, model: int, after: int) -> LoggedPredictions:
    """The predictions of a model that were logged with their inputs after a file."""
    files = store.query(predictions.since, after)
    own = [row for row in files if row.has_inputs and f"m{model}" in row.models]
    rows = sum(row.models[f"m{model}"] for row in own)
    newest = max((row.id for row in files), default=after)
    return LoggedPredictions(rows, tuple(row.segment for row in own), newest)


def sample(store: Store, model: int, found: LoggedPredictions) -> pd.DataFrame:
    """Features and predictions of at most MOST_ROWS of these predictions, evenly spread."""
    segments = found.segments[:: -(-len(found.segments) // MOST_FILES) or 1]
    most = max(MOST_ROWS // max(len(segments), 1), 1)
    parts = []
    for digest in segments:
        table = get_table(store, digest, (MODEL, PREDICTED, *schema.FEATURES)).to_pandas()
        own = table[table[MODEL] == model].dropna(subset=list(schema.REQUIRED))
        parts.append(own[:: max(-(-len(own) // most), 1)])
    columns = [PREDICTED, *schema.FEATURES]
    frame = labelled_predictions.joined(parts, columns)[columns]
    return frame.astype(schema.dtypes(schema.FEATURES))


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Key, features and target, with the types of the catalogue."""
    columns = [KEY_COLUMN, *schema.FEATURES, schema.TARGET]
    return frame[columns].astype(schema.dtypes((*schema.FEATURES, schema.TARGET)))


def rows_of_batches(store: Store, labelled: pd.DataFrame) -> pd.DataFrame:
    """Key, features and target of rows of batches; `labelled` has keys and origins."""
    with store.read() as connection:
        wanted = {
            int(str(origin)[1:]): rows[KEY_COLUMN].to_numpy()
            for origin, rows in labelled.groupby(ORIGIN)
        }
        found = parts.parts(connection, list(wanted))
    columns = [KEY_COLUMN, *schema.FEATURES, schema.TARGET]
    return typed(labelled_predictions.joined(_of_batches(store, found, wanted), columns))


# --- rows of new batches --------------------------------------------------------------------


def of_batches(
    store: Store, version: int, cursor: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows of valid batches beyond a cursor that neither `version` nor a batch before has.

    Key, catalogue columns and origin of at most MOST_ROWS, evenly spread, and the cursor beyond
    them. A row that is delivered again, corrected or not, is not new, and neither is a
    near-duplicate of a known one; a withdrawn batch does not count.
    """
    with store.read() as connection:
        members = {*datasets.get(connection, version).batches}
        valid = labelled_predictions.valid_batches(connection)
        ids = set(connection.execute(sa.select(batches.c.id)).scalars())
        entered = sorted(b for b in valid - members if labelled_predictions.is_new(b, cursor))
        new = parts.parts(connection, entered)
        before = parts.parts(connection, sorted((members | valid) - set(entered)))
    after = labelled_predictions.advance(cursor, ids, valid)
    picked = _new_keys(store, new, before) if new else {}
    rows = sum(len(keys) for keys in picked.values())
    step = max(-(-rows // MOST_ROWS), 1)
    thinned = {batch: keys[::step] for batch, keys in picked.items()}
    columns = [KEY_COLUMN, *schema.CATALOGUE, ORIGIN]
    frame = labelled_predictions.joined(_of_batches(store, new, thinned), columns)
    return _without_copies(store, frame.astype(schema.dtypes()), before), after


def _without_copies(store: Store, frame: pd.DataFrame, before: Sequence[Part]) -> pd.DataFrame:
    """Without near-duplicates of rows in earlier parts, which are read one at a time."""
    if frame.empty:
        return frame
    prints, copies = fingerprints(frame), np.zeros(len(frame), dtype=np.bool_)
    for part in before:
        known = to_frame(parts.read(store, part, (KEY_COLUMN, *schema.CATALOGUE)))
        copies |= leaking_rows(store, prints, fingerprints(known))
    return frame[~copies].reset_index(drop=True)


def _new_keys(store: Store, new: Sequence[Part], before: Sequence[Part]) -> dict[int, Keys]:
    """For each new batch the keys that no batch had before; one that two have is the first's."""
    keys = {
        batch: table[KEY_COLUMN].to_numpy()
        for batch, table in parts.each(store, new, (KEY_COLUMN,))
    }
    seen = labelled_predictions.known_keys(store, [*before], np.concatenate([*keys.values()]))
    found = {}
    for batch, own in keys.items():
        found[batch] = own[~among(own, seen)]
        seen = np.concatenate([seen, found[batch]])
    return found


def _of_batches(
    store: Store, found: Sequence[Part], wanted: Mapping[int, Keys]
) -> list[pd.DataFrame]:
    """The rows of some batches with the wanted keys of each."""
    frames = []
    for batch, table in parts.each(store, found, (KEY_COLUMN, *schema.CATALOGUE)):
        frame = to_frame(table)
        frame = frame[frame[KEY_COLUMN].isin(wanted[batch])]
        frames.append(
            frame.drop_duplicates(KEY_COLUMN, keep="last").assign(**{ORIGIN: f"b{batch}"})
        )
    return frames
