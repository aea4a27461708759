"""Compares the shadow's predictions with the champion's on the logged requests; needs no labels."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.runs import predictions
from housing.store.runs.predictions import (
    AT,
    LOWER,
    MODEL,
    PREDICTED,
    SHADOW,
    SHADOW_PREDICTED,
    UPPER,
)

COLUMNS = (AT, MODEL, PREDICTED, LOWER, UPPER, SHADOW, SHADOW_PREDICTED)


@dataclass(frozen=True)
class ShadowComparison:
    """|shadow - champion| over some logged rows, in the target's unit."""

    champion: str
    shadow: str
    day: str | None  # UTC, ISO 8601; None for all days together
    rows: int
    mean: float
    median: float
    p90: float
    p99: float
    maximum: float
    share_above: float  # of rows for which the shadow predicts more
    share_outside: float | None  # of the champion's intervals; None where there are none


def compare_shadow(
    store: Store, *, since: datetime | None = None, newest: int | None = None
) -> list[ShadowComparison]:
    """By pair of models, the newest pair first: all days together, then day by day.

    `newest` bounds the batches of logged predictions that are read.
    """
    with store.read() as connection:
        found = predictions.since(connection, 0)
    wanted = [row for row in found if since is None or row.last_at >= since]
    kept = wanted[-newest:] if newest is not None else wanted
    tables = [get_table(store, row.segment, COLUMNS).to_pandas() for row in kept]
    shadowed = [table.dropna(subset=[SHADOW]) for table in tables if SHADOW in table]
    if not shadowed:
        return []
    frame: pd.DataFrame = pd.concat(shadowed, ignore_index=True)
    if since is not None:
        frame = frame[frame[AT] >= since]
    pairs = sorted(frame.groupby([MODEL, SHADOW]), key=lambda pair: pair[1][AT].max(), reverse=True)
    return [
        _comparison(part, day)
        for _, rows in pairs
        for day, part in ((None, rows), *rows.groupby(rows[AT].dt.strftime("%Y-%m-%d")))
    ]


def _comparison(rows: pd.DataFrame, day: Any) -> ShadowComparison:
    shadow = rows[SHADOW_PREDICTED]
    difference = (shadow - rows[PREDICTED]).abs()
    outside = ~shadow.between(rows[LOWER], rows[UPPER])[rows[LOWER].notna()]
    median, p90, p99, maximum = np.quantile(difference, (0.5, 0.9, 0.99, 1.0)).tolist()
    return ShadowComparison(
        champion=f"m{int(rows[MODEL].iloc[0])}",
        shadow=f"m{int(rows[SHADOW].iloc[0])}",
        day=day,
        rows=len(rows),
        mean=float(difference.mean()),
        median=median,
        p90=p90,
        p99=p99,
        maximum=maximum,
        share_above=float((shadow > rows[PREDICTED]).mean()),
        share_outside=float(outside.mean()) if len(outside) else None,
    )
