"""`python -m benchmarks alarms`: false alarms of live error, and the delay of a true one.

Simulated champions in numpy: residuals are normal, neighbours have correlated errors in pairs (a
design effect of 2, as in the monitor), and the expected rates are those of a test set on which the
champion was the best of ten candidates of the same true error.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm

from benchmarks import results, serving_pages
from housing.monitoring.live_error import Counts, log_evidences, log_limit
from housing.monitoring.options import MonitorOptions

TEST_ROWS = 4_128
LABELS = (50, 300, 1_000, 3_000)
DAYS, LATER = 30, 10
CADENCES = {"hourly": 24, "daily": 1}
CANDIDATES, ALIKE = 10, 0.9
WORSE = 1.1
GOAL = 0.01
OPTIONS = MonitorOptions()


def shares_of(spread: float) -> npt.NDArray[np.float64]:
    """Chances of (outside and above, outside and below, inside and above, inside and below)."""
    tail = float(norm.sf(norm.isf(0.05) / spread))
    return np.array([tail, tail, 0.5 - tail, 0.5 - tail])


def draw(
    rng: np.random.Generator, rows: int, shape: tuple[int, ...], spread: float = 1.0
) -> Counts:
    """Counts of windows, of pairs that err alike."""
    found = 2 * rng.multinomial(rows // 2, shares_of(spread), size=shape)
    return Counts(np.full(shape, 2 * (rows // 2)), found[..., 0] + found[..., 1],
                  found[..., 0] + found[..., 2])  # fmt: skip


def expected_counts(rng: np.random.Generator, champions: int) -> Counts:
    """Test sets of champions that were selected on them."""
    common = draw(rng, round(ALIKE * TEST_ROWS), (champions, 1))
    own = draw(rng, round((1 - ALIKE) * TEST_ROWS), (champions, CANDIDATES))
    every = Counts(*(a + b for a, b in zip(common, own, strict=True)))
    best = np.argmin(every.outside, axis=1)[:, None]
    return Counts(*(np.take_along_axis(c, best, axis=1)[:, 0] for c in every))


def first_alarms(expected: Counts, windows: Counts) -> npt.NDArray[np.float64]:
    """Window of the first alarm of each champion, from 0 on; infinity where there is none."""
    limit = log_limit(OPTIONS)
    fired = np.zeros(windows.rows.shape, dtype=np.bool_)
    for found in log_evidences(expected, windows, OPTIONS).values():
        fired |= found > limit
    return np.where(fired.any(axis=0), fired.argmax(axis=0), np.inf)


def case(rng: np.random.Generator, labels: int, a_day: int, champions: int) -> dict[str, Any]:
    """Calm champions, champions that are worse from the first label on, and from a later day on."""
    windows, change = DAYS * a_day, LATER * a_day
    expected = expected_counts(rng, champions)
    calm = draw(rng, labels, (windows, champions))
    worse = draw(rng, labels, (windows, champions), WORSE)
    later = Counts(*(np.concatenate([c[:change], w[change:]])
                     for c, w in zip(calm, worse, strict=True)))  # fmt: skip
    alarms = int(np.isfinite(first_alarms(expected, calm)).sum())
    return {
        "labels": labels,
        "alarms": alarms,
        "limits": list(binomtest(alarms, champions).proportion_ci()),
        "worse": _delays(first_alarms(expected, worse) + 1, a_day),
        "later": _delays(first_alarms(expected, later) + 1 - change, a_day),
    }


def _delays(windows: npt.NDArray[np.float64], a_day: int) -> dict[str, Any]:
    """Days until the alarm; alarms before the change do not count."""
    windows = np.where(windows > 0, windows, np.inf)
    median = float(np.median(windows)) / a_day
    share = float(np.isfinite(windows).mean())
    return {"days": None if np.isinf(median) else median, "share": share}


def main() -> None:
    """Print false alarms and delays, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--champions", type=int, default=1_000)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    cases: list[Mapping[str, Any]] = [
        {"cadence": name, **case(rng, labels, a_day, chosen.champions)}
        for name, a_day in CADENCES.items()
        for labels in LABELS
    ]
    figures = {
        "champions": chosen.champions, "test_rows": TEST_ROWS, "days": DAYS, "later": LATER,
        "worse": WORSE - 1, "goal": GOAL, "candidates": CANDIDATES, "cases": cases,
    }  # fmt: skip
    print(serving_pages.alarms(figures))
    results.save("alarms", figures)
