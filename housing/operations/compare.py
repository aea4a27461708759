"""Two models side by side on one test version, for people; nothing is decided or recorded."""

from dataclasses import dataclass

from housing import progress, schema
from housing.evaluation.compare import compare
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import row_cells
from housing.gate.policy import GatePolicy
from housing.inference.fast_predictor import mean_of, predict_members
from housing.keys import KEY_COLUMN
from housing.pipeline.evaluate import assert_no_leakage
from housing.records import Comparison, Metrics
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.models import artifacts, registry


@dataclass(frozen=True)
class SideBySide:
    """`comparison` is the second model against the first."""

    version: int
    first: Metrics
    second: Metrics
    comparison: Comparison


def side_by_side(
    store: Store, first: int, second: int, version: int, policy: GatePolicy
) -> SideBySide:
    """Score both afresh on the test side of `version`; LeakFound if either was trained on it."""
    with store.read() as connection:
        rows = [registry.model(connection, id_) for id_ in (first, second)]
    frame = datasets.read(store, version)
    test = datasets.test_rows(frame)
    actual, where = test[schema.TARGET].to_numpy(), row_cells(test)
    predicted = []
    for number, row in enumerate(rows):
        progress.report("compare", number, len(rows), f"m{row.id} on the test rows of v{version}")
        assert_no_leakage(store, row, test[KEY_COLUMN].to_numpy(), version)
        model = artifacts.get_model(store, row.artifact)
        predicted.append(mean_of(predict_members(model, test)))
    progress.report("compare", len(rows), len(rows), "the intervals")
    one, other = (measure(actual, p, policy.confidence, where, policy.metric) for p in predicted)
    ours, theirs = predicted
    change = compare(actual, ours, theirs, where, policy.metric, confidence=policy.confidence)
    return SideBySide(version, one, other, change)
