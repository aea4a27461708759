"""Tables as immutable Parquet blobs: how a frame becomes bytes and comes back, unchanged.

Same rows, same order, same library versions: same bytes, hence the same digest.
"""

import io
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from housing import schema
from housing.errors import Corrupt
from housing.store.database.engine import Store
from housing.store.objects.blobs import Blob


def put_frame(store: Store, frame: pd.DataFrame) -> Blob:
    """Store a frame as Parquet; the row index is not kept."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return put_table(store, table)


def put_table(store: Store, table: pa.Table) -> Blob:
    """Store a table as Parquet."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return store.blobs.put(buffer.getvalue(), "parquet")


def get_table(store: Store, digest: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A stored table, or the named columns of it; a column it lacks is left out."""
    data = store.blobs.get(digest, "parquet")
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        present = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
        return file.read(columns=present)
    except pa.ArrowException as error:  # the digest is right, so it was written so
        raise Corrupt(what=f"segment {digest[:12]}", why=str(error)) from error


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A stored table as a typed frame: float64 numbers, categories in catalogue order."""
    frame: pd.DataFrame = table.to_pandas()
    known = {n: t for n, t in schema.dtypes().items() if n in frame.columns}
    return frame.astype(known)
