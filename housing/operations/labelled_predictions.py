"""True prices joined with the answers that were given before they came.

A price counts once: for the newest answer of each model before the first price that the district
ever had. A district that the model was made of, or that had a price before it was asked about, says
nothing about how well prices are predicted, however often it is delivered; neither does a withdrawn
batch. Reading goes on from a cursor over the labels; answers are read a file at a time, of each the
keys, and the other columns where a key has a new price.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.keys import KEY_COLUMN
from housing.schema import TARGET
from housing.store.data import datasets
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.tables import batches
from housing.store.database.tables import models as models_table
from housing.store.runs import predictions
from housing.store.runs.predictions import AT, MODEL

LABEL, CAME_AT, ORIGIN, ANSWERS_OF = "label", "came_at", "origin", "answers_of"
SHADOW, SHADOW_PREDICTED = "shadow_model", "shadow_predicted"
ANSWER_COLUMNS = (
    AT, MODEL, KEY_COLUMN, "predicted", "lower", "upper", "extrapolates", SHADOW, SHADOW_PREDICTED,
)  # fmt: skip
MATCHED_COLUMNS = (*ANSWER_COLUMNS, ANSWERS_OF, LABEL, CAME_AT, ORIGIN)

Keys = npt.NDArray[np.int64]
Cursor = dict[str, Any]
START: Mapping[str, Any] = {"batch": 0, "skipped": (), "labels": 0}


@dataclass(frozen=True)
class LabelSource:
    """Something that holds true prices: a batch of the dataset, or labels by themselves."""

    origin: str  # b5, l3
    segment: str
    column: str
    came_at: datetime


def answers(store: Store, *, after: int = 0, inputs: tuple[str, ...] = ()) -> pd.DataFrame:
    """Logged answers of the batches after one, oldest first; empty where there are none."""
    with store.read() as connection:
        batches_of_answers = predictions.since(connection, after)
    wanted = (*ANSWER_COLUMNS, *inputs)
    tables = [get_table(store, row.segment, wanted).to_pandas() for row in batches_of_answers]
    if not tables:
        return pd.DataFrame(columns=list(wanted))
    found: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return found


# --- where prices come from -----------------------------------------------------------------


def standing_batches(connection: Connection) -> set[int]:
    """Batches whose rows count: those of the active dataset, and those that wait for it."""
    active = datasets.active(connection)
    return {*(active.batches if active else ()), *datasets.waiting(connection)}


def advance(cursor: Mapping[str, Any], known: set[int], standing: set[int]) -> Cursor:
    """A cursor beyond all batches of now; one that never stood may come to stand later.

    One that has been looked at is none of them, whether it stands now or not: when it is restored,
    what was seen of it counts again.
    """
    newest = max(known, default=cursor["batch"])
    skipped = {batch for batch in known - standing if is_new(batch, cursor)}
    return {**cursor, "batch": newest, "skipped": sorted(skipped)}


def is_new(batch: int, cursor: Mapping[str, Any]) -> bool:
    """Whether a standing batch has not been looked at."""
    return batch > cursor["batch"] or batch in cursor["skipped"]


def new_sources(store: Store, cursor: Mapping[str, Any]) -> tuple[list[LabelSource], Cursor]:
    """Sources of labels beyond a cursor, and the cursor beyond them."""
    with store.read() as connection:
        standing = standing_batches(connection)
        known = set(connection.execute(sa.select(batches.c.id)).scalars())
        every = _sources(connection, standing)
        labels = max((s.id for s in predictions.label_batches_all(connection)), default=0)
    after = {**advance(cursor, known, standing), "labels": max(labels, cursor["labels"])}
    return [s for s in every if _beyond(s, cursor)], after


def _beyond(source: LabelSource, cursor: Mapping[str, Any]) -> bool:
    number = int(source.origin[1:])
    return number > cursor["labels"] if source.origin[0] == "l" else is_new(number, cursor)


def _sources(connection: Connection, standing: set[int]) -> list[LabelSource]:
    """Everything that holds prices now, in the order in which it came."""
    query = sa.select(batches.c.id, batches.c.segment, batches.c.recorded_at)
    found = [
        LabelSource(f"b{row.id}", row.segment, TARGET, row.recorded_at)
        for row in connection.execute(query.where(batches.c.segment.is_not(None)))
        if row.id in standing
    ]
    found += [
        LabelSource(f"l{row.id}", row.segment, LABEL, row.recorded_at)
        for row in predictions.label_batches_all(connection)
        if row.segment is not None
    ]
    return sorted(found, key=lambda source: source.came_at)


# --- matching -------------------------------------------------------------------------------


def matched(store: Store, cursor: Mapping[str, Any]) -> tuple[pd.DataFrame, Cursor]:
    """Answers whose district got its first price beyond the cursor, and the cursor beyond it.

    A row for each model and district, with `label`, `came_at`, `origin` and `answers_of`, the
    number of the file of answers.
    """
    sources, after = new_sources(store, cursor)
    with store.read() as connection:
        files = predictions.given_before(
            connection, max((s.came_at for s in sources), default=None)
        )
    labels = _labels(store, [s for s in sources if files and s.came_at > files[0].first_at])
    parts = [_of_file(store, row, labels) for row in files] if len(labels) else []
    found = pd.concat([p for p in parts if len(p)] or [pd.DataFrame(columns=list(MATCHED_COLUMNS))])
    found = found.sort_values(AT, kind="stable").drop_duplicates([MODEL, KEY_COLUMN], keep="last")
    return _without_known(store, found.reset_index(drop=True)), after


def _labels(store: Store, sources: list[LabelSource]) -> pd.DataFrame:
    """Key, label, came_at and origin of the first price of each district among some sources."""
    parts = []
    for source in sources:
        table = get_table(store, source.segment, (KEY_COLUMN, source.column)).to_pandas()
        table = table.rename(columns={source.column: LABEL})
        table[CAME_AT], table[ORIGIN] = pd.Timestamp(source.came_at), source.origin
        parts.append(table)
    if not parts:
        return pd.DataFrame({KEY_COLUMN: np.zeros(0, np.int64)})
    frame: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return frame.drop_duplicates(KEY_COLUMN, keep="first").sort_values(KEY_COLUMN)


def _of_file(store: Store, row: Any, labels: pd.DataFrame) -> pd.DataFrame:
    """The answers of one file that have a new label; a model's newest for each district."""
    wanted = labels[KEY_COLUMN].to_numpy(np.int64)
    table = predictions.rows_of_keys(store, row.segment, wanted, ANSWER_COLUMNS)
    if table is None:
        return pd.DataFrame(columns=list(MATCHED_COLUMNS))
    joined: pd.DataFrame = table.to_pandas().merge(labels, on=KEY_COLUMN)
    joined = joined[joined[CAME_AT] > joined[AT]].sort_values(AT, kind="stable")
    return joined.drop_duplicates([MODEL, KEY_COLUMN], keep="last").assign(**{ANSWERS_OF: row.id})


def _without_known(store: Store, found: pd.DataFrame) -> pd.DataFrame:
    """Without districts that had a price before, or that the model was made of."""
    if found.empty:
        return found
    wanted = found[KEY_COLUMN].to_numpy(np.int64)
    with store.read() as connection:
        sources = _sources(connection, standing_batches(connection))
    first: dict[int, datetime] = {}
    for source in sources:  # oldest first
        for key in _present(store, source.segment, wanted):
            first.setdefault(int(key), source.came_at)
    fresh = np.array([first.get(k) == c for k, c in zip(wanted, found[CAME_AT], strict=True)])
    for model in found[MODEL].unique():
        of_model = (found[MODEL] == model).to_numpy()
        fresh[of_model] &= ~np.isin(wanted[of_model], made_of(store, int(model), wanted))
    return found[fresh].reset_index(drop=True)


def made_of(store: Store, model: int, wanted: Keys) -> Keys:
    """Those of some keys that are in the dataset version from which a model was made."""
    with store.read() as connection:
        query = sa.select(models_table.c.version).where(models_table.c.id == model)
        version = connection.execute(query).scalar_one()
        segments = segments_of(connection, datasets.get(connection, version).batches)
    return known_keys(store, segments, wanted)


def segments_of(connection: Connection, members: tuple[int, ...] | set[int]) -> list[str]:
    """Segments of some batches."""
    query = sa.select(batches.c.id, batches.c.segment).where(batches.c.segment.is_not(None))
    return [row.segment for row in connection.execute(query) if row.id in members]


def known_keys(store: Store, segments: list[str], wanted: Keys) -> Keys:
    """Those of some keys that are in one of the segments."""
    left, found = np.unique(wanted), [np.zeros(0, dtype=np.int64)]
    for digest in segments:
        if not len(left):
            break
        here = _present(store, digest, left)
        found.append(here)
        left = np.setdiff1d(left, here, assume_unique=True)
    return np.concatenate(found)


def _present(store: Store, digest: str, wanted: Keys) -> Keys:
    keys = get_table(store, digest, (KEY_COLUMN,))[KEY_COLUMN].to_numpy()
    return np.intersect1d(keys, wanted)


def asked_and_paid(
    store: Store, model: int, rows: pd.DataFrame, columns: tuple[str, ...]
) -> pd.DataFrame:
    """What a model was asked before the price came, and the price: `key`, the columns, `label`.

    `rows` have `key`, `origin` and `answers_of`. Those that were logged without inputs, or whose
    answers have expired, are left out.
    """
    parts = [
        *_asked(store, model, rows.merge(_paid(store, rows), on=[KEY_COLUMN, ORIGIN]), columns)
    ]
    wanted = [KEY_COLUMN, *columns, LABEL]
    if not parts:
        return pd.DataFrame(columns=wanted)
    found = pd.concat(parts, ignore_index=True)[wanted]
    return found.dropna(subset=[c for c in columns if found[c].dtype == object])


def _paid(store: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """The price of each row in the batch of labels that it names."""
    with store.read() as connection:
        sources = _sources(connection, standing_batches(connection))
    named = set(rows[ORIGIN])
    parts = [_labels(store, [source]) for source in sources if source.origin in named]
    columns = [KEY_COLUMN, LABEL, CAME_AT, ORIGIN]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _asked(
    store: Store, model: int, rows: pd.DataFrame, columns: tuple[str, ...]
) -> Iterator[pd.DataFrame]:
    with store.read() as connection:
        files = {row.id: row for row in predictions.since(connection, 0) if row.has_inputs}
    for number, part in rows.groupby(ANSWERS_OF):
        if number not in files:
            continue
        keys = part[KEY_COLUMN].to_numpy(np.int64)
        wanted = (AT, MODEL, KEY_COLUMN, *columns)
        table = predictions.rows_of_keys(store, files[number].segment, keys, wanted)
        if table is not None and set(columns) <= set(table.column_names):
            asked = table.to_pandas().merge(part[[KEY_COLUMN, LABEL, CAME_AT]], on=KEY_COLUMN)
            asked = asked[(asked[MODEL] == model) & (asked[AT] < asked[CAME_AT])]
            yield asked.sort_values(AT, kind="stable").drop_duplicates(KEY_COLUMN, keep="last")
