"""Predictions, and true values that arrived later, in SQL and as Parquet segments.

Joining the two belongs in `operations.labelled_predictions`, logging in `serving.prediction_log`.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import BlobMissing
from housing.keys import KEY_COLUMN, among
from housing.problem import MARK
from housing.store.data.segments import put_frame
from housing.store.database.engine import Store
from housing.store.database.tables import blobs, label_batches, prediction_batches, utc_now
from housing.store.models import retention
from housing.store.objects import deletion
from housing.store.objects.recording import record_blob

AT = f"{MARK}at"
MODEL = f"{MARK}model"
SEQ = f"{MARK}seq"
PREDICTED, LOWER, UPPER, EXTRAPOLATES = OUTPUTS = tuple(
    f"{MARK}{name}" for name in ("predicted", "lower", "upper", "extrapolates")
)
SHADOW, SHADOW_PREDICTED = f"{MARK}shadow_model", f"{MARK}shadow_predicted"
EXPIRED_AT_ONCE = 5_000
"""Rows that are deleted in one transaction; databases bound the values of one statement."""


def add(store: Store, frame: pd.DataFrame, *, has_inputs: bool) -> None:
    """Store predictions: AT (datetime64, UTC), MODEL (number), KEY_COLUMN and OUTPUTS."""
    segment = put_frame(store, frame)
    counts = frame[MODEL].value_counts()
    with store.unfenced().write() as connection:
        connection.execute(
            prediction_batches.insert().values(
                segment=record_blob(connection, segment, "answers"),
                rows=len(frame),
                models={f"m{model}": int(count) for model, count in counts.items()},
                has_inputs=has_inputs,
                first_at=frame[AT].min().to_pydatetime(),
                last_at=frame[AT].max().to_pydatetime(),
                recorded_at=utc_now(),
            )
        )


def since(connection: Connection, id_: int) -> Sequence[Row[Any]]:
    """Batches of predictions after the one with this id, oldest first."""
    query = sa.select(prediction_batches).where(prediction_batches.c.id > id_)
    return connection.execute(query.order_by(prediction_batches.c.id)).all()


def logged_before(connection: Connection, instant: datetime | None) -> Sequence[Row[Any]]:
    """Batches with predictions before an instant, oldest first; none for None."""
    if instant is None:
        return ()
    query = sa.select(prediction_batches).where(prediction_batches.c.first_at < instant)
    return connection.execute(query.order_by(prediction_batches.c.first_at)).all()


def rows_of_keys(
    store: Store, segment: str, keys: npt.NDArray[np.int64], columns: Sequence[str]
) -> pa.Table | None:
    """The rows of one batch with some keys, or None where there are none.

    Other columns than the keys are decoded only where there are such rows. None also where the
    batch has expired meanwhile.
    """
    its = sa.select(prediction_batches.c.id).where(prediction_batches.c.segment == segment)
    try:
        data = store.blobs.get(segment, "parquet")
    except BlobMissing:
        with store.read() as connection:
            if connection.execute(its).first() is not None:
                raise
        return None
    file = pq.ParquetFile(io.BytesIO(data))
    here = among(file.read(columns=[KEY_COLUMN])[KEY_COLUMN].to_numpy(), keys)
    if not here.any():
        return None
    present = [c for c in columns if c in file.schema_arrow.names]
    return file.read(columns=present).filter(pa.array(here))


def expire(store: Store, before: datetime) -> int:
    """Delete predictions logged before an instant; returns the number of batches.

    Rows are deleted before bytes: if the process dies between them, the bytes are marked and the
    next prune deletes them.
    """
    deleted = 0
    while True:
        with store.unfenced().write() as connection:
            ids, segments = _drop_rows(connection, before)
        deletion.delete_marked(store.unfenced(), sorted(segments))
        deleted += ids
        if ids < EXPIRED_AT_ONCE:
            return deleted


def _drop_rows(connection: Connection, before: datetime) -> tuple[int, set[str]]:
    """Delete some rows and mark their segments; how many rows, and segments that none names now."""
    query = sa.select(prediction_batches.c.id, prediction_batches.c.segment)
    old = query.where(prediction_batches.c.last_at < before).order_by(prediction_batches.c.id)
    rows = connection.execute(old.limit(EXPIRED_AT_ONCE)).all()
    these = prediction_batches.c.id.in_([row.id for row in rows])
    connection.execute(prediction_batches.delete().where(these))
    segments = {row.segment for row in rows}
    segments -= retention.referenced(connection, segments)
    dropped = blobs.update().where(blobs.c.digest.in_(segments))
    connection.execute(dropped.values(pruned_at=utc_now()))
    return len(rows), segments


def label_batch_with(connection: Connection, digest: str) -> Row[Any] | None:
    """The batch of labels with this content, or None."""
    query = sa.select(label_batches).where(label_batches.c.digest == digest)
    return connection.execute(query).one_or_none()


def label_batches_all(connection: Connection) -> Sequence[Row[Any]]:
    """Every batch of labels, oldest first."""
    return connection.execute(sa.select(label_batches).order_by(label_batches.c.id)).all()


def add_labels(store: Store, labels: pd.DataFrame, facts: dict[str, Any]) -> int | None:
    """Store true values (keys and labels); returns the id of the batch.

    None where another process stored the same content meanwhile.
    """
    segment = put_frame(store, labels) if len(labels) else None
    with store.write() as connection:
        if label_batch_with(connection, facts["digest"]) is not None:
            return None
        digest = None if segment is None else record_blob(connection, segment, "labels")
        new = label_batches.insert().values(
            **facts, rows=len(labels), segment=digest, recorded_at=utc_now()
        )
        return int(connection.execute(new.returning(label_batches.c.id)).scalar_one())
