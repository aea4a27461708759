"""`python -m benchmarks coverage`: what share of unseen prices the promised interval holds.

One model of the boosting family at fixed settings on the reference table (HOUSING_CENSUS), out-of-
fold residuals of three folds, and a test side that none of it has seen; overall and by slice, with
exact 95 % limits.
"""

import os
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from housing import schema
from housing.quality import validate
from housing.records import Draw
from housing.serving.companion import NOMINAL, build, rows_of
from housing.sources.files import ReadLimits
from housing.sources.tabular import read_table
from housing.training.candidates import pipeline
from housing.training.split import strata

FEATURES = list(schema.FEATURES)
TEST_SHARE = 0.2
DRAW = Draw(
    0, "boosting",
    {"model__max_iter": 400, "model__learning_rate": 0.07, "model__max_leaf_nodes": 45,
     "model__min_samples_leaf": 8, "model__l2_regularization": 1.0, "model__max_features": 0.1},
)  # fmt: skip


def main() -> None:
    """Print the shares."""
    path = Path(os.environ["HOUSING_CENSUS"])
    frame = validate(read_table(path, ReadLimits()), path.name).accepted
    side = _test_side(frame)
    train, test = (frame[rows].reset_index(drop=True) for rows in (~side, side))
    X, y = train[FEATURES], train[schema.TARGET].to_numpy(float)
    oof = np.zeros(len(y))
    for a, b in KFold(3, shuffle=True, random_state=1).split(X):
        oof[b] = pipeline(DRAW, 1).fit(X.iloc[a], y[a]).predict(X.iloc[b])
    predicted = pipeline(DRAW, 1).fit(X, y).predict(test[FEATURES])
    companion, _ = build(rows_of(train, oof), rows_of(test, predicted))
    whole = companion.coverage
    assert whole is not None
    print(f"{NOMINAL:.0%} promised; {len(test):,} test districts")
    print(f"{'all':<36}{len(test):>6}  {whole.value:.1%} [{whole.lower:.1%}; {whole.upper:.1%}]")
    for s in companion.slices:
        limits = f"[{s.share.lower:.1%}; {s.share.upper:.1%}]"
        print(f"{s.column + ' ' + s.name:<36}{s.rows:>6}  {s.share.value:.1%} {limits}")


def _test_side(frame):
    """A share of each stratum, by chance."""
    codes, generator = strata(frame), np.random.default_rng(0)
    side = np.zeros(len(frame), dtype=bool)
    for code in np.unique(codes):
        rows = generator.permutation(np.flatnonzero(codes == code))
        side[rows[: round(len(rows) * TEST_SHARE)]] = True
    return side


if __name__ == "__main__":
    main()
