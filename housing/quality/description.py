"""How the columns of a table are distributed and related: what one looks at before modelling.

Pure arithmetic on a validated frame. Facts by which batches are judged are in `quality.profile`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from housing.array_types import Floats, Integers, Mask

BINS = 40
WHISKER = 1.5
"""Interquartile ranges beyond a quartile from which a value is an outlier (Tukey 1977)."""

LONG_TAIL = 3.0
"""A histogram ends at the 99th percentile where the maximum is this many times further away."""


@dataclass(frozen=True)
class NumberFacts:
    """One column of numbers, in its unit; shares are of all rows (0 to 1)."""

    missing: float
    quartiles: tuple[float, float, float, float, float]  # minimum, 25 %, 50 %, 75 %, maximum
    mean: float
    deviation: float  # standard deviation
    outliers: float  # share beyond the whiskers
    at_cap: float | None  # share at the value where the source cuts off; None without a cap
    edges: tuple[float, ...]  # of the histogram's bars
    counts: tuple[int, ...]
    beyond: int  # values above the last edge


def describe(column: pd.Series, cap: float | None = None) -> NumberFacts | None:
    """Facts of a column of numbers, shape (n,); None where it has no finite value."""
    every = column.to_numpy(dtype=np.float64)
    values = every[np.isfinite(every)]
    if not len(values):
        return None
    low, q25, median, q75, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    whisker = WHISKER * (q75 - q25)
    last = float(np.quantile(values, 0.99))
    end = last if low < last and high - low > LONG_TAIL * (last - low) else high
    # Values that are equal but for rounding are one bar of a width that can be drawn.
    least = 1e-9 * max(abs(low), abs(end)) or 1.0
    counts, edges = np.histogram(values, bins=BINS, range=(low, max(end, low + least)))
    return NumberFacts(
        missing=1 - len(values) / len(every),
        quartiles=(low, q25, median, q75, high),
        mean=float(values.mean()),
        deviation=float(values.std()),
        outliers=float(np.mean((values < q25 - whisker) | (values > q75 + whisker))),
        at_cap=None if cap is None else float(np.mean(values >= cap)),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        beyond=int(np.sum(values > edges[-1])),
    )


@dataclass(frozen=True)
class Correlations:
    """Pearson correlations of each pair of columns, shape (k, k); NaN for a constant column."""

    names: tuple[str, ...]
    values: Floats

    def of(self, target: str) -> Mapping[str, float]:
        """Correlation of each other column with `target`, the strongest first; without NaN."""
        row = self.values[self.names.index(target)]
        found = {
            name: float(value)
            for name, value in zip(self.names, row, strict=True)
            if name != target and not np.isnan(value)
        }
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def correlations(frame: pd.DataFrame) -> Correlations:
    """Correlations of all columns of a frame of numbers, each pair over its complete rows."""
    finite = frame.where(np.isfinite(frame))
    return Correlations(tuple(frame.columns), finite.corr().to_numpy())


@dataclass(frozen=True)
class StratumShare:
    """A stratum's share (0 to 1) of all used rows, and of the rows of each side."""

    name: str
    rows: int
    share: float
    train: float
    test: float
    chance: float  # standard deviation of `test` if the test rows were drawn at random

    @property
    def error(self) -> float:
        """Relative difference between the share of the test side and of all rows."""
        return self.test / self.share - 1

    @property
    def chance_error(self) -> float:
        """`error` that a random sample of this size has, one standard deviation."""
        return self.chance / self.share


def stratum_shares(
    strata: Integers, test: Mask, names: Mapping[int, str]
) -> Sequence[StratumShare]:
    """Shares of each stratum, the most frequent first; `strata` and `test` have shape (n,)."""
    rows, tests = len(strata), int(test.sum())
    found = []
    for code in np.unique(strata).tolist():
        inside = strata == code
        here, tested = int(inside.sum()), int(inside[test].sum())
        share = here / rows
        # Of a draw without replacement: the hypergeometric distribution.
        spread = share * (1 - share) * (rows - tests) / max(rows - 1, 1)
        found.append(
            StratumShare(
                names[code], here, share,
                train=(here - tested) / max(rows - tests, 1),
                test=tested / max(tests, 1),
                chance=float(np.sqrt(spread / max(tests, 1))),
            )
        )  # fmt: skip
    return sorted(found, key=lambda each: -each.rows)
