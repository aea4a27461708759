"""Facts about a dataset version, measured when it is first read and verified at each later one."""

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing import schema
from housing.errors import Corrupt
from housing.quality import profile_columns
from housing.records import DatasetProfile
from housing.store import datasets
from housing.store.datasets import SIDE_COLUMN
from housing.store.engine import Store
from housing.store.rowset import rowset_digest
from housing.store.tables import dataset_profiles, utc_now


def get(connection: Connection, version: int) -> DatasetProfile | None:
    """The recorded facts of a version, or None while it has never been read."""
    query = sa.select(dataset_profiles).where(dataset_profiles.c.version == version)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return DatasetProfile(
        version=row.version,
        rows=row.rows,
        train_rows=row.train_rows,
        test_rows=row.test_rows,
        unused_rows=row.unused_rows,
        digest=row.digest,
        columns=row.columns,
    )


def newest(connection: Connection) -> DatasetProfile | None:
    """The facts of the newest version that has been read, or None where none has."""
    version = connection.execute(sa.select(sa.func.max(dataset_profiles.c.version))).scalar()
    return None if version is None else get(connection, version)


def confirm(store: Store, version: int, frame: pd.DataFrame) -> DatasetProfile:
    """Record the facts of the whole version `frame`, or check that they are the recorded ones."""
    digest = rowset_digest(frame[["key", *schema.CATALOGUE]])
    with store.read() as connection:
        known = get(connection, version)
    if known is None:
        return _record(store, version, frame, digest)
    if known.digest != digest:
        raise Corrupt(
            what=f"dataset v{version}",
            why=f"its rows have the digest {digest[:12]}, {known.digest[:12]} is recorded",
        )
    if known.test_rows != frame[SIDE_COLUMN].sum():
        raise Corrupt(
            what=f"the split of dataset v{version}",
            why=f"{frame[SIDE_COLUMN].sum()} rows are on the test side, "
            f"{known.test_rows} are recorded",
        )
    return known


def _record(store: Store, version: int, frame: pd.DataFrame, digest: str) -> DatasetProfile:
    test_rows = int(frame[SIDE_COLUMN].sum())
    profile = DatasetProfile(
        version=version,
        rows=len(frame),
        train_rows=len(frame) - test_rows,
        test_rows=test_rows,
        unused_rows=datasets.unused_rows(store, version),
        digest=digest,
        columns=profile_columns(frame),
    )
    with store.write() as connection:
        if get(connection, version) is None:
            facts = {k: getattr(profile, k) for k in profile.__dataclass_fields__}
            connection.execute(dataset_profiles.insert().values(**facts, measured_at=utc_now()))
    return profile
