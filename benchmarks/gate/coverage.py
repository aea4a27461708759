"""Does the 95 % interval cover the true change where neighbouring districts err alike?

The places are those of the real test side, of another split for each of SPLITS. The errors of two
equally good models are drawn each time: a part of their own, and a part that neighbours
share, a Gaussian field whose correlation falls to 0.61 at the given length and to 0.14 at twice
it. Both models share most of it, as two fits of one recipe do. The true change is zero by symmetry,
so the share of intervals that cover zero is the coverage. The rows' own scale varies (dear
districts err more), which gives the heavy tails of real squared errors.

Beside the interval stand what it might have been: rows as independent, clustered by cells of 0.1
degrees, each kernel always, the widest of all kernels. Widths are against the narrowest that would
do: 1.96 true standard errors.

    python -m benchmarks gate-coverage housing.csv
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform
from scipy.special import stdtrit

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.gate.pool import sides, table
from housing import schema
from housing.evaluation.compare import compare_pair, paired
from housing.evaluation.spatial_se import SpatialCells, grid, spatial_cells
from housing.schema import LOCATION

DRAWS, SPLITS, AT_ONCE = 900, (42, 1, 2), 100
CASES = (
    (0, 0.0), (1, 0.1), (1, 0.3), (2, 0.1), (2, 0.3), (5, 0.1), (5, 0.3),
    (10, 0.1), (10, 0.3), (20, 0.1), (20, 0.3), (50, 0.1), (50, 0.3),
)  # fmt: skip
"""Length in km, and the share of each part's variance that neighbours share."""
AGREE = 0.9  # correlation of the two models' errors
SLICES = ("INLAND", "NEAR BAY", "NEAR OCEAN")
JITTER = 1e-5  # keeps the matrix of a smooth field positive
CELL = 0.1


class Side:
    """A test side: where its rows lie, and fields over them."""

    def __init__(self, test: pd.DataFrame) -> None:
        self.rows = len(test)
        self.scale = test[schema.TARGET].to_numpy() / 1e5
        longitude, latitude = (test[name].to_numpy() for name in schema.COORDINATES)
        self.where = spatial_cells(longitude, latitude, CELL)
        self.alone = {
            f"{k.bandwidth:g}": SpatialCells(self.where.codes, (k,)) for k in self.where.kernels
        }
        squares = grid(longitude, latitude, CELL)
        self.cells = np.unique(squares, axis=0, return_inverse=True)[1].ravel()
        place = LOCATION.flat(longitude, latitude)
        self.squares = squareform(pdist(place, "sqeuclidean")).astype(np.float32)
        grouping = next(g for g in schema.TABLE.slices if SLICES[0] in g.names())
        codes, names = grouping.codes(test), list(grouping.names())
        self.slices = {name: codes == names.index(name) for name in SLICES}

    def field(self, length: float) -> np.ndarray:
        """A root of the field's covariance, shape (rows, rows)."""
        covariance = np.exp(self.squares / (-2 * length**2))
        covariance[np.diag_indices(self.rows)] += JITTER
        return np.linalg.cholesky(covariance)


def parts(rng: np.random.Generator, rows: int, root: np.ndarray | None, share: float) -> np.ndarray:
    """Errors of variance 1, with the share `share` common to neighbours, shape (rows, AT_ONCE)."""
    own = rng.standard_normal((rows, AT_ONCE), dtype=np.float32)
    if root is None:
        return own
    common = root @ rng.standard_normal((rows, AT_ONCE), dtype=np.float32)
    return np.float32(share**0.5) * common + np.float32((1 - share) ** 0.5) * own


def pairs(
    rng: np.random.Generator, side: Side, root: np.ndarray | None, share: float, draws: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Errors of two equally good models, shape (rows,) each."""
    for _ in range(0, draws, AT_ONCE):
        common = parts(rng, side.rows, root, share)
        one, other = (
            side.scale[:, None]
            * (AGREE**0.5 * common + (1 - AGREE) ** 0.5 * parts(rng, side.rows, root, share))
            for _ in range(2)
        )
        yield from zip(one.T.astype(np.float64), other.T.astype(np.float64), strict=True)


def by_cells(one: np.ndarray, other: np.ndarray, cells: np.ndarray) -> float:
    """Half the width of the interval clustered by cells, with as many degrees as those count for.

    What the gate had before neighbours of other cells counted.
    """
    ours, theirs = other**2, one**2
    ratio = np.sqrt(ours.mean() / theirs.mean())
    influence = 0.5 * ratio * (ours / ours.mean() - theirs / theirs.mean())
    sums, counts = np.bincount(cells, weights=influence), np.bincount(cells).astype(float)
    effective = counts.sum() ** 2 / (counts @ counts)
    se = np.sqrt(effective / (effective - 1) * (sums @ sums)) / len(one)
    return float(stdtrit(effective - 1, 0.975) * se)


def measured(side: Side, length: float, share: float, seed: int, draws: int) -> pd.DataFrame:
    """For each draw, which intervals cover zero, and their widths."""
    rng = np.random.default_rng([seed, int(length), int(100 * share)])
    root = side.field(length) if share else None
    zero, found = np.zeros(side.rows), []
    for one, other in pairs(rng, side, root, share, draws):
        errors = paired(zero, one, other, side.where)
        rmse = compare_pair(errors, confidence=0.95)
        found.append(
            {
                "effect": rmse.effect,
                "half": rmse.interval.upper - rmse.effect,
                "independent_se": rmse.se_independent,
                "reach": rmse.bandwidth,
                "df": rmse.degrees,
                "rmse": _holds(rmse),
                "upper": rmse.upper >= 0,
                "mae": _holds(compare_pair(errors, "mae", confidence=0.95)),
                "by_cells": abs(rmse.effect) <= by_cells(one, other, side.cells),
                "independent": abs(rmse.effect) <= 1.96 * rmse.se_independent,
                **_alone(side, one, other),
                **{
                    name: _holds(compare_pair(errors.of(rows), confidence=0.95))
                    for name, rows in side.slices.items()
                },
            }
        )
    return pd.DataFrame(found)


def _alone(side: Side, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Half the width by each kernel always."""
    zero = np.zeros(side.rows)
    found = {}
    for reach, where in side.alone.items():
        c = compare_pair(paired(zero, one, other, where), confidence=0.95)
        found[f"alone {reach}"] = c.interval.upper - c.effect
    return found


def _holds(comparison: Any) -> bool:
    return bool(comparison.interval.lower <= 0 <= comparison.interval.upper)


def summary(found: pd.DataFrame) -> dict[str, float]:
    """Coverage of each interval and the width of the deciding one."""
    true = float(found["effect"].std())
    names = ("rmse", "upper", "mae", "by_cells", "independent", *SLICES)
    return {
        **{name: float(found[name].mean()) for name in names},
        "candidates": candidates(found, true),
        "se_ratio": true / float(np.sqrt(np.mean(found["independent_se"] ** 2))),
        "width": float(found["half"].median()) / (1.96 * true),
        "width_mean": float(found["half"].mean()) / (1.96 * true),
        "reach": float(found["reach"].mean()),
        "df": float(found["df"].median()),
    }


def candidates(found: pd.DataFrame, true: float) -> dict[str, dict[str, float]]:
    """Coverage and mean width of what might have been chosen."""
    alone = {name: found[name] for name in found if name.startswith("alone")}
    halves = {
        **{f"{name.removeprefix('alone ')}° always": half for name, half in alone.items()},
        "the widest of all": pd.concat(alone, axis=1).max(axis=1),
        "reach from the data": found["half"],
    }
    return {
        name: {
            "coverage": float(found["effect"].abs().le(half).mean()),
            "width": float(half.mean()) / (1.96 * true),
        }
        for name, half in halves.items()
    }


def case(path: Path, length: float, share: float, draws: int) -> Mapping[str, Any]:
    """One line: all splits together, and the coverage of each."""
    frame = table(path)
    each = [
        measured(Side(frame[sides(frame, split)]), length, share, split, draws // len(SPLITS))
        for split in SPLITS
    ]
    by_split = [float(found["rmse"].mean()) for found in each]
    together = summary(pd.concat(each, ignore_index=True))
    return {"length": length, "share": share, **together, "by_split": by_split}


def main() -> None:
    """Measure and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("--draws", type=int, default=DRAWS)
    options = parser.parse_args()
    path = reference_table(options)
    figures: dict[str, Any] = {"draws": options.draws, "splits": len(SPLITS), "coverage": []}
    for length, share in CASES:
        row = case(path, length, share, options.draws)
        figures["coverage"].append(row)
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    results.save("gate-coverage", figures)
