"""Settings of the monitor."""

from typing import Literal

from pydantic import Field

from housing.evaluation.drift_policy import DriftPolicy
from housing.records import SettingsGroup

MIN_UPSTREAM_ROWS = 50
"""Rows from which on units, categories and rejections are judged."""
ROLLBACK_CONFIDENCE = 0.99
"""Confidence with which the former champion must be better on the same rows."""


class MonitorOptions(SettingsGroup):
    """Limits of drift, live error and age, and what an alarm does."""

    drift: DriftPolicy = Field(default_factory=DriftPolicy)  # `Settings` sets it to that group
    alarm_window: int = Field(5, ge=1, le=100)  # windows over which repeated drift is counted
    alarm_after: int = Field(2, ge=1, le=100)  # of these, the newest among them: then an alarm
    max_unseen_share: float = Field(0.01, ge=0, le=1)  # rows of a category unseen by the champion
    # Share of rows that ingestion may reject between two monitor runs.
    max_rejected_share: float = Field(0.1, ge=0, le=1)
    min_labels: int = Field(50, ge=10)  # from which on a live error is judged
    false_alarm: float = Field(0.01, gt=0, lt=0.5)  # chance, of live error, a champion and month
    # Rows that count as one, since errors of neighbouring rows are correlated.
    design_effect: float = Field(2.0, ge=1, le=100)
    champion_days: float = Field(30.0, gt=0)
    """Days after which a champion is stale."""
    data_days: float = Field(3.0, gt=0)
    """Days without new data after which the data are stale."""
    on_drift: Literal["alert", "retrain"] = "alert"
    """What an alarm of drift does besides sending a message."""
    on_error: Literal["alert", "retrain", "rollback"] = "alert"
    """What a live error beyond its limit does; a rollback only while the champion is on probation.
    """
    probation_days: float = Field(7.0, gt=0)
    """Days after a promotion in which a live error may roll it back."""
