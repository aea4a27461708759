"""What identifies a row, as one 64-bit integer, and the keyed hash that orders rows.

A key is the hash of the row's own id, or else of its identifying values, numbers rounded to the
resolution that the catalogue gives them (so 41, 41.0 and a float32 are the same). 64 bits make a
false match among 10 million rows a 3-in-a-million event; what that buys is plain integers in
numpy, Parquet and SQL (docs/decisions/0004).
"""

import hashlib
import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.array_types import Integers, Mask
from housing.problem import MARK, Column
from housing.schema import CATALOGUE, ID_COLUMN, KEY

Keys = Integers
_Word = TypeVar("_Word", np.int64, np.uint64)

KEY_COLUMN = f"{MARK}key"
"""Name of the column that holds the keys, in frames and stored segments."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MISSING = np.iinfo(np.int64).min


def mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Finalizer of SplitMix64 (Steele, Lea and Flood, 2014): a bijection that spreads all bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def distinct(words: npt.NDArray[_Word]) -> npt.NDArray[_Word]:
    """The different keys or hashes, ascending; shape (m,).

    For millions of them `numpy.unique`, which hashes since version 2.3, takes ten times as long.
    """
    ordered = np.sort(words)
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def among(words: npt.NDArray[_Word], others: npt.NDArray[_Word]) -> Mask:
    """Which keys or hashes are among others; shape (n,)."""
    found: Mask = pd.Index(words).isin(others)
    return found


def keys_of_values(frame: pd.DataFrame) -> Keys:
    """Keys from the identifying columns; shape (n,). A missing value is a value like others."""
    return words_of(frame, KEY).view(np.int64)


def words_of(frame: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.uint64]:
    """One hash of the values of some columns for each row, shape (n,)."""
    state = np.full(len(frame), _GOLDEN, dtype=np.uint64)
    for name in names:
        state = mix((state + _GOLDEN) ^ mix(_words(frame[name], CATALOGUE[name]) + _GOLDEN))
    return state


def _words(values: pd.Series, column: Column) -> npt.NDArray[np.uint64]:
    """64 bits of each value, shape (n,): of the category's text, the rounded or exact number."""
    if column.kind == "category":
        codes, texts = pd.factorize(values)
        words = [*(int.from_bytes(_digest(str(text)), "little") for text in texts), 0]
        return np.array(words, dtype=np.uint64)[codes]
    numbers = values.to_numpy(dtype=np.float64)
    missing = np.isnan(numbers)
    if column.resolution is None:
        return np.where(missing, np.nan, numbers + 0.0).view(np.uint64)  # one zero, one NaN
    steps = np.full(len(numbers), _MISSING, dtype=np.int64)
    steps[~missing] = np.rint(numbers[~missing] / column.resolution).astype(np.int64)
    return steps.view(np.uint64)


_KEY_AS_ID = re.compile(r"key:([0-9a-f]{16})")


def keys_of_ids(ids: pd.Series) -> Keys:
    """Keys from the rows' own ids, compared as text; shape (n,).

    An id as `ids_of_keys` writes it stands for the key in it.
    """
    return np.frombuffer(b"".join(map(_digest, map(str, ids))), dtype="<i8").astype(np.int64)


def _digest(text: str) -> bytes:
    if key := _KEY_AS_ID.fullmatch(text):
        return bytes.fromhex(key[1])[::-1]
    return hashlib.blake2b(text.encode(), digest_size=8, person=b"row").digest()


def ids_of_keys(keys: Keys) -> list[str]:
    """Ids for rows whose own id is unknown; in a file they identify the same rows."""
    return [f"key:{word:016x}" for word in keys.view(np.uint64).tolist()]


def row_keys(frame: pd.DataFrame) -> Keys:
    """Key of each row, shape (n,): its own id where it has one, else its identifying values."""
    keys = keys_of_values(frame)
    if ID_COLUMN in frame:
        has_id = frame[ID_COLUMN].notna().to_numpy()
        keys[has_id] = keys_of_ids(frame.loc[has_id, ID_COLUMN])
    return keys


def keyed_hash(keys: Keys, seed: int) -> npt.NDArray[np.uint64]:
    """A pseudo-random order of rows that only `seed` decides; shape (n,)."""
    salt = mix(np.array([seed], dtype=np.int64).view(np.uint64) + _GOLDEN)
    return mix(keys.view(np.uint64) ^ salt)
