"""Fitted models as bytes, and back: the only place that deserialises.

The digest comes from SQL and is checked before a byte is unpickled (`BlobStore.get`); nothing
here takes a path, so no file that a user names can ever be loaded as a model.
"""

import io
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import Corrupt
from housing.store.blobs import Blob
from housing.store.engine import Store
from housing.store.segments import get_table, put_frame, to_frame
from housing.store.tables import blobs

FORMAT = "joblib.zst"
PREDICTION = "prediction"
GOLDEN_TOLERANCE = 1e-9
"""Relative; the same artifact in the same environment must give the same numbers."""


def put_model(store: Store, model: Any) -> Blob:
    """Store a fitted model."""
    plain = io.BytesIO()
    joblib.dump(model, plain)
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(plain.getbuffer())
    return store.blobs.put(packed.getvalue().to_pybytes(), FORMAT)


def get_model(store: Store, digest: str) -> Any:
    """A stored model; Corrupt or BlobMissing before anything is deserialised."""
    with store.read() as connection:
        suffix = _suffix(connection, digest)
    packed = store.blobs.get(digest, suffix)
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        return joblib.load(io.BytesIO(stream.read()))


def _suffix(connection: Connection, digest: str) -> str:
    query = sa.select(blobs.c.suffix).where(blobs.c.digest == digest)
    return str(connection.execute(query).scalar_one())


def put_golden(store: Store, rows: pd.DataFrame, predictions: np.ndarray[Any, Any]) -> Blob:
    """Store a few rows with what the model says of them now."""
    return put_frame(store, rows.assign(**{PREDICTION: predictions}).reset_index(drop=True))


def replay_golden(store: Store, digest: str, predict: Callable[[pd.DataFrame], Any]) -> float:
    """Predict the golden rows again; returns the worst relative difference (0 is the same).

    Corrupt where it exceeds GOLDEN_TOLERANCE.
    """
    golden = to_frame(get_table(store, digest))
    then = golden.pop(PREDICTION).to_numpy()
    worst = float(np.max(np.abs(np.asarray(predict(golden)) / then - 1.0)))
    if not worst <= GOLDEN_TOLERANCE:
        raise Corrupt(
            what="the model",
            why=f"its golden predictions differ by up to {worst:.2g} of what they were; "
            "the installed libraries may have changed",
        )
    return worst
