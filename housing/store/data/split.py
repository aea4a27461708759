"""The split: the side of each key, recorded once and never changed.

`training.split` has the rule. Looking up the keys of a batch costs the batch, not the table: SQL
has one indexed row per key and three index entries of near-duplicates, and the sides of each
segment are a Parquet blob.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.keys import KEY_COLUMN, among
from housing.schema import CATALOGUE
from housing.store.data import near_duplicate_lookup
from housing.store.data.segments import get_table, put_table, to_frame
from housing.store.database import bulk
from housing.store.database.engine import Store
from housing.store.database.tables import (
    batch_splits,
    batches,
    stratum_counts,
    utc_now,
    version_batches,
)
from housing.store.objects.recording import record_blob
from housing.training.fingerprints import NEITHER, TEST, Fingerprints, Sides, fingerprints
from housing.training.near_duplicates import IndexedRows, ties
from housing.training.split import (
    BatchRows,
    SplitRule,
    StratumCount,
    counts,
    split_rows,
    strata,
    stratum_name,
)

GENERATION_KEYS = 50_000
"""Keys after which the ledger begins a new generation (`tables.split_sides`): few enough
that a batch writes few pages, and many enough that there are few generations to look into (ten
years of 1,000 new keys a day make 73)."""

GENERATION_ROWS = 4 * GENERATION_KEYS
"""Rows after which the near-duplicate index begins one: each row has three hashes."""


def unsplit(connection: Connection) -> tuple[int, ...]:
    """Batches that are in some version and have no sides yet, in reading order."""
    query = (
        sa.select(version_batches.c.batch)
        .where(version_batches.c.batch.not_in(sa.select(batch_splits.c.batch)))
        .group_by(version_batches.c.batch)
        .order_by(sa.func.min(version_batches.c.position))
    )
    return tuple(connection.scalars(query))


def split_batch(store: Store, batch: int, rule: SplitRule) -> tuple[int, int]:
    """Give each key of `batch` its side; returns (new keys, known ones).

    One transaction: a key seen before keeps the side it has, a new one gets its own. A batch
    that has its sides already is left as it is.
    """
    of_batch = sa.select(batches.c.segment).where(batches.c.id == batch)
    with store.read() as connection:
        segment = connection.execute(of_batch).scalar_one()
    frame = to_frame(get_table(store, segment, [KEY_COLUMN, *CATALOGUE]))
    keys, stratum, prints = frame[KEY_COLUMN].to_numpy(), strata(frame), fingerprints(frame)
    with store.write() as connection:
        query = sa.select(batch_splits.c.new_keys, batch_splits.c.known_keys)
        done = connection.execute(query.where(batch_splits.c.batch == batch)).one_or_none()
        if done is not None:
            return done.new_keys, done.known_keys
        ledger, sides = bulk.known_sides(connection, keys)
        recorded = pd.Series(sides, index=ledger).reindex(keys, fill_value=NEITHER).to_numpy()
        rows = BatchRows(keys, stratum, among(keys, ledger), recorded)
        known = near_duplicate_lookup.look_up(connection, prints)
        before = near_duplicate_lookup.frequencies(connection)
        tied, after = ties(prints, ~rows.known, known, before)
        side = split_rows(rows, tied, _seen(connection, stratum), rule)
        prints = prints.take(np.argsort(keys))  # by key: the order of rows does not matter
        _remember(connection, batch, rows, side, (prints, known))
        near_duplicate_lookup.record_frequencies(connection, after)
        _record_part(store, connection, batch, rows, side)
    return int((~rows.known).sum()), int(rows.known.sum())


def _remember(
    connection: Connection,
    batch: int,
    rows: BatchRows,
    side: Sides,
    looked_up: tuple[Fingerprints, IndexedRows],
) -> None:
    """Append new keys to the ledger, and to the index what their rows, by key, agree in."""
    new_keys, all_rows = _recorded(connection)
    new = ~rows.known
    bulk.insert_sides(connection, new_keys // GENERATION_KEYS, rows.keys[new], side[new])
    by_key, (prints, known) = np.argsort(rows.keys), looked_up
    where = all_rows // GENERATION_ROWS, batch
    near_duplicate_lookup.append(connection, where, prints, side[by_key], known, new[by_key])


def _record_part(
    store: Store, connection: Connection, batch: int, rows: BatchRows, side: Sides
) -> None:
    counted = ~rows.known & (side != NEITHER)
    by_stratum = counts(rows.stratum[counted], side[counted] == TEST)
    new = [
        {"batch": batch, "stratum": stratum_name(code), "keys": n.keys, "test_keys": n.test_keys}
        for code, n in by_stratum.items()
    ]
    if new:
        connection.execute(stratum_counts.insert(), new)
    connection.execute(
        batch_splits.insert().values(
            batch=batch,
            sides=record_blob(connection, put_table(store, pa.table({"side": side})), "sides"),
            new_keys=int((~rows.known).sum()),
            known_keys=int(rows.known.sum()),
            unused_rows=int((side == NEITHER).sum()),
            recorded_at=utc_now(),
        )
    )


def _recorded(connection: Connection) -> tuple[int, int]:
    """New keys and rows of all batches so far: generations are counted by these, so that a
    replay makes the same.
    """
    sums = sa.func.sum(batch_splits.c.new_keys), sa.func.sum(batch_splits.c.known_keys)
    new, known = connection.execute(sa.select(*sums)).one()
    return int(new or 0), int(new or 0) + int(known or 0)


def _seen(connection: Connection, codes: npt.NDArray[np.int64]) -> dict[int, StratumCount]:
    """What the strata among `codes` have had so far; strata are recorded by name."""
    query = sa.select(
        stratum_counts.c.stratum,
        sa.func.sum(stratum_counts.c["keys"]).label("n_keys"),
        sa.func.sum(stratum_counts.c.test_keys).label("n_test_keys"),
    ).group_by(stratum_counts.c.stratum)
    by_name = {
        row.stratum: StratumCount(int(row.n_keys), int(row.n_test_keys))
        for row in connection.execute(query)
    }
    wanted = {int(code): stratum_name(int(code)) for code in np.unique(codes)}
    return {code: by_name[name] for code, name in wanted.items() if name in by_name}
