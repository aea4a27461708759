"""The error of each version as it is lived: sums over all its answers whose price came later.

Each answer is matched once (`steps.outcomes`), so the sums of the last run and the new rows give
those of now; nothing is read again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from housing.evaluation.conformal import coverage_of
from housing.operations.labelled_predictions import LABEL, SHADOW, SHADOW_PREDICTED
from housing.records import Interval
from housing.store.runs.predictions import AT, MODEL

CONFIDENCE = 0.95
SUMS = ("squares", "fourth_powers", "inside", "with_interval")


def lived_errors(
    before: Sequence[Mapping[str, Any]], matched: pd.DataFrame
) -> list[dict[str, Any]]:
    """Errors by model with the new rows in them: newest model first, shadows last."""
    found = {(e["model"], e["shadow"]): dict(e) for e in before}
    for model, rows in matched.groupby(MODEL):
        name = (f"m{model}", False)
        found[name] = _added(found.get(name), name, rows, "predicted")
    if SHADOW in matched:
        shadowed = matched.dropna(subset=[SHADOW_PREDICTED])
        for model, rows in shadowed.groupby(shadowed[SHADOW].astype("int64")):
            name = (f"m{model}", True)
            found[name] = _added(found.get(name), name, rows, SHADOW_PREDICTED)
    return sorted(found.values(), key=lambda e: (e["shadow"], -int(e["model"][1:])))


def _added(
    before: Mapping[str, Any] | None, name: tuple[str, bool], rows: pd.DataFrame, column: str
) -> dict[str, Any]:
    actual = rows[LABEL].to_numpy(np.float64)
    squares = (rows[column].to_numpy(np.float64) - actual) ** 2
    sums = {"squares": float(squares.sum()), "fourth_powers": float((squares**2).sum())}
    limits = rows[["lower", "upper"]].to_numpy(np.float64)
    known = np.isfinite(limits).all(axis=1) & (not name[1])
    inside = (limits[:, 0] <= actual) & (actual <= limits[:, 1]) & known
    sums |= {"inside": float(inside.sum()), "with_interval": float(known.sum())}
    first, last, count = rows[AT].min().isoformat(), rows[AT].max().isoformat(), len(rows)
    if before is not None:
        sums = {key: sums[key] + before["sums"][key] for key in SUMS}
        first, last = min(first, before["first"]), max(last, before["last"])
        count += before["rows"]
    inside_, n = int(sums["inside"]), int(sums["with_interval"])
    covered = coverage_of(inside_, n) if n else None
    return {
        "model": name[0],
        "shadow": name[1],
        "rows": count,
        "rmse": asdict(_rmse(count, sums)),
        "covered": None if covered is None else asdict(covered),
        "first": first,
        "last": last,
        "sums": sums,
    }


def _rmse(rows: int, sums: Mapping[str, float]) -> Interval:
    """As `evaluation.metrics.measure` has it; a single row, which is not shown, has no width."""
    mean, half = sums["squares"] / rows, 0.0
    if rows > 1:
        variance = max(sums["fourth_powers"] / rows - mean**2, 0.0) * rows / (rows - 1)
        half = float(stdtrit(rows - 1, (1 + CONFIDENCE) / 2)) * (variance / rows) ** 0.5
    value, lower, upper = np.sqrt(np.maximum([mean, mean - half, mean + half], 0.0)).tolist()
    return Interval(value, lower, upper, CONFIDENCE)
