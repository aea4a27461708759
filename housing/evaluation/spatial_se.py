"""The standard error of a figure whose rows err alike where they lie near one another.

Rows lie in cells of a fixed grid, and pairs of cells count by their distance: a Bartlett kernel
(Conley, 1999), which is also the mean over all grids of that side, wherever they are anchored, of
the variance clustered by cell. The bandwidth of the kernel is chosen from the data for each
figure. What it costs and how well it holds: docs/decisions/0016-spatial-standard-errors.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, eye_array
from scipy.spatial import cKDTree

from housing.array_types import Floats, Integers, Mask
from housing.schema import LOCATION

Values = npt.NDArray[np.floating[Any]]
Cells = npt.NDArray[np.integer[Any]]

BANDWIDTHS = ((2, 1), (4, 1), (8, 2), (12, 3), (16, 4), (24, 6))
"""Bandwidth of a kernel, and the side of the cells that it pairs, both in sides of a cell."""

BEYOND_CHANCE = 1.0
"""Standard errors by which a longer bandwidth must raise the variance to count. Too short a
bandwidth makes the interval too narrow, too long a one only wider: so little proof is needed."""

LEAST_DF = 3.0
"""Beyond the first, a kernel that leaves fewer degrees of freedom is not used: it is nearly a
constant. With at least as many, subtracting the mean leaves 1 - 1 / sqrt(3) of the variance or more
(Jensen's inequality), enough to correct for it."""

MOST_CELLS = 30_000
"""Occupied cells; where there are more, their side is doubled."""

_TINY = 1e-9
"""Share of the variance that is kept at the least: nothing is divided by zero."""

_BORDER_DIGITS = 6
"""Cell numbers are rounded to this many digits before the floor: 0.3 is on a border of a grid
of 0.1 and must not fall to either side with the last bit of its binary form."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """Pairs of cells that lie within the bandwidth."""

    bandwidth: float  # along either axis, in the coordinates' unit
    merge: csr_array  # adds cells up to coarser ones, shape (coarser cells, cells)
    weights: csr_array  # 1 at no distance, 0 at the bandwidth, shape (coarser cells, coarser cells)

    @cached_property
    def squared(self) -> csr_array:
        """The weights, each squared."""
        found: csr_array = self.weights.power(2)
        return found


@dataclass(frozen=True, eq=False)
class SpatialCells:
    """Where rows lie: the cell of each, and the kernels between cells."""

    codes: Cells  # shape (n,), integers from 0
    kernels: tuple[Kernel, ...]  # from the shortest bandwidth to the longest

    def of(self, rows: Mask) -> "SpatialCells":
        """The same for some of the rows."""
        return SpatialCells(self.codes[rows], self.kernels)

    @property
    def cells(self) -> int:
        """Cells with a row in them."""
        return int(np.count_nonzero(np.bincount(self.codes)))


def grid(x: Values, y: Values, side: float) -> Integers:
    """Column and row of each place in a grid that is anchored at (0, 0); shape (n, 2)."""
    return np.column_stack(
        [
            np.floor(np.round(np.asarray(values, dtype=np.float64) / side, _BORDER_DIGITS))
            for values in (x, y)
        ]
    ).astype(np.int64)


def row_cells(table: pd.DataFrame) -> SpatialCells:
    """Cells of the table's rows at their location; without a location each row has its own."""
    if LOCATION is None:
        return independent_rows(len(table))
    x, y = (table[name].to_numpy(dtype=np.float64) for name in LOCATION.columns)
    return spatial_cells(x, y, LOCATION.cell)


def independent_rows(n: int) -> SpatialCells:
    """Cells of `n` rows that do not err alike: one each."""
    each = csr_array(eye_array(n))
    return SpatialCells(np.arange(n), (Kernel(0.0, each, each),))


def spatial_cells(x: Values, y: Values, side: float) -> SpatialCells:
    """Cells of the rows and the kernels between them; coordinates (n,), finite."""
    where = grid(x, y, side)
    corners, codes = _occupied(where)
    while len(corners) > MOST_CELLS:
        corners, merged = _occupied(corners // 2)
        codes, side = merged[codes], 2 * side
    return SpatialCells(codes, tuple(_kernels(corners, side)))


def _occupied(where: Integers) -> tuple[Integers, Cells]:
    """The distinct cells (m, 2) of a grid, and which of them each one is (n,)."""
    if not len(where):
        return where, np.zeros(0, dtype=np.int64)
    low, span = where.min(axis=0), np.ptp(where, axis=0) + 1
    keys, codes = np.unique(
        (where[:, 0] - low[0]) * span[1] + where[:, 1] - low[1], return_inverse=True
    )
    return np.column_stack([keys // span[1], keys % span[1]]) + low, codes


def _kernels(corners: Integers, side: float) -> Iterator[Kernel]:
    merged: dict[int, tuple[Integers, csr_array]] = {}
    for bandwidth, width in BANDWIDTHS:
        if width not in merged:
            coarse, parent = _occupied(corners // width)
            ones, cells = np.ones(len(corners)), np.arange(len(corners))
            shape = (len(coarse), len(corners))
            merged[width] = coarse, csr_array((ones, (parent, cells)), shape=shape)
        coarse, merge = merged[width]
        yield Kernel(bandwidth * side, merge, _bartlett(coarse, bandwidth // width))


def _bartlett(cells: Integers, steps: int) -> csr_array:
    """Weights of pairs of cells (m, 2), shape (m, m): along each axis 1 - distance / steps."""
    count = len(cells)
    near = cKDTree(cells).query_pairs(steps - 1, p=np.inf, output_type="ndarray")
    one, other = near.astype(np.int64).T
    weight = np.prod(1 - np.abs(cells[one] - cells[other]) / steps, axis=1)
    itself = np.arange(count)
    return csr_array(
        (
            np.concatenate([weight, weight, np.ones(count)]),
            (np.concatenate([one, other, itself]), np.concatenate([other, one, itself])),
        ),
        shape=(count, count),
    )


@dataclass(frozen=True)
class SpatialError:
    """A standard error among neighbours, and the degrees of freedom of its Student's t."""

    se: float
    cells: int
    df: float
    bandwidth: float  # in the coordinates' unit: neighbours within it are taken to err alike


def spatial_error(
    influence: Values, where: SpatialCells, weights: Values | None = None
) -> SpatialError:
    """Standard error of a mean whose rows err alike where they lie near one another.

    `influence` (n,): how far each row, times n, moves the figure; its sum must be about zero.
    `weights` (n,), of any sum: with which the mean that was taken off was formed; even where None.
    Taking it off takes variance with it, the more the longer the bandwidth: that is put back. The
    degrees of freedom are Satterthwaite's, from how the variance (and not the number of rows)
    spreads over cells. Infinite with fewer than two cells.
    """
    n, cells = len(influence), where.cells
    if cells < 2:
        return SpatialError(float("inf"), cells, 0.0, 0.0)
    signed = np.sign(influence) * np.sqrt(np.abs(influence))
    # Square roots have short tails: they show best how far neighbours err alike.
    sums = _CellSums.of(where, influence, signed - signed.mean(), weights)
    if sums.total[0] == 0:
        return SpatialError(0.0, cells, float(cells - 1), where.kernels[0].bandwidth)
    steps: list[_VarianceEstimate] = []
    seen = [(1.0, 0.0)]
    for kernel in where.kernels:
        step, shape = sums.under(kernel)
        if steps and step.df < LEAST_DF:
            break
        steps.append(step)
        seen.append((shape.ratio, shape.noise))
    level = min(_select_bandwidth(seen), len(steps) - 1)
    chosen = steps[level]
    se = float(np.sqrt(chosen.ratio * sums.total[0])) / n
    return SpatialError(se, cells, max(chosen.df - 1, 1.0), where.kernels[level].bandwidth)


def _select_bandwidth(seen: list[tuple[float, float]]) -> int:
    """The first level beyond which none shows more variance; level 0 is no bandwidth at all.

    Kernels number from the first that reaches, so this is also the kernel one step further than
    neighbours were seen to err alike.
    """
    for level, (ratio, noise) in enumerate(seen):
        rises = (
            more - ratio > BEYOND_CHANCE * np.sqrt(max(wide**2 - noise**2, 0.0))
            for more, wide in seen[level + 1 :]
        )
        if not any(rises):
            return level
    raise AssertionError("the last level has none beyond it")


@dataclass(frozen=True)
class _VarianceEstimate:
    """One column of numbers under one kernel."""

    ratio: float  # of the variance to that of independent rows
    noise: float  # standard deviation of the ratio, were rows independent
    df: float


@dataclass(frozen=True, eq=False)
class _CellSums:
    """Two columns of numbers (the figure's, and their roots) summed over cells."""

    # Signed, weights (of the mean that was taken off, sum 1), squared; each of both columns.
    columns: Floats  # shape (cells, 6)
    total: Floats  # of the squares, shape (2,)
    fourth: Floats  # of the fourth powers, shape (2,)

    @classmethod
    def of(
        cls, where: SpatialCells, figure: Values, roots: Values, weights: Values | None
    ) -> "_CellSums":
        """Sums of columns (n,) over the cells of their rows."""
        count = where.kernels[0].merge.shape[1]

        def summed(column: Values | None) -> Floats:
            return np.bincount(where.codes, weights=column, minlength=count).astype(np.float64)

        columns = (figure, roots)
        squares = [column * column for column in columns]
        rows = summed(None)
        by = np.column_stack([rows if weights is None else summed(weights), rows])
        return cls(
            np.column_stack(
                [
                    *(summed(column) for column in columns),
                    by / by.sum(axis=0),
                    *(summed(square) for square in squares),
                ]
            ),
            np.array([square.sum() for square in squares]),
            np.array([square @ square for square in squares]),
        )

    def under(self, kernel: Kernel) -> list[_VarianceEstimate]:
        """Variance among neighbours against that of independent rows, of either column."""
        merged = kernel.merge @ self.columns
        signed, weights, squared = merged[:, :2], merged[:, 2:4], merged[:, 4:]
        around = kernel.weights @ merged[:, :4]
        mean = around[:, 2:]
        # What taking the mean off leaves of each row's variance, summed over the rows.
        kept = 1 + _dot(weights, mean) - 2 * _dot(squared, mean) / self.total
        kept = np.maximum(kept, _TINY)
        among = _dot(squared, kernel.squared @ squared)
        ratio = np.maximum(_dot(signed, around[:, :2]), 0.0) / (kept * self.total)
        noise = np.sqrt(2 * np.maximum(among - self.fourth, 0.0)) / self.total
        return [
            _VarianceEstimate(*found)
            for found in zip(
                ratio.tolist(),
                noise.tolist(),
                (self.total**2 / among).tolist(),
                strict=True,
            )
        ]


def _dot(one: Floats, other: Floats) -> Floats:
    """Products of columns (m, k) by column, summed; shape (k,)."""
    found: Floats = np.einsum("ij,ij->j", one, other)
    return found
