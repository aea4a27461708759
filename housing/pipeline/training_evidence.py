"""Evidence besides the test rows: out-of-fold errors, and what earlier verdicts say of a model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.errors import Corrupt, NotMeasurable
from housing.evaluation.compare import compare
from housing.evaluation.spatial_se import Values, row_cells
from housing.gate import evidence as records
from housing.gate.evidence import Standing
from housing.gate.expected_gain import FORMULA, standings
from housing.gate.policy import GatePolicy
from housing.inference.fast_predictor import predict_members
from housing.keys import KEY_COLUMN
from housing.metric import RMSE
from housing.records import Comparison
from housing.store.data import datasets
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.tables import evaluations
from housing.store.models.searches import NESTED
from housing.store.runs.predictions import PREDICTED

MOST_EARLIER = 200
"""Earlier verdicts from which a champion's standing is made where none is recorded."""


def out_of_fold_comparison(
    store: Store,
    train: pd.DataFrame,
    models: tuple[Row[Any], Row[Any]],
    champion: Any,
    policy: GatePolicy,
) -> Comparison | None:
    """Challenger against champion on the training rows `train`; None without enough of them.

    `models` are the challenger and the champion, `champion` is the fitted model. Each row is
    predicted by models that were not fitted on it.
    """
    try:
        ours = _out_of_fold(store, models[0], train)
        rows, ours = train[np.isfinite(ours)], ours[np.isfinite(ours)]
        theirs = _out_of_fold(store, models[1], rows)
    except Corrupt:  # they were pruned, or are damaged, which `housing doctor` reports
        return None
    if models[0].version != models[1].version:
        theirs = _since(store, models[1], champion, rows, theirs)
    both = np.isfinite(theirs)
    if both.sum() < policy.min_test_rows:
        return None
    rows = rows[both]
    actual = rows[schema.TARGET].to_numpy(np.float64)
    theirs, ours = schema.in_range(theirs[both]), schema.in_range(ours[both])
    try:
        return compare(
            actual, theirs, ours, row_cells(rows), policy.metric, confidence=policy.confidence
        )
    except NotMeasurable:
        return None


def _out_of_fold(store: Store, model: Row[Any], rows: pd.DataFrame) -> Values:
    """Out-of-fold predictions (n,), of members chosen on other folds where stored; or NaN."""
    kept = get_table(store, model.out_of_fold).to_pandas().set_index(KEY_COLUMN)
    column = kept[NESTED if NESTED in kept else PREDICTED]
    found: Values = column.reindex(rows[KEY_COLUMN]).to_numpy(np.float64, copy=True)
    return found


def _since(
    store: Store, model: Row[Any], fitted: Any, rows: pd.DataFrame, predicted: Values
) -> Values:
    """The out-of-fold predictions, and the model's own of rows that entered after its fit.

    Rows whose values have changed since get NaN: other values of them were predicted.
    """
    columns = [*schema.FEATURES, schema.TARGET]
    then = datasets.training_rows(datasets.read(store, model.version, columns=columns))
    place = pd.Index(then[KEY_COLUMN]).get_indexer(rows[KEY_COLUMN])
    new = place < 0
    was, now = (
        pd.util.hash_pandas_object(frame[columns], index=False).to_numpy()
        for frame in (then.iloc[place[~new]], rows[~new])
    )
    predicted[~new] = np.where(was == now, predicted[~new], np.nan)
    if new.any():
        entered = rows.loc[new, list(schema.FEATURES)]
        predicted[new] = predict_members(fitted, entered).mean(axis=0)
    return predicted


def standing(
    connection: Connection,
    champion: int | None,
    earlier: sa.ColumnElement[bool],
    metric: str = RMSE,
) -> Standing | None:
    """What the evaluations `earlier` by a metric say of the champion; None if there are none.

    The newest one that compared it is enough, as it recorded what was known before it. Records of
    an earlier release or formula did not: then their comparisons are gone through in order.
    """
    known: dict[int, Standing] = {}
    if champion is None:
        return None
    for row in _compared(connection, champion, earlier, metric):
        evidence = records.read(row.evidence)
        if not _known(row):
            evidence = replace(evidence, standing=known.get(row.champion), gain_formula=FORMULA)
        known[row.champion], known[row.challenger] = standings(evidence)
    return known.get(champion)


def _compared(
    connection: Connection, champion: int, earlier: sa.ColumnElement[bool], metric: str
) -> list[Row[Any]]:
    """Comparisons from which the champion's standing follows, oldest first."""
    pair = evaluations.c.champion.is_not(None)
    query = sa.select(evaluations).where(earlier, pair).order_by(evaluations.c.id.desc())
    found: list[Row[Any]] = []
    for row in connection.execute(query.limit(MOST_EARLIER)):
        comparison = row.evidence.get("comparison")
        if comparison is None or comparison.get("metric", RMSE) != metric:
            continue
        its = champion in (row.champion, row.challenger)
        if its or found:
            found.append(row)
        if its and _known(row):
            break
    return found[::-1]


def _known(row: Row[Any]) -> bool:
    """Whether a verdict recorded what was known before it, by the present formula."""
    known = row.evidence.get("standing") is not None
    return known and row.evidence.get("gain_formula", 1) == FORMULA
