"""Drift of inputs and predictions against the data the champion was trained on.

Effect size, least number of rows and false-discovery rate over all columns and the predictions
together: a p-value alone fires on every large window. Units and categories are upstream's
doing and have signals of their own.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from housing.array_types import Floats
from housing.evaluation.drift import adjusted, found, measure_drift, number_drift
from housing.formatting import percent, short_percent
from housing.monitoring.options import MIN_UPSTREAM_ROWS, MonitorOptions
from housing.monitoring.signals import Signal
from housing.quality.profile import unit_slip
from housing.records import ColumnDrift
from housing.schema import CATALOGUE, CATEGORIES, FEATURES, NUMBERS, WORDING, written

PREDICTIONS = "predictions"
USUAL_SHARE = 0.1
"""A category of this share in training that no row has any more is a signal."""


def drift_signals(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    predictions: tuple[Floats, Floats],
    options: MonitorOptions,
) -> list[Signal]:
    """A signal for each column and one for the predictions; none where there are too few rows.

    `reference` are training features; `predictions` those of the test rows and the current ones.
    """
    if len(current) < options.drift.min_rows:
        return []
    names = [name for name in FEATURES if name in current.columns]
    measured = measure_drift(reference[names], current[names], names=("training rows", "now"))
    every = adjusted([*measured.columns, number_drift(PREDICTIONS, *predictions)])
    fired = found(every, options.drift)
    return [_signal(column, column in fired, options) for column in every]


def _signal(column: ColumnDrift, fired: bool, options: MonitorOptions) -> Signal:
    predictions = column.column == PREDICTIONS
    name = f"{column.column} missing" if column.kind == "missing" else column.column
    label = f"predicted {WORDING.values}" if predictions else CATALOGUE[column.column].label
    if column.kind == "missing":
        label = f"missing values of {label}"
    what = "shares differ by" if column.kind != "number" else "distributions differ by"
    shift = "" if column.shift is None else f", shifted by {column.shift:.2f} standard deviations"
    return Signal(
        name=name,
        kind="predictions" if predictions else "drift",
        fired=fired,
        message=f"{what} {percent(column.effect, 0)} of the rows{shift}",
        rows=column.rows,
        effect=column.effect,
        limit=options.drift.min_effect,
        q_value=column.q_value,
        label=label,
    )


def upstream_signals(
    reference: pd.DataFrame, current: pd.DataFrame, options: MonitorOptions
) -> list[Signal]:
    """Columns in another unit, and categories that the champion has never seen."""
    if len(current) < MIN_UPSTREAM_ROWS:
        return []
    return [*_units(reference, current), *_categories(reference, current, options)]


def _units(reference: pd.DataFrame, current: pd.DataFrame) -> Iterator[Signal]:
    for name in NUMBERS:
        if name not in current or name not in reference or current[name].isna().all():
            continue
        before, now = (np.nanquantile(t[name], QUARTILES) for t in (reference, current))
        power, column = unit_slip(before, now, NEAR), CATALOGUE[name]
        yield Signal(
            name=f"{name} unit",
            kind="upstream",
            fired=power != 0,
            message=f"median {written(name, now[1])} where it was "
            f"{written(name, before[1])}" + (", as if in another unit" if power else ""),
            rows=len(current),
            effect=float(10.0**power),
            label=f"unit of {column.label}",
        )


QUARTILES = (0.25, 0.5, 0.75)
NEAR = 0.15
"""Decimal orders by which all three quartiles may miss the same power of ten."""


def _categories(
    reference: pd.DataFrame, current: pd.DataFrame, options: MonitorOptions
) -> Iterator[Signal]:
    for name in CATEGORIES:
        if name not in current.columns:
            continue
        seen = set(reference[name].dropna().astype(str))
        share = float((~current[name].dropna().astype(str).isin(seen)).mean())
        gone = sorted(
            str(c)
            for c, usual in reference[name].value_counts(normalize=True).items()
            if usual >= USUAL_SHARE and c not in set(current[name])
        )
        words = f"{short_percent(share)} of the rows have a category that training never had"
        if gone:
            words += f"; none of {', '.join(gone)}"
        yield Signal(
            name=f"{name} categories",
            kind="upstream",
            fired=share > options.max_unseen_share or bool(gone),
            message=words,
            rows=len(current),
            effect=share,
            limit=options.max_unseen_share,
            label=f"categories of {CATALOGUE[name].label}",
        )
