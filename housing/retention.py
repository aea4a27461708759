"""What is kept, and for how long: the parameters of pruning."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class RetentionPolicy(BaseModel):
    """Dataset versions, batches, and the whole history in SQL are kept for ever.

    Of models, what they predicted, and backups, that is kept which is young, or which somebody
    may have to go back to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="Rollback horizon: whatever was champion, and every backup of so many days, "
        "is kept whatever else is said.",
    )
    days: int = Field(
        90, ge=1, le=36500, description="Age in days from which models and predictions may go."
    )
    champions: int = Field(
        5, ge=2, le=1000, description="So many of the latest champions are kept however old."
    )
    backups: int = Field(
        7, ge=1, le=1000, description="So many of the latest backups are kept however old."
    )
    orphan_hours: float = Field(
        24.0, ge=1, le=8760, description="Age from which files that nothing names are swept away."
    )

    @model_validator(mode="after")
    def _outside_the_horizon(self) -> Self:
        if self.days < self.horizon_days:
            raise ValueError(
                f"days ({self.days}) is inside the rollback horizon ({self.horizon_days} days)"
            )
        return self
