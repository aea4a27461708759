"""How much better one model is than another on the same rows, and how sure that is.

Everything is paired: what both models find hard cancels out. No threshold and no decision here.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from housing.errors import NotMeasurable
from housing.evaluation.metrics import Values, finite_columns
from housing.records import Comparison, Interval

Cells = npt.NDArray[np.integer[Any]]

_WHAT = "the change of the error"
_BORDER_DIGITS = 6
"""Cell numbers are rounded to this many digits before the floor: 0.3 is on a border of a grid
of 0.1 degrees and must not fall to either side with the last bit of its binary form."""


def location_cells(longitude: Values, latitude: Values, size_degrees: float) -> Cells:
    """Cell of a fixed longitude-latitude grid in which each row lies; shape (n,).

    The grid is anchored at (0, 0), so rows share a cell whatever other rows there are; the codes
    are dense, 0 to the number of occupied cells - 1. Coordinates must be finite.
    """
    column, row = (
        np.floor(np.round(np.asarray(values, dtype=np.float64) / size_degrees, _BORDER_DIGITS))
        for values in (longitude, latitude)
    )
    width = np.ptp(row) + 1 if len(row) else 1
    _, codes = np.unique(column * width + row, return_inverse=True)
    return codes.astype(np.int64)


def compare(
    y: Values,
    champion_pred: Values,
    challenger_pred: Values,
    cells: Cells,
    *,
    confidence: float,
) -> Comparison:
    """Relative change of the RMSE, challenger against champion; all columns of shape (n,).

    The standard errors come from the delta method on the paired squared errors: with a the
    challenger's, b the champion's, and r = sqrt(mean a / mean b), row i moves r by
    r/2 (a_i / mean a - b_i / mean b) / n. The deciding one sums rows of a cell first, because
    neighbouring districts err together; its limits use Student's t with cells - 1 degrees of
    freedom. `cells` are small integers from 0, as `location_cells` gives them.
    NotMeasurable: fewer than two rows or two cells, a value not finite, a champion without error.
    """
    truth, champion, challenger = finite_columns(_WHAT, y, champion_pred, challenger_pred)
    n = len(truth)
    ours, theirs = (challenger - truth) ** 2, (champion - truth) ** 2
    our_mean, their_mean = float(ours.mean()), float(theirs.mean())
    if their_mean == 0:
        raise NotMeasurable(what=_WHAT, why="the model compared with makes no error at all")
    clusters = int(np.count_nonzero(np.bincount(cells, minlength=1)))
    if clusters < 2:
        raise NotMeasurable(what=_WHAT, why="all test rows lie in one location cell")
    ratio = (our_mean / their_mean) ** 0.5
    # A challenger without any error stays so on every resample: its rows move nothing.
    influence = np.zeros(n)
    if our_mean > 0:
        influence = (ratio / 2) * (ours / our_mean - theirs / their_mean)
    sums = np.bincount(cells, weights=influence)
    se = float(np.sqrt(clusters / (clusters - 1) * (sums @ sums))) / n
    se_independent = float(np.sqrt(influence @ influence / (n * (n - 1))))
    two_sided, one_sided = stdtrit(clusters - 1, [(1 + confidence) / 2, confidence]).tolist()
    effect = ratio - 1
    return Comparison(
        rows=n,
        clusters=clusters,
        effect=effect,
        se=se,
        se_independent=se_independent,
        interval=Interval(effect, effect - two_sided * se, effect + two_sided * se, confidence),
        upper=effect + one_sided * se,
    )
