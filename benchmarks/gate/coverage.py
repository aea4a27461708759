"""Does the 95 % interval hold the true change where neighbouring districts err alike?

The places are those of the real test side; the errors of two equally good models are drawn anew
each time: a part of their own, and a part that neighbours share, a Gaussian field with a given
length. Both models share most of it, as two fits of one recipe do. The true change is zero by
symmetry, so the share of intervals that hold zero is the coverage. The rows' own scale varies
(dear districts err more), which gives the heavy tails of real squared errors.

    python -m benchmarks.gate.coverage housing.csv
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gate import results
from benchmarks.gate.pool import sides, table
from housing import schema
from housing.evaluation.compare import compare, location_cells

DRAWS = 1_500
LENGTHS = (0.02, 0.05, 0.1)  # degrees; 0.1 is about 10 km
SHARES = (0.0, 0.1, 0.2, 0.3)  # of each part's variance that neighbours share
SIZES = (0.02, 0.05, 0.1, 0.2, 0.5)  # sides of a cell, degrees
TERMS = 100
DEFAULT = 0.1  # the policy's
AGREE = 0.9  # correlation of the two models' errors
SHRINK = 0.8  # a degree of longitude against one of latitude


def field(rng: np.random.Generator, places: np.ndarray, length: float) -> np.ndarray:
    """A smooth Gaussian field of mean 0 and variance 1 at the places (n, 2), drawn anew.

    Random Fourier features of a Gaussian kernel (Rahimi and Recht, 2007).
    """
    waves = rng.normal(size=(2, TERMS)) / length
    phases = rng.uniform(0, 2 * np.pi, TERMS)
    return np.cos(places @ waves + phases) @ rng.normal(size=TERMS) * np.sqrt(2.0 / TERMS)


def part(rng: np.random.Generator, places: np.ndarray, length: float, share: float) -> np.ndarray:
    """Errors of variance 1, of which `share` is shared by neighbours."""
    own = rng.normal(size=len(places))
    if not share:
        return own
    return np.sqrt(share) * field(rng, places, length) + np.sqrt(1 - share) * own


def errors(
    rng: np.random.Generator, places: np.ndarray, scale: np.ndarray, length: float, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Errors of two equally good models, shape (n,) each."""
    common = part(rng, places, length, share)
    both = [
        np.sqrt(AGREE) * common + np.sqrt(1 - AGREE) * part(rng, places, length, share)
        for _ in range(2)
    ]
    return scale * both[0], scale * both[1]


def measure(places: np.ndarray, scale: np.ndarray, length: float, share: float) -> dict[str, Any]:
    """Coverage at each size of a cell, and of the interval that takes rows as independent."""
    rng = np.random.default_rng(int(1000 * length + 10 * share))
    cells = {size: location_cells(places[:, 0] / SHRINK, places[:, 1], size) for size in SIZES}
    held: dict[str, list[bool]] = {f"{size:g}": [] for size in SIZES} | {"independent": []}
    zero, ratios = np.zeros(len(places)), []
    for _ in range(DRAWS):
        one, other = errors(rng, places, scale, length, share)
        for size in SIZES:
            c = compare(zero, one, other, cells[size], confidence=0.95)
            held[f"{size:g}"].append(c.interval.lower <= 0 <= c.interval.upper)
            if size == DEFAULT:
                ratios.append(c.se / c.se_independent)
        held["independent"].append(abs(c.effect) <= 1.96 * c.se_independent)
    coverage = {name: float(np.mean(found)) for name, found in held.items()}
    return {**coverage, "se_ratio": float(np.mean(ratios))}


def main() -> None:
    """Measure and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", default=os.environ.get("HOUSING_CENSUS"))
    options = parser.parse_args()
    if options.table is None:
        parser.error("name the reference table, or set HOUSING_CENSUS")
    frame = table(options.table)
    test = frame[sides(frame, 42)]
    longitude, latitude = (test[name].to_numpy() for name in schema.COORDINATES)
    places = np.column_stack([longitude * SHRINK, latitude])
    scale = test[schema.TARGET].to_numpy() / 1e5
    figures: dict[str, Any] = {"draws": DRAWS, "rows": len(test), "coverage": []}
    for length in LENGTHS:
        for share in SHARES[length != LENGTHS[0] :]:  # without sharing the length does not matter
            row = {"length": length, "share": share, **measure(places, scale, length, share)}
            figures["coverage"].append(row)
            print(row, flush=True)
    results.save("coverage", figures)


if __name__ == "__main__":
    main()
