"""Live error of each model: its predictions against the labels that arrived later.

Not every prediction has its location on record, so the intervals assume what alarms assume: errors
of neighbours are correlated, and `design_effect` rows count as one.
"""

from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit
from sqlalchemy.engine import Connection, Row

from housing.evaluation.conformal import coverage_of
from housing.records import Interval
from housing.store.runs import labelled

CONFIDENCE = 0.95


def live_errors(
    connection: Connection, withdrawn: Collection[str], design_effect: float
) -> tuple[dict[str, Any], ...]:
    """RMSE and coverage of each model whose labels count as two independent rows or more; labels of
    withdrawn batches do not count."""
    return tuple(
        {
            "model": f"m{row.model}",
            "shadow": bool(row.shadow),
            "rows": row.rows,
            "rmse": asdict(_rmse(row, row.rows / design_effect)),
            "covered": asdict(_covered(row, design_effect)) if row.with_interval else None,
            "first": row.first.isoformat(),
            "last": row.last.isoformat(),
        }
        for row in labelled.error_sums(connection, withdrawn)
        if row.rows >= 2 * design_effect
    )


def _rmse(row: Row[Any], n: float) -> Interval:
    """As `evaluation.metrics.measure` computes it for `n` independent rows, from sums."""
    mean = row.squares / row.rows
    variance = max(row.fourth_powers / row.rows - mean**2, 0.0) / (n - 1)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * variance**0.5
    value, lower, upper = np.sqrt(np.maximum([mean, mean - half, mean + half], 0.0)).tolist()
    return Interval(value, lower, upper, CONFIDENCE)


def _covered(row: Row[Any], design_effect: float) -> Interval:
    found = coverage_of(row.inside / design_effect, row.with_interval / design_effect)
    return replace(found, value=row.inside / row.with_interval)
