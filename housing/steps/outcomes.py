"""Answers joined with what turned out to be true: the error of each version as it is lived.

A label counts for an answer only if it came after it: the price of a district that was known
already, perhaps to the model itself, says nothing about how well prices are foretold.
"""

from datetime import datetime

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.schema import TARGET
from housing.store import predictions
from housing.store.datasets import TAKEN
from housing.store.engine import Store
from housing.store.predictions import AT, MODEL
from housing.store.segments import KEY_COLUMN, get_table
from housing.store.tables import batches

LABEL, CAME_AT = "label", "came_at"
ANSWER_COLUMNS = (
    AT, MODEL, KEY_COLUMN, "predicted", "lower", "upper", "extrapolates",
    "shadow_model", "shadow_predicted",
)  # fmt: skip


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


def with_labels(store: Store, given: pd.DataFrame) -> pd.DataFrame:
    """The answers whose true price came after them, with `label` and `came_at`; each once."""
    if given.empty:
        return given.assign(**{LABEL: pd.Series(dtype=float), CAME_AT: pd.Series(dtype=object)})
    labels = _labels(store, given[AT].min().to_pydatetime(), set(given[KEY_COLUMN]))
    joined = given.reset_index(names="answer").merge(labels, on=KEY_COLUMN)
    joined = joined[joined[CAME_AT] > joined[AT]]
    # Of several labels the first that came: a later correction would judge with hindsight twice.
    first = joined.sort_values(CAME_AT, kind="stable").drop_duplicates("answer")
    matched: pd.DataFrame = first.sort_values("answer").drop(columns="answer")
    return matched.reset_index(drop=True)


def _labels(store: Store, since: datetime, wanted: set[int]) -> pd.DataFrame:
    with store.read() as connection:
        sources = [*_of_batches(connection, since), *_alone(connection, since)]
    parts = []
    for digest, came_at, column in sources:
        table = get_table(store, digest, (KEY_COLUMN, column)).to_pandas()
        table = table[table[KEY_COLUMN].isin(wanted)].rename(columns={column: LABEL})
        parts.append(table.assign(**{CAME_AT: came_at}))
    if not parts:
        return pd.DataFrame({KEY_COLUMN: [], LABEL: [], CAME_AT: pd.to_datetime([], utc=True)})
    labels: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return labels


def _of_batches(connection: Connection, since: datetime) -> list[tuple[str, datetime, str]]:
    """Batches of whole districts that came since, and were let in."""
    query = sa.select(batches.c.segment, batches.c.recorded_at).where(
        batches.c.recorded_at >= since,
        batches.c.status.in_(TAKEN),
        batches.c.segment.is_not(None),
    )
    return [(row.segment, row.recorded_at, TARGET) for row in connection.execute(query)]


def _alone(connection: Connection, since: datetime) -> list[tuple[str, datetime, str]]:
    return [
        (row.segment, row.recorded_at, LABEL)
        for row in predictions.label_batches_all(connection)
        if row.segment is not None and row.recorded_at >= since
    ]
