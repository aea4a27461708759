"""The settings group DRIFT: from where on a difference of two tables counts as drift."""

from pydantic import Field

from housing.records import SettingsGroup


class DriftPolicy(SettingsGroup):
    """Thresholds of the gate and of the monitor alike."""

    min_rows: int = Field(200, ge=1)
    """Rows on both sides below which no column is compared."""
    min_effect: float = Field(0.1, ge=0, le=1)
    """Smallest effect that counts, 0 to 1: Kolmogorov-Smirnov distance of a number, total variation
    of a category or of the share of missing values."""
    # False discovery rate across columns (Benjamini-Hochberg).
    fdr: float = Field(0.01, gt=0, le=1)
