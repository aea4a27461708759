"""Everything that the gate judges from, as one plain record, and how it is gathered.

The record goes to SQL as JSON and comes back equal, so a verdict can be judged again years later.
No threshold is applied here; the policy only says how to measure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from housing.evaluation.compare import Cells, compare, location_cells
from housing.evaluation.metrics import Values, count_unusable, measure
from housing.gate.policy import GatePolicy
from housing.records import Comparison, Metrics


@dataclass(frozen=True)
class Contender:
    """A model, and what it did on tonight's test rows."""

    id: int
    digest: str  # of its stored artifact
    training_rows: int  # recorded training keys
    test_overlap: int  # training keys that are in tonight's test set
    non_finite: int  # predictions
    non_positive: int  # finite predictions at or below zero
    metrics: Metrics | None  # None only where a prediction is not finite


@dataclass(frozen=True)
class Baseline:
    """A model without skill; `comparison` is the challenger against it."""

    metrics: Metrics
    comparison: Comparison | None  # None only where the challenger has no metrics


@dataclass(frozen=True)
class Evidence:
    """One night's facts. `champion` is None when the store holds no champion, and only then."""

    version: int  # dataset version
    test_rows: int
    read_rows: int  # brought in tonight
    rejected_rows: int  # of these
    challenger: Contender
    champion: Contender | None = None
    comparison: Comparison | None = None  # challenger against champion
    baselines: Mapping[str, Baseline] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TestRows:
    """Tonight's test set; columns of shape (n,)."""

    __test__ = False  # not a test case, whatever pytest makes of its name

    version: int
    longitude: Values  # degrees
    latitude: Values  # degrees
    actual: Values  # US dollars


@dataclass(frozen=True, eq=False)
class Predictions:
    """A stored model, its predictions of the test rows, and its recorded training keys."""

    id: int
    digest: str
    values: Values  # US dollars, shape (n,)
    training_rows: int
    test_overlap: int


def gather(
    test: TestRows,
    challenger: Predictions,
    champion: Predictions | None,
    baselines: Mapping[str, Values],
    policy: GatePolicy,
    *,
    read_rows: int,
    rejected_rows: int,
) -> Evidence:
    """Measure all models afresh on the same rows, at the policy's confidence and cell size.

    `baselines`: name -> predictions of shape (n,). NotMeasurable: see `measure` and `compare`.
    """
    cells = location_cells(test.longitude, test.latitude, policy.cell_degrees)
    ours = _contender(test, challenger, policy)
    theirs = None if champion is None else _contender(test, champion, policy)
    comparison = None
    if champion and theirs and theirs.metrics:
        comparison = _compared(test, cells, champion.values, ours, challenger, policy)
    return Evidence(
        version=test.version,
        test_rows=len(test.actual),
        read_rows=read_rows,
        rejected_rows=rejected_rows,
        challenger=ours,
        champion=theirs,
        comparison=comparison,
        baselines={
            name: Baseline(
                measure(test.actual, values, policy.confidence),
                _compared(test, cells, values, ours, challenger, policy),
            )
            for name, values in baselines.items()
        },
    )


def _contender(test: TestRows, model: Predictions, policy: GatePolicy) -> Contender:
    non_finite, non_positive = count_unusable(model.values)
    return Contender(
        id=model.id,
        digest=model.digest,
        training_rows=model.training_rows,
        test_overlap=model.test_overlap,
        non_finite=non_finite,
        non_positive=non_positive,
        metrics=None if non_finite else measure(test.actual, model.values, policy.confidence),
    )


def _compared(
    test: TestRows,
    cells: Cells,
    other: Values,
    ours: Contender,
    challenger: Predictions,
    policy: GatePolicy,
) -> Comparison | None:
    """The challenger against another model, unless the challenger cannot be measured."""
    if ours.metrics is None:
        return None
    return compare(test.actual, other, challenger.values, cells, confidence=policy.confidence)
