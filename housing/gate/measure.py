"""Measures the evidence: all models on the same test rows, with the policy's settings.

No threshold is applied here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from housing.array_types import Mask
from housing.errors import NotMeasurable
from housing.evaluation.compare import (
    PairedPredictions,
    bounded_errors,
    compare,
    compare_by_halves,
    compare_groups,
    compare_pair,
    paired,
)
from housing.evaluation.metrics import error_of, measure
from housing.evaluation.spatial_se import SpatialCells, Values
from housing.gate.corrected_error import with_corrections
from housing.gate.evidence import (
    ESTIMATES,
    Baseline,
    BestFormerChampion,
    Evidence,
    HoldoutReuse,
    LoadCheck,
    ModelMetrics,
    SeedVariance,
    ServingCosts,
    Standing,
    SubsetComparison,
)
from housing.gate.expected_gain import FORMULA
from housing.gate.policy import EVIDENCE_CONFIDENCE, GatePolicy
from housing.metric import MAE, RMSE
from housing.records import Comparison, DriftReport, Metrics
from housing.schema import in_range

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TestRows:
    """The test set; columns of shape (n,)."""

    __test__ = False  # not a test case, whatever pytest makes of its name

    version: int
    where: SpatialCells
    actual: Values
    slices: Mapping[str, Mask] = field(default_factory=dict)  # name -> the rows in it
    fresh: Mask | None = None  # rows that no decision has used; None where that is not known
    capped: Mask | None = None  # rows whose label is at the cap; None where there is no cap
    features: "pd.DataFrame | None" = None  # as a model gets them


@dataclass(frozen=True, eq=False)
class ModelPredictions:
    """A stored model, its predictions of the test rows, and its recorded training keys."""

    id: int
    digest: str
    values: Values  # shape (n,)
    training_rows: int
    test_overlap: int
    near_duplicates: int | None = field(default=None, kw_only=True)
    members: tuple[Values, ...] = ()  # predictions of each ensemble member, shape (n,)
    predict: "Callable[[pd.DataFrame], Values] | None" = None  # the model itself


@dataclass(frozen=True, eq=False)
class Competitors:
    """The models that the challenger is compared with."""

    champion: ModelPredictions | None = None
    baselines: Mapping[str, Values] = field(default_factory=dict)  # name -> predictions (n,)
    former: Sequence[ModelPredictions] = ()  # former champions
    failed_baselines: Mapping[str, str] = field(default_factory=dict)  # name -> reason
    estimates: Values | None = None  # in use today, (n,), NaN where there is none


@dataclass(frozen=True)
class RunFacts:
    """Facts of the run that do not come from predictions."""

    read_rows: int = 0
    rejected_rows: int = 0
    decisions: int = 0  # verdicts that used the test set
    drift: tuple[DriftReport, ...] = ()
    costs: ServingCosts | None = None
    preflight: LoadCheck | None = None
    judged_before: tuple[int, ...] = ()  # others, if no test row is new since
    champion_is_newer: bool = False
    failed: Mapping[str, str] = field(default_factory=dict)  # check -> why it lacks evidence
    training: Comparison | None = None  # out-of-fold, challenger against champion
    standing: Standing | None = None  # of the champion, after earlier verdicts


def measure_evidence(
    test: TestRows,
    challenger: ModelPredictions,
    competitors: Competitors,
    policy: GatePolicy,
    facts: RunFacts,
    checks: Sequence[Any] = (),
) -> Evidence:
    """The gate's evidence. Raises NotMeasurable (see `measure` and `compare`).

    Each of `checks` that has a method `measure(test, challenger, competitors)` measures evidence of
    its own: JSON values by name.
    """
    usable = bool(np.isfinite(challenger.values).all())
    measured = _Measurement(test, challenger.values, policy, usable)
    champion = competitors.champion
    ours = measured.metrics_of(challenger)
    theirs = None if champion is None else measured.metrics_of(champion)
    baselines, failed = dict[str, Baseline](), dict(competitors.failed_baselines)
    for name, values in competitors.baselines.items():
        if np.isfinite(values).any():
            baselines[name] = measured.baseline(values)
        else:
            failed[name] = "no prediction is finite"
    if competitors.estimates is not None:
        try:
            baselines[ESTIMATES] = measured.estimates(competitors.estimates)
        except NotMeasurable as error:
            failed[ESTIMATES] = str(error)
    against_champion: dict[str, Any] = {}
    if usable and champion is not None and theirs is not None and theirs.metrics is not None:
        pair = paired(test.actual, champion.values, challenger.values, test.where)
        against_champion = _of_pair(pair, test, policy, facts.decisions)
    evidence = Evidence(
        metric=policy.metric,
        version=test.version,
        test_rows=len(test.actual),
        read_rows=facts.read_rows,
        rejected_rows=facts.rejected_rows,
        challenger=ours,
        champion=theirs,
        baselines=baselines,
        former=measured.best_former(competitors.former) if usable else None,
        seed_variance=measured.seed_variance(challenger),
        champion_seed_variance=None if champion is None else measured.seed_variance(champion),
        drift=facts.drift,
        costs=facts.costs,
        preflight=facts.preflight,
        failed_baselines=failed,
        judged_before=facts.judged_before,
        champion_is_newer=facts.champion_is_newer,
        training=facts.training,
        standing=facts.standing,
        gain_formula=FORMULA,
        **against_champion,
        **_measured_by(checks, facts.failed, test, challenger, competitors),
    )
    return with_corrections(evidence, policy)


def _measured_by(
    checks: Sequence[Any], failed: Mapping[str, str], *measured: Any
) -> dict[str, Any]:
    """Evidence of the checks that measure it, and the errors of those that could not."""
    found: dict[str, dict[str, Any]] = {"measured": {}, "failed_measurements": dict(failed)}
    for check in checks:
        if hasattr(check, "measure"):
            try:
                if (value := check.measure(*measured)) is not None:
                    found["measured"][check.name] = json.loads(json.dumps(value, allow_nan=False))
            except Exception as error:  # noqa: BLE001 - the check ends as an error, not the run
                found["failed_measurements"][check.name] = f"{type(error).__name__}: {error}"
    return found


@dataclass(frozen=True, eq=False)
class _Measurement:
    """The test rows and the challenger's predictions, with which every model is compared."""

    test: TestRows
    challenger: Values
    policy: GatePolicy
    usable: bool  # whether all of the challenger's predictions are finite

    def metrics_of(self, model: ModelPredictions) -> ModelMetrics:
        non_finite = int(np.sum(~np.isfinite(model.values)))
        metrics = None
        if not non_finite:
            metrics = measure(
                self.test.actual, model.values, self.policy.confidence, self.test.where,
                self.policy.metric,
            )  # fmt: skip
        return ModelMetrics(
            id=model.id,
            digest=model.digest,
            training_rows=model.training_rows,
            test_overlap=model.test_overlap,
            near_duplicates=model.near_duplicates,
            non_finite=non_finite,
            metrics=metrics,
        )

    def against(self, other: Values) -> Comparison:
        """The challenger against another model."""
        return compare(
            self.test.actual,
            other,
            self.challenger,
            self.test.where,
            self.policy.metric,
            confidence=self.policy.confidence,
        )

    def error(self, predicted: Values) -> float:
        """A model's error by the deciding metric."""
        return error_of(self.test.actual, in_range(predicted), self.policy.metric)

    def estimates(self, values: Values) -> Baseline:
        """Existing estimates as a baseline, on the rows that have one (NaN: none).

        NotMeasurable where fewer have one than a slice must have.
        """
        rows = ~np.isnan(values)
        if rows.sum() < self.policy.slice_min_rows:
            why = f"only {rows.sum():,} of {len(rows):,} test rows have one"
            raise NotMeasurable(
                what="the error of existing estimates",
                why=f"{why}, {self.policy.slice_min_rows:,} are required",
            )
        test = TestRows(self.test.version, self.test.where.of(rows), self.test.actual[rows])
        known = _Measurement(test, self.challenger[rows], self.policy, self.usable)
        found = known.baseline(values[rows])
        ours = known.alone(known.challenger) if self.usable else None
        return replace(found, missing_rows=int((~rows).sum()), challenger=ours)

    def alone(self, values: Values) -> Metrics:
        """Errors whose intervals treat rows as independent."""
        policy = self.policy
        return measure(self.test.actual, values, policy.confidence, metric=policy.metric)

    def baseline(self, values: Values) -> Baseline:
        """A baseline; its errors are bounded by the range of the labels."""
        actual, policy = self.test.actual, self.policy
        errors = bounded_errors(actual, values, policy.metric)
        comparison = None
        if self.usable:
            comparison = compare_by_halves(
                actual, values, self.challenger, self.test.where, policy.metric,
                confidence=policy.confidence,
            )  # fmt: skip
        bounded = int(np.sum(errors != values - actual))
        return Baseline(self.alone(actual + errors), comparison, bounded)

    def best_former(self, former: Sequence[ModelPredictions]) -> BestFormerChampion | None:
        """None without a former champion that gives finite predictions."""
        usable = [m for m in former if np.isfinite(m.values).all()]
        if not usable:
            return None
        best = min(usable, key=lambda m: self.error(m.values))
        return BestFormerChampion(
            best.id, len(usable), self.error(best.values), self.against(best.values)
        )

    def seed_variance(self, model: ModelPredictions) -> SeedVariance | None:
        """None for a model of one seed, or if a member's prediction is not finite."""
        count = len(model.members)
        if count < 2 or not np.isfinite(model.members).all():
            return None
        total = np.sum(model.members, axis=0)
        without = np.array([self.error((total - m) / (count - 1)) for m in model.members])
        spread = ((count - 1) / count * np.sum((without - without.mean()) ** 2)) ** 0.5
        whole = self.error(total / count)
        return SeedVariance(
            tuple(self.error(member) for member in model.members),
            float(spread / whole) if whole > 0 else 0.0,
        )


def _of_pair(
    pair: PairedPredictions, test: TestRows, policy: GatePolicy, decisions: int
) -> dict[str, Any]:
    """Fields of the evidence: challenger against champion on all test rows, and on some."""

    def compared(rows: PairedPredictions, metric: str = policy.metric) -> Comparison:
        return compare_pair(rows, metric, confidence=policy.confidence)

    def subset(name: str, rows: Mask) -> SubsetComparison:
        comparison = None
        with suppress(NotMeasurable):  # too few rows: a fact about the subset, not an error
            comparison = compared(pair.of(rows))
        return SubsetComparison(name, int(rows.sum()), comparison)

    found: dict[str, Any] = {"comparison": compared(pair)}
    found |= {metric: compared(pair, metric) for metric in (MAE, RMSE) if metric != policy.metric}
    found["slices"] = tuple(subset(name, rows) for name, rows in test.slices.items())
    if test.capped is not None:
        found["uncapped"] = subset("rows below the cap", ~test.capped)
    if test.fresh is not None:
        found["recent"] = subset("never-used rows", test.fresh)
        found["holdout_reuse"] = _holdout_reuse(pair, test.fresh, policy, decisions)
    return found


def _holdout_reuse(
    pair: PairedPredictions, fresh: Mask, policy: GatePolicy, decisions: int
) -> HoldoutReuse:
    rows = int(fresh.sum())
    if min(rows, len(fresh) - rows) < policy.recent_min_rows:
        return HoldoutReuse(decisions, rows, fresh=None, used=None, difference=None)
    difference = None
    with suppress(NotMeasurable):  # no errors, or a single cell
        difference = compare_groups(
            pair.actual, pair.champion, fresh, pair.where, policy.metric,
            confidence=EVIDENCE_CONFIDENCE,
        )  # fmt: skip
    sides = pair.of(fresh), pair.of(~fresh)
    on_fresh, on_used = (
        measure(side.actual, side.champion, policy.confidence, side.where, policy.metric)
        for side in sides
    )
    return HoldoutReuse(decisions, rows, on_fresh, on_used, difference)
