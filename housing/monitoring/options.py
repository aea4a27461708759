"""Settings of the monitor."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MonitorOptions(BaseModel):
    """What counts as drift, as a broken promise, as old; and what is done about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_rows: int = Field(
        200, ge=20, description="Rows from which on distributions are compared; fewer gather."
    )
    min_effect: float = Field(
        0.1, gt=0, lt=1, description="Least difference that counts: share of rows, 0 to 1."
    )
    discovery_rate: float = Field(
        0.01, gt=0, lt=0.5, description="False ones among the columns that are said to drift."
    )
    windows: int = Field(5, ge=1, le=100, description="Windows that are remembered for an alarm.")
    hits: int = Field(
        2, ge=1, le=100, description="Of these, with the newest, that must have drifted."
    )
    min_upstream_rows: int = Field(
        50, ge=1, description="Rows from which on units, categories and rejections are judged."
    )
    max_unseen_share: float = Field(
        0.01, ge=0, le=1, description="Rows whose category the champion has never seen."
    )
    usual_share: float = Field(
        0.1, gt=0, le=1, description="A category of this share in training may not vanish."
    )
    max_rejected_share: float = Field(
        0.1, ge=0, le=1, description="Rows that intake may turn away between two looks."
    )
    min_labels: int = Field(
        50, ge=10, description="True prices from which on a live error is judged."
    )
    false_alarm: float = Field(
        0.01,
        gt=0,
        lt=0.5,
        description="Chance of a false alarm of live error for a champion and month.",
    )
    cluster_factor: float = Field(
        2.0,
        ge=1,
        le=100,
        description="Rows that count as one: neighbouring districts err together.",
    )
    champion_days: float = Field(30.0, gt=0, description="Days after which a champion is stale.")
    data_days: float = Field(3.0, gt=0, description="Days without data after which it is stale.")
    on_drift: Literal["alert", "retrain"] = Field(
        "alert", description="What an alarm of drift does beside telling the team."
    )
    on_error: Literal["alert", "retrain", "rollback"] = Field(
        "alert",
        description="What a live error beyond its limit does; a rollback only while the champion "
        "is on probation.",
    )
    rollback_confidence: float = Field(
        0.99,
        gt=0.5,
        lt=1,
        description="Confidence with which the former champion must be better on the same rows.",
    )
    probation_days: float = Field(
        7.0, gt=0, description="Days after a promotion in which a live error may take it back."
    )
