"""Live error of each model: its predictions against the labels that arrived later."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import stdtrit
from sqlalchemy.engine import Connection, Row

from housing.evaluation.conformal import coverage_of
from housing.records import Interval
from housing.store.runs import labelled

CONFIDENCE = 0.95


def live_errors(connection: Connection, withdrawn: Collection[str]) -> tuple[dict[str, Any], ...]:
    """RMSE and coverage by model from two labels on, without those of withdrawn batches."""
    return tuple(
        {
            "model": f"m{row.model}",
            "shadow": bool(row.shadow),
            "rows": row.rows,
            "rmse": asdict(_rmse(row)),
            "covered": asdict(coverage_of(row.inside, row.with_interval))
            if row.with_interval
            else None,
            "first": row.first.isoformat(),
            "last": row.last.isoformat(),
        }
        for row in labelled.error_sums(connection, withdrawn)
        if row.rows > 1
    )


def _rmse(row: Row[Any]) -> Interval:
    """As `evaluation.metrics.measure` computes it, from sums."""
    mean = row.squares / row.rows
    variance = max(row.fourth_powers / row.rows - mean**2, 0.0) * row.rows / (row.rows - 1)
    half = float(stdtrit(row.rows - 1, (1 + CONFIDENCE) / 2)) * (variance / row.rows) ** 0.5
    value, lower, upper = np.sqrt(np.maximum([mean, mean - half, mean + half], 0.0)).tolist()
    return Interval(value, lower, upper, CONFIDENCE)
