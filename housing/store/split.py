"""The split ledger: the side of each district, recorded at first sight and never rewritten.

The rule itself is `training.split`. Looking up a night's districts costs the night, not the
table: SQL holds one indexed row a district, and each segment has its sides beside it in Parquet.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.keys import Keys
from housing.schema import STRATA
from housing.store import bulk
from housing.store.engine import Store
from housing.store.segments import KEY_COLUMN, get_table, put_sides, record_blob, to_frame
from housing.store.tables import batches, split_counts, split_parts, utc_now, version_batches
from housing.training.split import (
    SplitRule,
    StratumCount,
    assign,
    counts,
    strata,
    stratum_name,
)

GENERATION_KEYS = 50_000
"""Districts after which the ledger begins a new generation (`tables.split_ledger`): few enough
that a night writes few pages, and many enough that there are few generations to look into (ten
years of 1,000 new districts a night make 73)."""

STRATA_COLUMNS = tuple(grouping.column for grouping in STRATA)


def unsplit(connection: Connection) -> tuple[int, ...]:
    """Batches that are in some version and have no sides yet, in reading order."""
    query = (
        sa.select(version_batches.c.batch)
        .where(version_batches.c.batch.not_in(sa.select(split_parts.c.batch)))
        .group_by(version_batches.c.batch)
        .order_by(sa.func.min(version_batches.c.position))
    )
    return tuple(connection.execute(query).scalars())


def split_batch(store: Store, batch: int, rule: SplitRule) -> tuple[int, int]:
    """Give each district of `batch` its side; returns (new districts, known ones).

    One transaction: a district seen before keeps the side it has, a new one gets its own. A batch
    that has its sides already is left as it is.
    """
    with store.read() as connection:
        segment = connection.execute(
            sa.select(batches.c.segment).where(batches.c.id == batch)
        ).scalar_one()
    columns = [KEY_COLUMN, *STRATA_COLUMNS]
    frame = to_frame(get_table(store, segment, columns))
    keys, stratum = frame[KEY_COLUMN].to_numpy(), strata(frame)
    with store.write() as connection:
        done = _part(connection, batch)
        if done is not None:
            return done.new_keys, done.known_keys
        known, sides = bulk.known_sides(connection, keys)
        is_new = ~np.isin(keys, known)
        fresh = assign(keys[is_new], stratum[is_new], _seen(connection, stratum), rule)
        test = np.empty(len(keys), dtype=np.bool_)
        test[is_new] = fresh
        test[~is_new] = sides[np.searchsorted(known, keys[~is_new])]
        bulk.insert_sides(connection, _generation(connection), keys[is_new], fresh)
        _record_counts(connection, batch, counts(stratum[is_new], fresh))
        connection.execute(
            split_parts.insert().values(
                batch=batch,
                sides=record_blob(connection, put_sides(store, test), "sides"),
                new_keys=int(is_new.sum()),
                known_keys=int((~is_new).sum()),
                recorded_at=utc_now(),
            )
        )
    return int(is_new.sum()), int((~is_new).sum())


def _generation(connection: Connection) -> int:
    """Where new districts go: it depends on how many there are, so a replay makes the same."""
    query = sa.select(sa.func.coalesce(sa.func.sum(split_parts.c.new_keys), 0))
    return int(connection.execute(query).scalar_one()) // GENERATION_KEYS


def _part(connection: Connection, batch: int) -> Row[Any] | None:
    query = sa.select(split_parts).where(split_parts.c.batch == batch)
    return connection.execute(query).one_or_none()


def recorded_sides(store: Store, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Those of `keys` that the ledger has, ascending, and their sides (True is test)."""
    with store.read() as connection:
        return bulk.known_sides(connection, keys)


def _seen(connection: Connection, codes: npt.NDArray[np.int64]) -> dict[int, StratumCount]:
    """What the strata among `codes` have had so far; strata are recorded by name."""
    query = sa.select(
        split_counts.c.stratum,
        sa.func.sum(split_counts.c.districts).label("districts"),
        sa.func.sum(split_counts.c.test_districts).label("test_districts"),
    ).group_by(split_counts.c.stratum)
    by_name = {
        row.stratum: StratumCount(int(row.districts), int(row.test_districts))
        for row in connection.execute(query)
    }
    wanted = {int(code): stratum_name(int(code)) for code in np.unique(codes)}
    return {code: by_name[name] for code, name in wanted.items() if name in by_name}


def _record_counts(connection: Connection, batch: int, by_stratum: dict[int, StratumCount]) -> None:
    rows = [
        {
            "batch": batch,
            "stratum": stratum_name(code),
            "districts": n.keys,
            "test_districts": n.test_keys,
        }
        for code, n in by_stratum.items()
    ]
    if rows:
        connection.execute(split_counts.insert(), rows)
