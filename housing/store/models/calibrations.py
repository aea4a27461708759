"""Calibration data of models: facts as JSON in SQL, the training index as a Parquet blob.

`inference.calibration` defines their content.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.store.data.segments import put_frame
from housing.store.database.engine import Store
from housing.store.database.tables import calibrations, utc_now
from housing.store.objects.recording import record_blob


def get(connection: Connection, model: int) -> Row[Any] | None:
    """A model's calibration (facts, digest of its training index), or None."""
    query = sa.select(calibrations).where(calibrations.c.model == model)
    return connection.execute(query).one_or_none()


def put(store: Store, model: int, facts: Mapping[str, Any], training_index: pd.DataFrame) -> None:
    """Store a calibration; an earlier one, whose training index was pruned, is replaced."""
    blob = put_frame(store, training_index)
    with store.write() as connection:
        index = {"training_index": record_blob(connection, blob, "training_index")}
        new = {"model": model, "facts": dict(facts), "created_at": utc_now(), **index}
        connection.execute(calibrations.delete().where(calibrations.c.model == model))
        connection.execute(calibrations.insert().values(**new))
