"""`python -m benchmarks probation`: how often, and how soon, a week's labels take a champion back.

Each look judges all rows since the promotion, as if a live error were an alarm from the first hour
on; so the shares are those of the paired test alone. Log errors have the tails of Student's t with
three degrees of freedom, each cell errs by an effect of its own, few cells hold most rows, and
the two models share most of their error.
"""

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from benchmarks import results, serving_pages
from housing.evaluation.spatial_se import SpatialCells, spatial_cells
from housing.monitoring.options import ROLLBACK_CONFIDENCE
from housing.monitoring.paired import losses, score_and_limit

HOURS = 168
LABELS = (5, 50, 500)
CHANGES = (0.0, -0.01, -0.03, -0.05, 0.03, 0.1, 0.3)
"""Error of the champion against that of the model before it."""
CELLS, CELL_DEGREES = 1_000, 0.1
SPREAD, SHARED, BY_CELL = 0.25, 0.8, 0.3
"""Standard deviation of log errors; shares of the variance in both models, and in whole cells."""
LOOKS = tuple(range(1, 25)) + tuple(range(28, HOURS + 1, 4))
Floats = npt.NDArray[np.float64]


def district_cells(
    rng: np.random.Generator, rows: int
) -> tuple[npt.NDArray[np.int64], SpatialCells]:
    """The cell of each row: about as few cells hold most rows as in the census."""
    weights = np.arange(1, CELLS + 1) ** -0.7
    cell = rng.choice(CELLS, rows, p=weights / weights.sum())
    longitude, latitude = -120 + 0.1 * (cell % 32) + 0.05, 34 + 0.1 * (cell // 32) + 0.05
    return cell, spatial_cells(longitude, latitude, CELL_DEGREES)


def errors(rng: np.random.Generator, cell: npt.NDArray[np.int64]) -> Floats:
    """Errors of unit variance, shape (rows,)."""
    rows = rng.standard_t(3, len(cell)) / np.sqrt(3)
    whole = rng.standard_t(3, CELLS) / np.sqrt(3)
    found: Floats = np.sqrt(BY_CELL) * whole[cell] + np.sqrt(1 - BY_CELL) * rows
    return found


def week(rng: np.random.Generator, labels: int, change: float) -> float:
    """Rows until the rollback, or infinity where there is none."""
    cell, where = district_cells(rng, labels * HOURS)
    common = errors(rng, cell)
    ours, theirs = (
        SPREAD * (np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * errors(rng, cell))
        for _ in range(2)
    )
    actual = np.full(len(cell), 2e5)
    ours, theirs = actual * np.exp((1 + change) * ours), actual * np.exp(theirs)
    gain = losses(actual, ours) - losses(actual, theirs)
    index = np.arange(len(cell))
    for hour in LOOKS:
        now = labels * hour
        seen = where.of(index < now)
        score, limit = score_and_limit(gain[:now], seen, ROLLBACK_CONFIDENCE)
        if score > limit:
            return float(now)
    return float("inf")


def case(rng: np.random.Generator, labels: int, change: float, weeks: int) -> dict[str, Any]:
    """Share of weeks with a rollback, its limits, and the median of rows until then."""
    rows = np.array([week(rng, labels, change) for _ in range(weeks)])
    taken = np.isfinite(rows)
    limits = binomtest(int(taken.sum()), weeks).proportion_ci()
    median = float(np.median(rows[taken])) if taken.any() else None
    return {"labels": labels, "change": change, "weeks": weeks, "taken": int(taken.sum()),
            "limits": list(limits), "rows": median}  # fmt: skip


def main() -> None:
    """Print shares and rows, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=800, help="of equal models; others: a quarter")
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    cases = [
        case(rng, labels, change, chosen.weeks if change == 0 else max(chosen.weeks // 4, 1))
        for labels in LABELS
        for change in CHANGES
    ]
    figures = {"cells": CELLS, "looks": len(LOOKS), "by_cell": BY_CELL, "weeks": chosen.weeks,
               "cases": cases}  # fmt: skip
    print(serving_pages.probation(figures))
    results.save("probation", figures)
