"""Facts about a dataset version, measured at its first reading and verified at each later one.

Importing this loads no pandas: the functions that read rows do.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import Corrupt
from housing.records import DatasetProfile
from housing.store.data import datasets
from housing.store.data.datasets import SIDE_COLUMN
from housing.store.database.engine import Store
from housing.store.database.tables import dataset_profiles, utc_now

if TYPE_CHECKING:
    import pandas as pd


def get(connection: Connection, version: int) -> DatasetProfile | None:
    """The recorded facts of a version, or None before the first reading."""
    query = sa.select(dataset_profiles).where(dataset_profiles.c.version == version)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return DatasetProfile(**{k: v for k, v in row._mapping.items() if k != "measured_at"})


def newest(connection: Connection) -> DatasetProfile | None:
    """The facts of the newest version that has been read, or None."""
    version = connection.scalar(sa.select(sa.func.max(dataset_profiles.c.version)))
    return None if version is None else get(connection, version)


def alike(version: sa.ColumnElement[int] | int) -> sa.Select[tuple[int]]:
    """Query for the versions with the content of `version`, which is one of them."""
    this, other = dataset_profiles.alias("this"), dataset_profiles.alias("other")
    same = other.c.content == this.c.content
    return sa.select(other.c.version).join_from(this, other, same).where(this.c.version == version)


def measured(store: Store, version: int) -> DatasetProfile:
    """The facts of a version; its rows are read the first time."""
    known = store.query(get, version)
    return known or record_or_verify(store, version, datasets.read(store, version))


def record_or_verify(store: Store, version: int, frame: "pd.DataFrame") -> DatasetProfile:
    """Record the facts of the whole version `frame`, or check that they are the recorded ones."""
    from housing import schema
    from housing.keys import KEY_COLUMN
    from housing.store.data.fingerprint import rowset_digest

    digest = rowset_digest(frame[[KEY_COLUMN, *schema.CATALOGUE]])
    sides = rowset_digest(frame[[KEY_COLUMN, SIDE_COLUMN]])
    known = store.query(get, version)
    if known is None:
        return _record(store, version, frame, digest, sides)
    if known.digest != digest:
        raise Corrupt(
            what=f"dataset v{version}",
            why=f"its rows have the digest {digest[:12]}, {known.digest[:12]} is recorded",
        )
    if known.sides != sides:
        raise Corrupt(
            what=f"the split of dataset v{version}",
            why=f"its sides are not the recorded ones: {frame[SIDE_COLUMN].sum()} rows are on the "
            f"test side, {known.test_rows} are recorded",
        )
    return known


def _record(
    store: Store, version: int, frame: "pd.DataFrame", digest: str, sides: str
) -> DatasetProfile:
    from housing.quality.profile import profile_columns
    from housing.store.data.fingerprint import content_digest

    test_rows = int(frame[SIDE_COLUMN].sum())
    profile = DatasetProfile(
        version=version,
        rows=len(frame),
        train_rows=len(frame) - test_rows,
        test_rows=test_rows,
        unused_rows=datasets.unused_rows(store, version),
        digest=digest,
        columns=profile_columns(frame),
        sides=sides,
        content=content_digest(frame, frame[SIDE_COLUMN].to_numpy()),
    )
    with store.write() as connection:
        if get(connection, version) is None:
            new = dataset_profiles.insert().values(**asdict(profile), measured_at=utc_now())
            connection.execute(new)
    return profile
