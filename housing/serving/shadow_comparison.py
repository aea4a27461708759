"""How far the shadow is from the champion on the questions that were really asked; no label needed.

A challenger that says much the same on live traffic is a small risk to promote; one that differs
where the champion is sure of itself deserves a look, whatever the test set says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from housing.serving.prediction_log import SHADOW, SHADOW_PREDICTED
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.runs import predictions
from housing.store.runs.predictions import AT, MODEL

COLUMNS = (AT, MODEL, "predicted", "lower", "upper", SHADOW, SHADOW_PREDICTED)


@dataclass(frozen=True)
class ShadowComparison:
    """|shadow - champion| over some answers, US dollars."""

    champion: str
    shadow: str
    day: str | None  # UTC, ISO 8601; None for all days together
    rows: int
    mean: float
    median: float
    p90: float
    p99: float
    maximum: float
    share_above: float  # share of answers for which the shadow says more
    share_outside: float | None  # share outside the champion's interval; None where there is none


def compare_shadow(
    store: Store, *, since: datetime | None = None, newest: int | None = None
) -> list[ShadowComparison]:
    """By pair of models, the newest pair first: all days together, then day by day.

    `newest` bounds the batches of logged answers that are read.
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
    return [one for _, rows in pairs for one in _of_pair(rows)]


def _of_pair(rows: pd.DataFrame) -> Iterator[ShadowComparison]:
    yield _measured(rows, None)
    for day, part in rows.groupby(rows[AT].dt.strftime("%Y-%m-%d")):
        yield _measured(part, str(day))


def _measured(rows: pd.DataFrame, day: str | None) -> ShadowComparison:
    champion, shadow, lower, upper = (
        rows[name].to_numpy(np.float64)
        for name in ("predicted", SHADOW_PREDICTED, "lower", "upper")
    )
    apart = np.abs(shadow - champion)
    known = ~np.isnan(lower)
    outside = (shadow < lower) | (shadow > upper)
    median, p90, p99 = (float(value) for value in np.quantile(apart, (0.5, 0.9, 0.99)))
    return ShadowComparison(
        champion=f"m{int(rows[MODEL].iloc[0])}",
        shadow=f"m{int(rows[SHADOW].iloc[0])}",
        day=day,
        rows=len(rows),
        mean=float(apart.mean()),
        median=median,
        p90=p90,
        p99=p99,
        maximum=float(apart.max()),
        share_above=float((shadow > champion).mean()),
        share_outside=float(outside[known].mean()) if known.any() else None,
    )
