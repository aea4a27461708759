"""Companions of models in SQL and blobs: facts as JSON, places as a Parquet table.

What is in them belongs in `serving.companion`; here they are only kept and found again.
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
    """A model's companion (facts, digest of its places), or None where none was made yet."""
    query = sa.select(calibrations).where(calibrations.c.model == model)
    return connection.execute(query).one_or_none()


def put(store: Store, model: int, facts: Mapping[str, Any], places: pd.DataFrame) -> None:
    """Keep a companion; where another process was first, its equal one stays."""
    blob = put_frame(store, places)
    with store.write() as connection:
        if get(connection, model) is None:
            digest = record_blob(connection, blob, "training_index")
            connection.execute(
                calibrations.insert().values(
                    model=model, training_index=digest, facts=dict(facts), created_at=utc_now()
                )
            )
