"""The gate's thresholds, as one frozen object.

Policies are stored with verdicts and read back: after a release no field is renamed or removed,
and a new one has a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from housing.evaluation.drift_policy import DriftPolicy
from housing.metric import RMSLE, metric_named
from housing.records import Json, SettingsGroup
from housing.schema import TABLE

Rule = Literal["no_regression", "superior", "non_inferior", "expected_gain"]
DriftAction = Literal["report", "inconclusive", "keep"]


EVIDENCE_CONFIDENCE = 0.95
"""Confidence at which a regression on a subset of the rows, or overfitting of the test set, counts
as shown; an installation that promotes on weaker evidence is not warned on weaker evidence."""


@dataclass(frozen=True)
class Threshold:
    """A check's own threshold, its attribute `threshold`; the policy holds what is set of it."""

    meaning: str
    default: float
    minimum: float
    maximum: float


class GatePolicy(SettingsGroup):
    """The thresholds a challenger must meet; metric and rule are fixed before it is measured."""

    # --- the decision

    metric: str = "rmse"
    """The error by which the search chooses and the gate decides; RMSE, MAE and R² are reported
    beside it. rmse, mae, rmsle (errors of log(1 + target), which must not be negative), or
    pinball:Q for the quantile Q (0.5 if left out; for models that predict means only 0.5 is fair).
    """
    rule: Rule = "no_regression"
    """no_regression: the challenger's error is not above the champion's, and the upper bound of its
    change is within the margin. superior: the upper bound is at or below zero. non_inferior: the
    upper bound is within the margin, wherever the error itself lies. expected_gain: all evidence of
    the run together gives an expected gain of at least COST_OF_CHANGE, and a regression beyond the
    margin is improbable."""
    cost_of_change: float = Field(0.002, ge=0, le=0.5)
    """Smallest expected gain for which the rule expected_gain changes the champion (0.002 is
    0.2 %)."""
    regression_veto: bool = True
    """Whether the rule expected_gain keeps the champion where the challenger's error on the test
    rows is above the champion's, whatever the other evidence says."""
    margin: float = Field(0.01, ge=0, le=0.5)
    """Largest relative rise of the error that must be ruled out (0.01 is 1 %)."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """Confidence of every interval and one-sided bound."""
    approval: bool = False
    """Whether a person must approve what the gate would promote."""
    approval_hours: float = Field(24.0, gt=0, le=8760)
    """Hours after which a promotion not approved is dropped."""

    # --- what the judgement rests on

    min_test_rows: int = Field(500, ge=2)
    """Smallest number of test rows for a verdict; with fewer it is inconclusive."""
    # Of the batches that entered since the champion's version: the largest share of rejected rows,
    # and the rows below which it is not judged; `Settings` copies both and `drift`.
    max_rejected_share: float = Field(0.2, ge=0, le=1)
    rejected_min_rows: int = Field(50, ge=1)
    drift_action: DriftAction = "report"
    """What drift does: report (a finding, nothing more), inconclusive or keep."""
    drift: DriftPolicy = Field(default_factory=DriftPolicy)

    # --- how the model does, beside the decision

    baseline_margin: float = Field(0.05, ge=0, lt=1)
    """How far the error must lie below that of each baseline, relative to the baseline's and at the
    confidence above (0.05 is 5 %)."""
    slice_min_rows: int = Field(50, ge=2)  # test rows below which a slice is not judged
    slice_margin: float = Field(0.05, ge=0, le=1)
    """Rise of the error on a slice; evidence of a larger one keeps the champion (Holm)."""
    recent_min_rows: int = Field(100, ge=2)  # never-used test rows below which they are not judged
    recent_margin: float = Field(0.02, ge=0, le=1)  # rise on them beyond which evidence blocks
    cumulative_margin: float = Field(0.01, ge=0, le=1)
    """How far the error may lie above that of the best former champion."""
    # Former champions to look back at, spread evenly from the newest to the oldest that is kept.
    cumulative_champions: int = Field(5, ge=0, le=100)
    uncapped_margin: float = Field(0.01, ge=0, le=1)  # the same for rows below the label's cap

    # --- service

    latency_budget_ms: float = Field(500.0, gt=0, le=600_000)
    """Longest median time of a prediction for one row, milliseconds."""
    preflight: bool = True
    """Whether the stored challenger, and every champion that a rollback may return to, is loaded in
    a fresh process and must give the same predictions there."""

    # --- checks that bring their own threshold

    thresholds: Mapping[str, float] = Field(default_factory=dict)
    """Thresholds that checks declare themselves, each as THRESHOLDS__CHECK"""

    @field_validator("metric")
    @classmethod
    def _measurable(cls, metric: str, info: ValidationInfo) -> str:
        """The metric's full name; refused where the target has no such error."""
        found = metric_named(metric)
        if found.name == RMSLE and info.context is not STORED and not TABLE.non_negative:
            raise ValueError(
                f"rmsle takes the logarithm of 1 + {TABLE.target}, which may be negative: declare "
                "a minimum of 0 or more for it in the problem's table, or choose rmse or mae"
            )
        return found.name

    @field_validator("thresholds")
    @classmethod
    def _declared(cls, thresholds: Mapping[str, float], info: ValidationInfo) -> Any:
        """By the names of checks, within their bounds."""
        if not thresholds or info.context is STORED:
            return thresholds
        from housing.gate.check import thresholds as declared  # imports SciPy

        known, found = declared(), {}
        for name, value in thresholds.items():
            check = name.replace("_", "-")
            if check not in known:
                raise ValueError(f"there is no check {check} with a threshold of its own")
            low, high = known[check].minimum, known[check].maximum
            if not low <= value <= high:
                raise ValueError(f"{name.upper()} is {value:g}; it must lie in {low:g} to {high:g}")
            found[check] = value
        return found


STORED = object()
"""The context in which a stored policy is read: it may name checks that are gone."""


def read(stored: Json) -> GatePolicy:
    """A policy from its stored JSON."""
    return GatePolicy.model_validate(stored, context=STORED)
