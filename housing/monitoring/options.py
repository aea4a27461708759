"""Settings of the monitor."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from housing.evaluation.drift_policy import DriftPolicy

MIN_UPSTREAM_ROWS = 50
"""Rows from which on units, categories and rejections are judged."""
ROLLBACK_CONFIDENCE = 0.99
"""Confidence with which the former champion must be better on the same rows."""


class MonitorOptions(BaseModel):
    """Limits of drift, live error and age, and what an alarm does."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    drift: DriftPolicy = Field(default_factory=DriftPolicy)
    """`Settings` sets it to the group DRIFT."""
    alarm_window: int = Field(5, ge=1, le=100)
    """Windows over which repeated drift is counted."""
    alarm_after: int = Field(2, ge=1, le=100)
    """Windows of these, the newest among them, that must drift for an alarm."""
    max_unseen_share: float = Field(0.01, ge=0, le=1)
    """Share of rows whose category the champion has never seen."""
    max_rejected_share: float = Field(0.1, ge=0, le=1)
    """Share of rows that ingestion may reject between two monitor runs."""
    min_labels: int = Field(50, ge=10)
    """Labels from which on a live error is judged."""
    false_alarm: float = Field(0.01, gt=0, lt=0.5)
    """Chance of a false alarm of live error for a champion and month."""
    design_effect: float = Field(2.0, ge=1, le=100)
    """Rows that count as one, since errors of neighbouring rows are correlated (the design effect
    of a clustered sample)."""
    champion_days: float = Field(30.0, gt=0)
    """Days after which a champion is stale."""
    data_days: float = Field(3.0, gt=0)
    """Days without data after which it is stale."""
    on_drift: Literal["alert", "retrain"] = "alert"
    """What an alarm of drift does besides sending a message."""
    on_error: Literal["alert", "retrain", "rollback"] = "alert"
    """What a live error beyond its limit does; a rollback only while the champion is on probation.
    """
    probation_days: float = Field(7.0, gt=0)
    """Days after a promotion in which a live error may roll it back."""
