"""Evidence other than predictions: new and unused rows, drift, reuse of the test set, costs."""

import time
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.array_types import Mask
from housing.evaluation.drift import measure_drift
from housing.gate.evidence import ServingCosts
from housing.inference.columns import columns_of_frame
from housing.inference.fast_predictor import predictor
from housing.keys import KEY_COLUMN, among
from housing.records import DriftReport
from housing.store.data import datasets, near_duplicate_lookup, parts
from housing.store.data.segments import to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import batches as batch_table
from housing.store.database.tables import blobs, evaluations, version_batches
from housing.store.models import registry
from housing.training.fingerprints import fingerprints
from housing.training.workers import one_thread

LATENCY_CALLS = 7
"""Number of single-row predictions; their median is the latency."""


def entered_batches(
    connection: Connection, version: int, champion: Row[Any] | None
) -> list[Row[Any]]:
    """Batches with new or corrected rows that the version holds and the champion's does not.

    Versions decide and not runs, so the same comparison always has the same batches.
    """
    members = set(datasets.get(connection, version).batches)
    if champion is not None:
        members -= set(datasets.get(connection, champion.version).batches)
    query = sa.select(batch_table).where(
        batch_table.c.id.in_(members), batch_table.c.status != "unchanged"
    )
    return list(connection.execute(query.order_by(batch_table.c.id)))


def rejected_share(batches: list[Row[Any]]) -> tuple[int, int]:
    """Rows read and rejected in batches that no person accepted."""
    judged = [row for row in batches if row.status == "accepted"]
    return sum(row.read_rows for row in judged), sum(row.rejected_rows for row in judged)


def n_decisions(connection: Connection, version: int, challenger: int) -> int:
    """Number of verdicts on other challengers that used test rows of `version`."""
    ours, theirs = version_batches.alias("ours"), version_batches.alias("theirs")
    same = sa.select(ours.c.batch).join(theirs, ours.c.batch == theirs.c.batch)
    shared = same.where(datasets.contains(ours, version))
    shared = shared.where(datasets.contains(theirs, evaluations.c.version))
    query = sa.select(sa.func.count(evaluations.c.id)).where(
        evaluations.c.challenger != challenger, registry.deciding(), shared.exists()
    )
    return int(connection.execute(query).scalar_one())


def unused_test_rows(
    store: Store, version: int, test: pd.DataFrame, earlier: sa.ColumnElement[bool]
) -> Mask:
    """Mask (n,) of test rows that none of some evaluations (`earlier`) used.

    A row is also used if an evaluation used an equal row or a near-duplicate of it, with the values
    of that time: a row with more than one changed value is a new measurement.
    """
    with store.read() as connection:
        members = set(datasets.get(connection, version).batches)
        judged = sa.select(evaluations.c.id).where(earlier)
        judged = judged.where(datasets.contains(version_batches, evaluations.c.version))
        query = sa.select(sa.distinct(version_batches.c.batch)).where(judged.exists())
        used = set(connection.execute(query).scalars())
    fresh = among(test[KEY_COLUMN].to_numpy(), parts.keys_of(store, sorted(members - used)))
    if fresh.any():
        lookup = near_duplicate_lookup.used_near_duplicates
        fresh[fresh] = ~store.query(lookup, fingerprints(test[fresh]), used)
    return fresh


def drift(
    store: Store,
    champion: Row[Any],
    trained: pd.DataFrame,
    frame: pd.DataFrame,
    entered: list[Row[Any]],
) -> tuple[DriftReport, ...]:
    """Entered rows and the active dataset against the champion's training rows.

    `trained` holds all rows of the champion's version, `frame` those of the active one, `entered`
    are the `entered_batches`.
    """
    columns = list(schema.CATALOGUE)
    reference = datasets.training_rows(trained)[columns]
    name = f"training rows of m{champion.id}"
    found = []
    entered_parts = store.query(parts.parts, [batch.id for batch in entered])
    frames = [to_frame(parts.read(store, each, columns)) for each in entered_parts]
    if frames:
        fresh = pd.concat(frames, ignore_index=True)
        names = name, f"rows that entered since v{champion.version}"
        found.append(measure_drift(reference, fresh, names=names))
    current = datasets.different_rows(frame)[columns]
    found.append(measure_drift(reference, current, names=(name, "active dataset")))
    return tuple(found)


def costs(
    store: Store, challenger: Row[Any], models: list[Any], rows: pd.DataFrame
) -> ServingCosts:
    """Latency and artifact size; `models` are the fitted challenger and, if any, champion."""
    with store.read() as connection:
        query = sa.select(blobs.c.size).where(blobs.c.digest == challenger.artifact)
        size = int(connection.execute(query).scalar_one())
    times = [latency(model, rows) for model in models]
    return ServingCosts(times[0], times[1] if len(times) > 1 else None, size)


def latency(model: Any, rows: pd.DataFrame) -> float:
    """Median latency of one served row, milliseconds; the first call is left out.

    With one thread, as a server predicts: several that wait for each other take seconds on a busy
    machine.
    """
    took, fast = [], predictor(model)
    with one_thread():
        for call in range(LATENCY_CALLS + 1):
            row = rows.iloc[[call % len(rows)]]
            columns = columns_of_frame(row)
            began = time.perf_counter()
            fast.predict(columns)
            took.append(time.perf_counter() - began)
    return float(np.median(took[1:])) * 1000
