"""Thresholds at which a batch is quarantined, as a user may set them; the rules: `batches`."""

from pydantic import Field

from housing.records import SettingsGroup


class QualityPolicy(SettingsGroup):
    """When a batch is quarantined; it changes nothing until a person accepts it."""

    max_rejected_share: float = Field(default=0.2, ge=0, le=1)
    """Largest share of rejected rows in a batch."""
    min_rows: int = Field(default=50, ge=1)
    """Batches of fewer rows are judged row by row only."""
    # The usual row count of a source is the median of its recent batches of MIN_ROWS rows or more.
    recent_batches: int = Field(default=10, ge=1)
    min_recent_batches: int = Field(default=5, ge=1)  # with fewer it is not judged
    max_row_factor: float = Field(default=20, gt=1)
    """Times more or fewer rows than the median of recent batches."""
    max_missing_increase: float = Field(default=0.3, gt=0, le=1)  # of a column's share of gaps
    max_location_shift: float = Field(default=5, gt=0)  # of a median, in interquartile ranges
    max_category_distance: float = Field(default=0.95, gt=0, le=1)  # total variation of shares
    max_unit_power: int = Field(default=4, ge=1, le=9)  # unit slips are looked for up to 10 to it
    unit_tolerance: float = Field(default=0.25, gt=0, lt=0.5)  # decimal orders from that power
