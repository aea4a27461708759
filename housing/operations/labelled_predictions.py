"""Logged predictions joined with labels that arrived later.

A label counts for the newest prediction of each model before the first label that the row ever had.
Rows of the model's own dataset version, rows that had a label before they were predicted, and
withdrawn batches do not count; the next label of a withdrawn row does. Reading resumes from a
cursor over the labels. Of a file of predictions the keys are read, and the other columns where a
key has a new label.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.keys import KEY_COLUMN, Keys, among
from housing.problem import MARK
from housing.schema import TARGET
from housing.store.data import datasets, parts
from housing.store.data.parts import Part
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.tables import batches
from housing.store.database.tables import models as models_table
from housing.store.runs import labelled, predictions
from housing.store.runs.labelled import BATCH, LABEL, LABELLED_AT, ORIGIN
from housing.store.runs.predictions import AT, MODEL, SHADOW, SHADOW_PREDICTED

LOGGED = (AT, MODEL, KEY_COLUMN, *predictions.OUTPUTS, SHADOW, SHADOW_PREDICTED)
LABELS = (KEY_COLUMN, LABEL, LABELLED_AT, ORIGIN)
MATCHED = (*LOGGED, BATCH, *LABELS[1:])
PREDICTED_AT, IS_SHADOW = f"{MARK}predicted_at", f"{MARK}shadow"

Cursor = dict[str, Any]
START: Mapping[str, Any] = {"batch": 0, "skipped": (), "withdrawn": (), "labels": 0}


@dataclass(frozen=True)
class LabelSource:
    """A batch of rows (b5) or a batch of labels (l3), whose labels are in a segment."""

    origin: str
    segment: str  # that a batch of rows had when it was ingested
    recorded_at: datetime

    @property
    def batch(self) -> int | None:
        """The batch of rows; None for a batch of labels."""
        return int(self.origin[1:]) if self.origin[0] == "b" else None


def logged(store: Store, *, inputs: tuple[str, ...] = ()) -> pd.DataFrame:
    """All logged predictions, oldest first, with these inputs where they were logged."""
    wanted = (*LOGGED, *inputs)
    files = store.query(predictions.since, 0)
    tables = [get_table(store, row.segment, wanted).to_pandas() for row in files]
    return joined(tables, wanted)


def joined(parts: Sequence[pd.DataFrame], columns: Collection[str]) -> pd.DataFrame:
    """The non-empty parts below each other, or no rows with these columns."""
    filled = [part for part in parts if len(part)] or [pd.DataFrame(columns=list(columns))]
    return pd.concat(filled, ignore_index=True)


# --- sources of labels ----------------------------------------------------------------------


def valid_batches(connection: Connection) -> set[int]:
    """Batches whose rows count: those of the active dataset, and those that wait for it."""
    active = datasets.active(connection)
    return {*(active.batches if active else ()), *datasets.waiting(connection)}


def advance(cursor: Mapping[str, Any], known: set[int], valid: set[int]) -> Cursor:
    """A cursor beyond all known batches; it names unread ones that are not valid and may become so.

    A batch that was read is not among them, valid or not: if it is restored, what was read of it
    counts again.
    """
    newest = max(known, default=cursor["batch"])
    skipped = {batch for batch in known - valid if is_new(batch, cursor)}
    return {**cursor, "batch": newest, "skipped": sorted(skipped)}


def is_new(batch: int, cursor: Mapping[str, Any]) -> bool:
    """Whether a valid batch has not been read yet."""
    return batch > cursor["batch"] or batch in cursor["skipped"]


def new_sources(store: Store, cursor: Mapping[str, Any]) -> tuple[list[LabelSource], Cursor]:
    """Sources of labels beyond a cursor, and the cursor beyond them."""
    with store.read() as connection:
        valid = valid_batches(connection)
        known = set(connection.execute(sa.select(batches.c.id)).scalars())
        sources = _sources(connection, valid)
        labels = max((s.id for s in predictions.label_batches_all(connection)), default=0)
        withdrawn = {b for b in known - valid if not is_new(b, cursor)}
    after = {**advance(cursor, known, valid), "labels": max(labels, cursor["labels"])}
    after["withdrawn"] = sorted(withdrawn)
    return [source for source in sources if _is_beyond(source, cursor)], after


def _is_beyond(source: LabelSource, cursor: Mapping[str, Any]) -> bool:
    number = int(source.origin[1:])
    return number > cursor["labels"] if source.origin[0] == "l" else is_new(number, cursor)


def _sources(connection: Connection, valid: set[int]) -> list[LabelSource]:
    """Every source of labels that counts, oldest first."""
    rows = connection.execute(sa.select(batches.c.id, batches.c.segment, batches.c.recorded_at))
    found = [
        LabelSource(f"b{row.id}", row.segment, row.recorded_at)
        for row in rows
        if row.segment is not None and row.id in valid
    ]
    found += [
        LabelSource(f"l{row.id}", row.segment, row.recorded_at)
        for row in predictions.label_batches_all(connection)
        if row.segment is not None
    ]
    return sorted(found, key=lambda source: source.recorded_at)


def _tables(
    store: Store, sources: Sequence[LabelSource], *, labels: bool
) -> Iterator[tuple[LabelSource, pa.Table]]:
    """Keys of each source and, if asked for, its labels under their name there; in no order."""
    of_rows = {source.batch: source for source in sources if source.batch is not None}
    found = store.query(parts.parts, list(of_rows))
    for batch, table in parts.each(store, found, [KEY_COLUMN, *[TARGET] * labels]):
        yield of_rows[batch], table
    for source in (source for source in sources if source.batch is None):
        yield source, get_table(store, source.segment, [KEY_COLUMN, *[LABEL] * labels])


# --- matching -------------------------------------------------------------------------------


def matched(store: Store, cursor: Mapping[str, Any]) -> tuple[pd.DataFrame, Cursor]:
    """Predictions whose row got its first label beyond the cursor, and the cursor beyond it.

    One row per model and row of data, with the columns `MATCHED`; BATCH is that of predictions.
    """
    sources, after = new_sources(store, cursor)
    gone = set(after["withdrawn"]) - set(cursor["withdrawn"])
    with store.read() as connection:
        every = _sources(connection, valid_batches(connection)) if gone else sources
        newest = max((source.recorded_at for source in every), default=None)
        files = predictions.logged_before(connection, newest)
    late = [s for s in every if files and s.recorded_at > files[0].first_at]
    labels = [_labels(store, [s for s in late if s in sources])]
    if gone:
        labels.insert(0, _labels(store, late, parts.keys_of(store, sorted(gone))))
    wanted = joined(labels, LABELS).drop_duplicates(KEY_COLUMN).sort_values(KEY_COLUMN)
    read = [_of_file(store, row, wanted) for row in files] if len(wanted) else []
    found = joined(read, MATCHED).sort_values(AT, kind="stable")
    found = found.drop_duplicates([MODEL, KEY_COLUMN], keep="last", ignore_index=True)
    found = _without_known(store, found)
    return _without_recorded(store, found) if gone else found, after


def _without_recorded(store: Store, found: pd.DataFrame) -> pd.DataFrame:
    """Without predictions that are recorded with the same label."""
    recorded = store.query(labelled.matched_with, found[ORIGIN].unique().tolist())
    same = zip(found[MODEL], found[KEY_COLUMN], found[ORIGIN], strict=True)
    new = np.array([one not in recorded for one in same], dtype=np.bool_)
    return found[new].reset_index(drop=True)


def _labels(store: Store, sources: list[LabelSource], keys: Keys | None = None) -> pd.DataFrame:
    """`LABELS` of the first label of each row among some sources; of some keys if given."""
    read = {
        source.origin: table.to_pandas().rename(columns={TARGET: LABEL})
        .assign(**{LABELLED_AT: pd.Timestamp(source.recorded_at), ORIGIN: source.origin})
        for source, table in _tables(store, sources, labels=True)
    }  # fmt: skip
    frames = [read[source.origin] for source in sources]
    if keys is not None:
        frames = [frame[frame[KEY_COLUMN].isin(keys)] for frame in frames]
    return joined(frames, LABELS).drop_duplicates(KEY_COLUMN, keep="first")


def _of_file(store: Store, row: Any, labels: pd.DataFrame) -> pd.DataFrame:
    """Predictions of one file with a new label; of a model the newest for each row of data."""
    wanted = labels[KEY_COLUMN].to_numpy(np.int64)
    table = predictions.rows_of_keys(store, row.segment, wanted, LOGGED)
    if table is None:
        return pd.DataFrame(columns=list(MATCHED))
    found: pd.DataFrame = table.to_pandas().merge(labels, on=KEY_COLUMN)
    found = found[found[LABELLED_AT] > found[AT]].sort_values(AT, kind="stable")
    return found.drop_duplicates([MODEL, KEY_COLUMN], keep="last").assign(**{BATCH: row.id})


def _without_known(store: Store, found: pd.DataFrame) -> pd.DataFrame:
    """Without rows that had a label before, or that are in the model's own dataset version."""
    if found.empty:
        return found
    wanted = found[KEY_COLUMN].to_numpy(np.int64)
    with store.read() as connection:
        sources = _sources(connection, valid_batches(connection))
    first: dict[int, datetime] = {}
    for source, table in _tables(store, sources, labels=False):
        for key in wanted[among(wanted, table[KEY_COLUMN].to_numpy())].tolist():
            first[key] = min(first.get(key, source.recorded_at), source.recorded_at)
    fresh = np.array([first.get(k) == at for k, at in zip(wanted, found[LABELLED_AT], strict=True)])
    for model in found[MODEL].unique():
        of_model = (found[MODEL] == model).to_numpy()
        fresh[of_model] &= ~among(wanted[of_model], known_to(store, int(model), wanted))
    return found[fresh].reset_index(drop=True)


def known_to(store: Store, model: int, wanted: Keys) -> Keys:
    """Those of some keys that are in the dataset version that a model was trained on."""
    with store.read() as connection:
        query = sa.select(models_table.c.version).where(models_table.c.id == model)
        members = datasets.get(connection, connection.execute(query).scalar_one()).batches
        found = parts.parts(connection, members)
    return known_keys(store, found, wanted)


def known_keys(store: Store, searched: Sequence[Part], wanted: Keys) -> Keys:
    """Those of some keys that are in one of the parts."""
    found: Keys = np.zeros(0, dtype=np.int64)
    for part in searched:
        missing = wanted[~among(wanted, found)]
        if not len(missing):
            break
        keys = parts.read(store, part, (KEY_COLUMN,))[KEY_COLUMN].to_numpy()
        found = np.concatenate([found, missing[among(missing, keys)]])
    return found


def as_recorded(found: pd.DataFrame) -> pd.DataFrame:
    """Matched predictions with the columns `labelled.COLUMNS`; a shadow's are rows of their own."""
    own = found.rename(columns={AT: PREDICTED_AT}).assign(**{IS_SHADOW: False})
    parts = [own]
    if SHADOW_PREDICTED in found:
        of_shadow = own.dropna(subset=[SHADOW_PREDICTED])
        facts: dict[str, Any] = {MODEL: of_shadow[SHADOW].astype("int64"), IS_SHADOW: True}
        facts |= dict.fromkeys((predictions.LOWER, predictions.UPPER))
        facts[predictions.PREDICTED] = of_shadow[SHADOW_PREDICTED]
        parts.append(of_shadow.assign(**facts))
    return joined([part[list(labelled.COLUMNS)] for part in parts], labelled.COLUMNS)


def with_inputs(store: Store, rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Key, inputs and label of recorded rows whose inputs are in the log."""
    files = {row.id: row for row in store.query(predictions.since, 0) if row.has_inputs}
    wanted = [KEY_COLUMN, *columns, LABEL]
    parts = []
    for batch, part in rows.groupby(BATCH):
        if batch not in files:
            continue
        keys, names = part[KEY_COLUMN].to_numpy(np.int64), (AT, MODEL, KEY_COLUMN, *columns)
        table = predictions.rows_of_keys(store, files[batch].segment, keys, names)
        if table is None or not set(columns) <= set(table.column_names):
            continue
        at = pd.to_datetime(part[PREDICTED_AT], utc=True)
        part = part[[MODEL, KEY_COLUMN, LABEL]].assign(**{AT: at})
        parts.append(table.to_pandas().merge(part, on=[MODEL, KEY_COLUMN, AT])[wanted])
    found = joined(parts, wanted).drop_duplicates(KEY_COLUMN)
    return found.dropna(subset=[c for c in columns if found[c].dtype == object])
