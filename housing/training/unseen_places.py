"""The error at places without training rows, beside that of a random split."""

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from housing.array_types import Floats, Integers
from housing.errors import NotMeasurable
from housing.evaluation.compare import compare_pair, paired
from housing.evaluation.metrics import error_of
from housing.evaluation.spatial_se import grid, row_cells
from housing.metric import RMSE
from housing.records import Interval, UnseenPlaces
from housing.schema import LOCATION, in_range

BLOCK = 5
"""Side of the blocks that are left out together, in sides of a location cell."""

LEFT_OUT = 1 / 3
"""Share of the rows that lie in these blocks."""

ROWS = 3000
"""Rows in these blocks that are predicted, at most."""


def unseen_places(
    seen: Pipeline,
    unseen: Pipeline,
    X: pd.DataFrame,
    y: Floats,
    train: Integers,
    metric: str = RMSE,
) -> UnseenPlaces | None:
    """Leave out whole blocks of places, and compare on their rows two models of one recipe.

    `seen` is fitted on the rows `train` of X and y; `unseen` gets as many rows from the other
    blocks, or all of them, and is fitted here. The error is by `metric`. None without a location,
    and where most rows lie in one block: the other model would learn from too few.
    """
    if LOCATION is None:
        return None
    x, z = (X[name].to_numpy(dtype=np.float64) for name in LOCATION.columns)
    _, codes = np.unique(grid(x, z, BLOCK * LOCATION.cell), axis=0, return_inverse=True)
    generator = np.random.default_rng(len(train))
    blocks = generator.permutation(codes.max() + 1)
    count = np.bincount(codes)[blocks]
    out = np.isin(codes, blocks[np.cumsum(count) - count < LEFT_OUT * len(X)])
    order = generator.permutation(len(X))
    rows = order[out[order] & ~np.isin(order, train)][:ROWS]
    elsewhere = order[~out[order]][: len(train)]
    if len(rows) < 2 or len(elsewhere) < len(train) / 2:
        return None
    unseen.fit(X.iloc[elsewhere], y[elsewhere])
    shown = X.iloc[rows]
    try:
        where = row_cells(shown)
        known, new = (in_range(model.predict(shown)) for model in (seen, unseen))
        pair = paired(y[rows], known, new, where)
        found = compare_pair(pair, metric, confidence=0.95).interval
    except NotMeasurable:
        return None
    ratio = 1 + found.value
    half = (found.upper - found.value) / ratio  # of the ratio's logarithm: it may be far from 1
    lower, upper = (ratio * np.exp(sign * half) - 1 for sign in (-1, 1))
    return UnseenPlaces(
        block=BLOCK * LOCATION.cell,
        rows=len(rows),
        seen_rows=len(train),
        unseen_rows=len(elsewhere),
        seen=error_of(pair.actual, pair.champion, metric),
        unseen=error_of(pair.actual, pair.challenger, metric),
        change=Interval(found.value, float(lower), float(upper), found.confidence),
        metric=metric,
    )
