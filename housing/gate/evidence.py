"""Everything that the gate judges from, as one plain record; how it is measured is in `gather`.

The record goes to SQL as JSON and is judged again years later. So it only ever grows: a new
field has a default that says "not measured then", and `shape` tells which fields a record could
have had. `read` brings any shape back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from housing.records import Comparison, DriftReport, Interval, Json, Metrics

SHAPE = 5
"""1: comparison and baselines. 2: slices, recent rows, ratchet, capped labels, drift, luck,
wear, costs and preflight as well. 3: how far each comparison's neighbours reach. 4: errors of
baselines are bounded and compared by halves of the places; baselines that failed. 5: test
rows with a near-duplicate in training."""

BOUNDED_BASELINES = 4
"""The shape from which on each baseline's own outcome counts, not only the nearest one's."""


@dataclass(frozen=True)
class ModelMetrics:
    """A model, and what it did on tonight's test rows."""

    id: int
    digest: str  # of its stored artifact
    training_rows: int  # recorded training keys
    test_overlap: int  # training keys that are in tonight's test set
    non_finite: int  # predictions
    non_positive: int  # finite predictions at or below zero
    metrics: Metrics | None  # None only where a prediction is not finite
    near_duplicates: int | None = None  # test rows that have one among its training rows


@dataclass(frozen=True)
class Baseline:
    """A model without skill; `comparison` is the challenger against it."""

    metrics: Metrics  # of its bounded errors
    comparison: Comparison | None  # None only where the challenger has no metrics
    bounded_rows: int = 0  # whose error counts as the range of the labels, as it is larger or NaN


@dataclass(frozen=True)
class SubsetComparison:
    """Challenger against champion on some of the test rows."""

    name: str
    rows: int
    comparison: Comparison | None  # None where so few rows cannot be compared at all


@dataclass(frozen=True)
class BestFormerChampion:
    """The best of the former champions on tonight's test set, and the challenger against it."""

    id: int
    among: int  # former champions that were scored
    rmse: float  # US dollars
    comparison: Comparison


@dataclass(frozen=True)
class SeedVariance:
    """The luck of training: what other members (seeds, draws) did, from those of the bag."""

    rmse: tuple[float, ...]  # US dollars, one a member
    spread: float  # standard deviation of the bag's RMSE over members, relative to it (jackknife)


@dataclass(frozen=True)
class HoldoutReuse:
    """How used the test set is, and whether the champion profits from that."""

    decisions: int  # verdicts on other challengers that shared test rows with tonight's
    fresh_rows: int  # test rows that none of them used
    fresh: Metrics | None  # the champion on these; None where there are too few
    used: Metrics | None  # and on the rest
    difference: Interval | None  # RMSE on fresh rows relative to the rest, among neighbours


@dataclass(frozen=True)
class ServingCosts:
    """What the challenger costs in service."""

    latency_ms: float  # median of a prediction for one row, on the machine of the night
    champion_latency_ms: float | None
    artifact_bytes: int


@dataclass(frozen=True)
class LoadCheck:
    """The stored artifact in a fresh process, on its golden rows."""

    worst: float | None  # largest relative difference of a prediction; None where it gave none
    seconds: float
    fault: str = ""  # why the artifact cannot be used there
    not_run: str = ""  # why there was no such process, or no answer from it


@dataclass(frozen=True)
class Evidence:
    """One night's facts. `champion` is None when the store holds no champion, and only then."""

    version: int  # dataset version
    test_rows: int
    read_rows: int  # of batches that entered since the champion's version
    rejected_rows: int  # of these
    challenger: ModelMetrics
    champion: ModelMetrics | None = None
    comparison: Comparison | None = None  # challenger against champion
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    shape: int = 1
    mae: Comparison | None = None  # challenger against champion, mean absolute error
    slices: tuple[SubsetComparison, ...] = ()
    recent: SubsetComparison | None = None  # rows that no decision has used
    uncapped: SubsetComparison | None = None  # rows whose label is below the cap
    former: BestFormerChampion | None = None
    luck: SeedVariance | None = None  # None for a model of one seed
    champion_luck: SeedVariance | None = None
    wear: HoldoutReuse | None = None
    drift: tuple[DriftReport, ...] = ()
    costs: ServingCosts | None = None
    preflight: LoadCheck | None = None  # None where the policy does not ask for it
    failed_baselines: Mapping[str, str] = field(default_factory=dict)  # name -> why it is left out
    looks: tuple[int, ...] = ()  # other challengers that were judged on exactly these rows before
    older: bool = False  # whether the champion is a later model than the challenger

    @property
    def repeated(self) -> bool:
        """Whether more than one comparison has been made that could have passed by chance."""
        return bool(self.looks) or self.older


def read(stored: Json) -> Evidence:
    """Evidence of any shape as SQL keeps it."""
    return TypeAdapter(Evidence).validate_python(stored)
