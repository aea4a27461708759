"""How some rows differ from a reference, column by column; no decision here.

Two figures a column, since either alone misleads: an effect size (how much it differs) and a
p-value (whether chance explains it), with the false discovery rate controlled over all columns.
Rows are clustered, so p-values are too small by an unknown factor: a decision needs both
(`found`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, false_discovery_control, ks_2samp, wasserstein_distance

from housing.array_types import Floats
from housing.evaluation.drift_policy import DriftPolicy
from housing.formatting import number
from housing.records import ColumnDrift, DriftReport
from housing.schema import CATALOGUE

Kind = Literal["number", "category", "missing"]

_MOST_ROWS = 100_000
"""Rows of a number column that are compared; of more, every k-th. The effect is then uncertain
by less than 0.01, and a million rows would take ten times as long."""

_BINS = 20
_TAILS = (0.005, 0.995)
"""Quantiles of the reference between which bins are of equal width; outer rows fall into the
first and last bin, so that a single far value does not press all others into one."""


def measure_drift(
    reference: pd.DataFrame, current: pd.DataFrame, *, names: tuple[str, str]
) -> DriftReport:
    """Every catalogue column that both tables have; no columns where either table is empty.

    `names` are labels of the reference and the current rows. A number column with gaps in
    either table has a second line, of kind "missing".
    """
    columns: list[ColumnDrift] = []
    both = [name for name in CATALOGUE if name in reference and name in current]
    for name in both if len(reference) and len(current) else ():
        if CATALOGUE[name].kind == "category":
            columns.append(category_drift(name, reference[name], current[name]))
        else:
            columns += _number_and_gaps(name, reference[name], current[name])
    return DriftReport(*names, len(reference), len(current), adjusted(columns))


def _number_and_gaps(name: str, reference: pd.Series, current: pd.Series) -> Iterator[ColumnDrift]:
    before, now = (side.to_numpy(dtype=np.float64) for side in (reference, current))
    gaps = np.isnan(before), np.isnan(now)
    if not gaps[0].all() and not gaps[1].all():
        yield number_drift(name, before[~gaps[0]], now[~gaps[1]])
    if gaps[0].any() or gaps[1].any():
        counts = (np.bincount(side, minlength=2).astype(np.float64) for side in gaps)
        yield _counted(name, "missing", ("given", "missing"), *counts)


def number_drift(name: str, reference: Floats, current: Floats) -> ColumnDrift:
    """Kolmogorov-Smirnov and Wasserstein distance of finite values, shapes (n,) and (m,).

    The shift is in standard deviations of the reference, None where those are zero.
    `q_value` is the p-value until `adjusted` replaces it.
    """
    before, now = (side[:: -(-len(side) // _MOST_ROWS)] for side in (reference, current))
    test = ks_2samp(before, now, method="asymp")
    distance = float(wasserstein_distance(before, now))
    spread = float(reference.std())
    shift = distance / spread if spread > 0 else None
    edges = _edges(reference)
    return ColumnDrift(
        column=name,
        kind="number",
        reference_rows=len(reference),
        rows=len(current),
        effect=float(test.statistic),
        p_value=float(test.pvalue),
        q_value=float(test.pvalue),
        shift=shift,
        groups=tuple(f"{number(a)} to {number(b)}" for a, b in pairwise(edges)),
        reference_shares=_shares(reference, edges),
        shares=_shares(current, edges),
    )


def _edges(reference: Floats) -> Floats:
    low, high = np.quantile(reference, _TAILS)
    return np.linspace(low, high, _BINS + 1) if high > low else np.array([low, low])


def _shares(values: Floats, edges: Floats) -> tuple[float, ...]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return tuple((counts / len(values)).tolist())


def category_drift(name: str, reference: pd.Series, current: pd.Series) -> ColumnDrift:
    """Total variation of the levels' shares, and a chi-square test of their counts."""
    levels = CATALOGUE[name].categories
    known = [s.value_counts().reindex(levels, fill_value=0) for s in (reference, current)]
    missing = len(reference) - known[0].sum(), len(current) - known[1].sum()
    counts = [np.append(k, m).astype(np.float64) for k, m in zip(known, missing, strict=True)]
    return _counted(name, "category", (*levels, "missing"), *counts)


def _counted(
    name: str, kind: Kind, groups: tuple[str, ...], reference: Floats, current: Floats
) -> ColumnDrift:
    shares = reference / reference.sum(), current / current.sum()
    seen = (reference + current) > 0  # without levels that neither has
    p_value = float(chi2_contingency(np.array([reference, current])[:, seen])[1])
    return ColumnDrift(
        column=name,
        kind=kind,
        reference_rows=int(reference.sum()),
        rows=int(current.sum()),
        effect=float(np.abs(shares[0] - shares[1]).sum() / 2),
        p_value=p_value,
        q_value=p_value,
        shift=None,
        groups=groups,
        reference_shares=tuple(shares[0].tolist()),
        shares=tuple(shares[1].tolist()),
    )


def adjusted(columns: Sequence[ColumnDrift]) -> tuple[ColumnDrift, ...]:
    """The same columns with p-values adjusted over all of them (Benjamini and Hochberg, 1995)."""
    if not columns:
        return ()
    q_values = false_discovery_control([c.p_value for c in columns], method="bh")
    return tuple(replace(c, q_value=float(q)) for c, q in zip(columns, q_values, strict=True))


def found(columns: Sequence[ColumnDrift], policy: DriftPolicy) -> tuple[ColumnDrift, ...]:
    """Those that drifted, largest effect first: enough rows, an effect, and not by chance.

    Among columns that are found, at most the share `policy.fdr` are expected to be false (as
    far as rows are independent).
    """
    there = [
        c
        for c in columns
        if min(c.rows, c.reference_rows) >= policy.min_rows
        and c.effect >= policy.min_effect
        and c.q_value <= policy.fdr
    ]
    return tuple(sorted(there, key=lambda c: -c.effect))
