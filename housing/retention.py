"""Retention policy: the parameters of `housing prune`."""

from typing import Self

from pydantic import Field, model_validator

from housing.records import SettingsGroup


class RetentionPolicy(SettingsGroup):
    """Which models, predictions, reports, records of the monitor and backups are kept.

    Datasets and everything else in SQL always are.
    """

    horizon_days: int = Field(30, ge=1, le=3650)
    """Rollback horizon: champions and backups of the last days are always kept."""
    days: int = Field(90, ge=1, le=36500)
    """Age in days from which models, predictions, reports and old records may be deleted."""
    champions: int = Field(5, ge=2, le=1000)
    """Number of recent champions always kept."""
    backups: int = Field(7, ge=1, le=1000)
    """Number of recent backups always kept."""
    orphan_hours: float = Field(24.0, ge=1, le=8760)  # until unreferenced files are deleted

    @model_validator(mode="after")
    def _outside_the_horizon(self) -> Self:
        if self.days < self.horizon_days:
            raise ValueError(
                f"days ({self.days}) is inside the rollback horizon ({self.horizon_days} days)"
            )
        return self
