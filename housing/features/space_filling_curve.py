"""An order of rows in which rows that are near each other on the map stand near each other.

Work on neighbouring rows touches the same training rows and takes the same ways through trees,
so what a processor has just fetched is of use again. It decides speed and nothing else.
"""

import numpy as np
import numpy.typing as npt

from housing.array_types import Floats, Integers

_STEPS = 2**16 - 1
_SPREAD = ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555))


def along_curve(positions: Floats) -> Integers:
    """Numbers of the rows along a Z-order curve (Morton, 1966), shape (n,); gaps come first.

    `positions` has shape (n, d); its first two columns count.
    """
    code = np.zeros(len(positions), dtype=np.uint64)
    for axis, values in enumerate(positions[:, :2].T):
        steps = _steps(values)
        for shift, mask in _SPREAD:  # a gap after each of the 16 bits
            steps = (steps | (steps << np.uint64(shift))) & np.uint64(mask)
        code |= steps << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _steps(values: Floats) -> npt.NDArray[np.uint64]:
    """Whole numbers from 0 to 65,535 in the order of the values, shape (n,)."""
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    share = np.zeros(len(values)) if high == low else (values - low) / (high - low)
    return np.where(known, share * _STEPS, 0.0).astype(np.uint64)
