"""The evidence that the gate judges, as one plain record; `measure` builds it.

The record is stored in SQL as JSON and can be judged again later. A new field therefore needs a
default that means "not measured", and no field is renamed or removed after a release.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from pydantic import TypeAdapter

from housing.records import Comparison, DriftReport, Interval, Json, Metrics

ESTIMATES = "existing estimates"
"""Name of the baseline of the estimates that people use today."""


@dataclass(frozen=True)
class CorrectedError:
    """A model's error with the selection bias removed (see `gate.corrected_error`)."""

    error: Interval  # by the deciding metric
    source: str  # which test rows it is of
    rows: int  # of these
    bias: float  # expected share by which selection made the shown error too low
    verdicts: int  # that compared the model or its predecessors, from which that is known


@dataclass(frozen=True)
class ModelMetrics:
    """A model and its errors on the test set."""

    id: int
    digest: str  # of its stored artifact
    training_rows: int  # recorded training keys
    test_overlap: int  # training keys that are in the test set
    non_finite: int  # predictions
    metrics: Metrics | None  # None only where a prediction is not finite
    near_duplicates: int | None = None  # test rows with one among its training rows
    corrected: CorrectedError | None = None  # its error without the selection bias


@dataclass(frozen=True)
class Baseline:
    """A baseline model; `comparison` is the challenger against it."""

    metrics: Metrics  # of its bounded errors
    comparison: Comparison | None  # None only where the challenger has no metrics
    bounded_rows: int = (
        0  # rows whose error was larger (or NaN) and is set to the range of the labels
    )
    missing_rows: int = 0  # test rows that it says nothing about; they are not compared
    challenger: Metrics | None = None  # on the compared rows, where rows are missing


@dataclass(frozen=True)
class SubsetComparison:
    """Challenger against champion on some of the test rows."""

    name: str
    rows: int
    comparison: Comparison | None  # None where there are too few rows


@dataclass(frozen=True)
class BestFormerChampion:
    """The former champion with the lowest error on the test set, and the challenger against it."""

    id: int
    among: int  # former champions that were scored
    error: float  # by the deciding metric
    comparison: Comparison


@dataclass(frozen=True)
class SeedVariance:
    """Seed variance: how much the ensemble's error depends on the seeds of its members."""

    errors: tuple[float, ...]  # of each member, by the deciding metric
    spread: float  # jackknife standard error of the ensemble's error, relative to it


@dataclass(frozen=True)
class HoldoutReuse:
    """How often decisions used the test set, and whether that biases the champion's error."""

    decisions: int  # verdicts on other challengers that used some of these test rows
    fresh_rows: int  # test rows that no decision has used
    fresh: Metrics | None  # champion on these rows; None where there are too few
    used: Metrics | None  # champion on the other rows
    difference: Interval | None  # error on fresh rows relative to the others, spatially robust


@dataclass(frozen=True)
class Standing:
    """What earlier verdicts say of a model's numbers (see `gate.expected_gain`)."""

    mean: tuple[float, ...]  # the last one is the deviation on test rows
    covariance: tuple[tuple[float, ...], ...]
    training_rows: int  # rows on which its out-of-fold error was compared; 0: it was not
    test_rows: int
    comparisons: int  # from which it is known
    challengers: float  # standard deviation of the true errors of challengers' recipes


@dataclass(frozen=True)
class ServingCosts:
    """Latency and size of the challenger."""

    latency_ms: float  # median time to predict one row, on the machine of the run
    champion_latency_ms: float | None
    artifact_bytes: int


@dataclass(frozen=True)
class LoadCheck:
    """Result of loading the stored artifact in a fresh process and predicting its golden rows."""

    worst: float | None  # largest relative difference of a prediction; None without predictions
    seconds: float
    fault: str = ""  # why the artifact cannot be used
    not_run: str = ""  # why the process did not start or gave no result


@dataclass(frozen=True)
class Evidence:
    """All measurements of one comparison. `champion` is None only if the store has no champion."""

    version: int  # dataset version
    test_rows: int
    read_rows: int  # of batches that entered since the champion's version
    rejected_rows: int  # of these
    challenger: ModelMetrics
    champion: ModelMetrics | None = None
    comparison: Comparison | None = None  # challenger against champion
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    metric: str = "rmse"  # the deciding one, of every comparison but the next two
    mae: Comparison | None = None  # where the deciding comparison is of another metric
    rmse: Comparison | None = None  # the same
    slices: tuple[SubsetComparison, ...] = ()
    recent: SubsetComparison | None = None  # rows that no decision has used
    uncapped: SubsetComparison | None = None  # rows whose label is below the cap
    former: BestFormerChampion | None = None
    seed_variance: SeedVariance | None = None  # None for a model of one seed
    champion_seed_variance: SeedVariance | None = None
    holdout_reuse: HoldoutReuse | None = None
    drift: tuple[DriftReport, ...] = ()
    costs: ServingCosts | None = None
    preflight: LoadCheck | None = None  # None where the policy does not ask for it
    failed_baselines: Mapping[str, str] = field(default_factory=dict)  # name -> reason
    judged_before: tuple[int, ...] = ()  # others, if no test row is new since
    champion_is_newer: bool = False
    training: Comparison | None = None  # out-of-fold, on the training rows of both models
    standing: Standing | None = None  # of the champion after its earlier verdicts
    gain_formula: int = 1  # version of `gate.expected_gain` that judges it
    measured: Mapping[str, Json] = field(default_factory=dict)  # check -> evidence of its own
    failed_measurements: Mapping[str, str] = field(default_factory=dict)  # check -> error

    @property
    def repeated(self) -> bool:
        """Whether an earlier comparison on the same test rows could have passed by chance."""
        return bool(self.judged_before) or self.champion_is_newer


def read(stored: Json) -> Evidence:
    """Evidence from its stored JSON; unknown fields are ignored."""
    return _adapter().validate_python(stored)


@cache
def _adapter() -> TypeAdapter[Evidence]:
    """Making one takes longer than reading with it."""
    return TypeAdapter(Evidence)
