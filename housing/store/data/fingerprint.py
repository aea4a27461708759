"""Digests of a set of rows: the same whatever the order of the rows and the files they are in.

`rowset_digest` is of all columns and finds damage. `content_digest` is of what a model can learn
from or be tested on, and identifies the rows of a version whatever their ids.

Each row is mixed into 64 bits; four salted copies of it are summed over the rows. It finds
every accident; against malice stand the sha256 of the files.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.keys import distinct, keys_of_ids, mix
from housing.training.fingerprints import row_words

_LANES = 4
_GOLDEN = 0x9E3779B97F4A7C15


def rowset_digest(frame: pd.DataFrame) -> str:
    """64 hexadecimal digits for the rows of `frame`, columns in the order given."""
    return _summed(_states(frame))


def rowset_digests(frame: pd.DataFrame, batch: npt.NDArray[np.int64]) -> dict[int, str]:
    """`rowset_digest` of the rows of each batch; `batch` (n,) names that of each row."""
    states, rows = _states(frame), pd.Series(batch).groupby(batch).indices
    return {int(batch[where[0]]): _summed(states[where]) for where in rows.values()}


def _states(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Each row in 64 bits, columns in the order given; shape (n,)."""
    state = np.full(len(frame), len(frame.columns), dtype=np.uint64)
    for name in frame.columns:
        state = mix(state * np.uint64(3) + _bits(frame[name]))
    return state


def content_digest(frame: pd.DataFrame, side: npt.NDArray[np.bool_]) -> str:
    """64 hexadecimal digits for the inputs, labels and sides (n,) of the rows of `frame`.

    Keys do not count, values count at the resolution of the catalogue, and a row that occurs more
    than once on a side counts once: it adds no evidence.
    """
    return _summed(distinct(mix(row_words(frame) + side.astype(np.uint64))))


def _summed(state: npt.NDArray[np.uint64]) -> str:
    salts = [np.uint64(lane * _GOLDEN % 2**64) for lane in range(1, _LANES + 1)]
    lanes = [mix(state ^ salt).sum() for salt in salts]
    return "".join(f"{int(lane):016x}" for lane in lanes)


def _bits(column: pd.Series) -> npt.NDArray[np.uint64]:
    """Each value as 64 bits; all missing values alike, and 0.0 like -0.0."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(dtype=np.int64).view(np.uint64)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.to_numpy(dtype="datetime64[us]").view(np.uint64)
    values = column.to_numpy()
    if values.dtype == object:  # text
        words = np.zeros(len(values), dtype=np.int64)
        words[column.notna()] = keys_of_ids(column.dropna())
        return words.view(np.uint64)
    if values.dtype == np.float64:
        values = np.where(np.isnan(values), np.nan, values + 0.0)
        return values.view(np.uint64)
    return values.astype(np.int64).view(np.uint64)
