"""Whether the champion's live error is that of its test rows, from labels that arrive later.

Two shares that are robust to heavy tails: of values outside the interval, and of values above the
predicted one. What is expected of both is measured on the test rows, which are finitely many and on
which the champion was selected; `likelihood_ratio` allows for that. Errors of neighbouring rows
are correlated, so counts are divided by the design effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import betabinom

from housing.array_types import Floats, Mask
from housing.formatting import percent, signed
from housing.monitoring.likelihood_ratio import SELECTION, log_evidence
from housing.monitoring.options import ROLLBACK_CONFIDENCE, MonitorOptions
from housing.monitoring.signals import Signal
from housing.schema import WORDING

OUTSIDE = f"{WORDING.values} outside the interval"
ABOVE, BELOW = (f"{WORDING.values} {side} the predicted" for side in ("above", "below"))
SOURCES = 2
"""Sources of labels: predictions, and rows of new batches. They share the false alarm rate."""


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions whose label is known, shape (n,) each, in the target's unit."""

    actual: Floats
    predicted: Floats
    lower: Floats
    upper: Floats


class Counts(NamedTuple):
    """Labelled rows, those outside the interval, and those above the predicted value.

    Numbers, or arrays of one shape. Those of the test rows are what is expected.
    """

    rows: Any
    outside: Any
    above: Any


ASSUMED = (
    f"{MonitorOptions().design_effect:g} rows count as one in the interval, as errors of "
    "neighbouring rows are correlated"
)
"""What an interval of a live error assumes, for people."""

TESTS = ((OUTSIDE, "outside", 1), (ABOVE, "above", 1), (BELOW, "above", -1))
"""Name of each signal, its count, and whether a rise (1) or a fall (-1) is tested."""


def counted(rows: LabelledPredictions) -> Counts:
    """Counts of some rows."""
    outside, above = outside_and_above(rows)
    return Counts(len(rows.actual), int(outside.sum()), int(above.sum()))


def total(windows: Sequence[Counts]) -> Counts:
    """All rows of some windows together."""
    return Counts(*(sum(column) for column in zip(*windows, strict=True)))


def outside_and_above(rows: LabelledPredictions) -> tuple[Mask, Mask]:
    """Which values lie outside the interval, and which above the predicted; a NaN limit is none."""
    outside = (rows.actual < rows.lower) | (rows.actual > rows.upper)
    return outside, rows.actual > rows.predicted


def log_evidences(expected: Counts, windows: Counts, options: MonitorOptions) -> dict[str, Floats]:
    """Log evidence of each test after each window; counts have the shape (windows, ...)."""
    return {
        name: log_evidence(
            (getattr(expected, count), expected.rows),
            (getattr(windows, count), windows.rows),
            way=way,
            design_effect=options.design_effect,
        )
        for name, count, way in TESTS
    }


def log_limit(options: MonitorOptions) -> float:
    """Log evidence from which a test is an alarm."""
    return float(np.log(SOURCES * len(TESTS) / options.false_alarm))


def error_signals(
    windows: Sequence[Counts], expected: Counts, options: MonitorOptions
) -> list[Signal]:
    """Signals after all windows of one champion, oldest first; calm where there are none."""
    if not windows:
        text = "no labelled row counts"
        return [Signal(name, "error", fired=False, message=text, rows=0) for name, _, _ in TESTS]
    columns = Counts(*(np.array(column) for column in zip(*windows, strict=True)))
    limit = log_limit(options)
    return [
        _signal(name, float(found[-1]), limit, windows, expected)
        for name, found in log_evidences(expected, columns, options).items()
    ]


def exceeded_limit(found: Counts, expected: Counts, options: MonitorOptions) -> str:
    """The first test whose exact limit some rows exceed, or "".

    The limit of a beta-binomial count at the confidence of a rollback, hence far stricter than an
    alarm: a model that is to take over must not be close to one.
    """
    effect = options.design_effect
    for name, count, way in TESTS:
        hits, before = getattr(found, count), getattr(expected, count)
        if way < 0:
            hits, before = found.rows - hits, expected.rows - before
        a, b = (n / (effect * SELECTION) + 0.5 for n in (before, expected.rows - before))
        n, k = round(found.rows / effect), round(hits / effect)
        if betabinom.sf(k - 1, n, a, b) < 1 - ROLLBACK_CONFIDENCE:
            now, then = percent(hits / found.rows), percent(before / expected.rows)
            return f"{now} {name}, {then} of its test rows"
    return ""


def _signal(
    name: str, found: float, limit: float, windows: Sequence[Counts], expected: Counts
) -> Signal:
    newest, every = windows[-1], total(windows)
    now, so_far, before = (percent(_share(name, c)) for c in (newest, every, expected))
    return Signal(
        name=name,
        kind="error",
        fired=found > limit,
        message=f"{now} of {newest.rows:,}, {so_far} of all {every.rows:,} since the champion's "
        f"promotion, {before} of its {expected.rows:,} test rows (log evidence of a change "
        f"{signed(found, 1)}, alarm above {limit:.1f})",
        rows=newest.rows,
        effect=max(found, 0.0),
        limit=limit,
    )


def _share(name: str, counts: Counts) -> float:
    if name == OUTSIDE:
        return float(counts.outside / counts.rows)
    above = float(counts.above / counts.rows)
    return above if name == ABOVE else 1 - above
