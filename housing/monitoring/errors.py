"""Whether the champion is still as good as promised, from prices that came after its answers.

Two questions that heavy tails cannot spoil: how many prices lie outside the promised interval, and
how many above the predicted one. Each is a share with a known expectation, so each window has a
control limit (sudden), and the standardised shares of all windows add up in a CUSUM (gradual:
Page, 1954). Neighbouring districts err together, so rows count as fewer than they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from housing.monitoring.signals import Signal
from housing.options import MonitorOptions

Floats = npt.NDArray[np.float64]

OUTSIDE, ABOVE = "prices outside the interval", "prices above the predicted"


@dataclass(frozen=True)
class Promise:
    """Shares measured on the test rows when the champion was made."""

    outside: float
    above: float


@dataclass(frozen=True)
class Labelled:
    """Answers whose true price is known, shape (n,) each, US dollars."""

    actual: Floats
    predicted: Floats
    lower: Floats
    upper: Floats


Sums = Mapping[str, float]
"""State of the CUSUMs, carried from window to window of one champion."""

_SUMS = (("outside up", OUTSIDE, 1.0), ("above up", ABOVE, 1.0), ("above down", ABOVE, -1.0))


def shares(rows: Labelled) -> dict[str, float]:
    """Observed shares; NaN limits count as no interval, hence as inside."""
    outside = (rows.actual < rows.lower) | (rows.actual > rows.upper)
    return {OUTSIDE: float(outside.mean()), ABOVE: float((rows.actual > rows.predicted).mean())}


def error_signals(
    rows: Labelled, promise: Promise, sums: Sums, options: MonitorOptions
) -> tuple[list[Signal], dict[str, float]]:
    """Signals of one window, and the sums after it; none, and the same sums, for too few rows."""
    n = len(rows.actual)
    if n < options.min_labels:
        return [], dict(sums)
    expected = {OUTSIDE: promise.outside, ABOVE: promise.above}
    seen = shares(rows)
    effective = n / options.cluster_factor
    scores = {
        name: (seen[name] - p) / max(np.sqrt(p * (1 - p) / effective), 1e-9)
        for name, p in expected.items()
    }
    limit = float(norm.isf(options.false_alarm / 3))  # three one-sided questions a window
    found = [
        _sudden(OUTSIDE, seen[OUTSIDE], promise.outside, scores[OUTSIDE], limit, n),
        _sudden(ABOVE, seen[ABOVE], promise.above, abs(scores[ABOVE]), limit, n),
    ]
    after: dict[str, float] = {}
    for key, name, way in _SUMS:
        score = way * float(np.clip(scores[name], -limit, limit))
        after[key] = float(max(0.0, sums.get(key, 0.0) + score - options.cusum_slack))
        found.append(
            Signal(
                name=f"{name}, adding up ({'more' if way > 0 else 'fewer'})",
                kind="error",
                fired=bool(after[key] > options.cusum_limit),
                sentence=f"CUSUM of {name} is {after[key]:.1f}, alarm above "
                f"{options.cusum_limit:g}",
                rows=n,
                effect=after[key],
                limit=options.cusum_limit,
            )
        )
    return found, after


def _sudden(name: str, seen: float, promised: float, score: float, limit: float, n: int) -> Signal:
    return Signal(
        name=name,
        kind="error",
        fired=bool(score > limit),
        sentence=f"{seen:.1%} of {n:,} {name}, {promised:.1%} promised "
        f"({score:.1f} standard errors, alarm above {limit:.1f})",
        rows=n,
        effect=float(score),
        limit=limit,
    )
