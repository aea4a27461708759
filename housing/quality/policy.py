"""Thresholds at which a batch is quarantined, as a user may set them; the rules: `batches`."""

from pydantic import BaseModel, ConfigDict, Field


class QualityPolicy(BaseModel):
    """When a batch is quarantined; it changes nothing until a person accepts it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_rejected_share: float = Field(default=0.2, ge=0, le=1)
    """Largest share of rejected rows in a batch."""
    min_rows: int = Field(default=50, ge=1)
    """Batches of fewer rows are judged row by row only."""
    recent_batches: int = Field(default=10, ge=1)
    """Recent batches of a source whose median is its usual row count, without those of fewer than
    MIN_ROWS rows."""
    min_recent_batches: int = Field(default=5, ge=1)
    """With fewer recent batches the row count is not judged."""
    max_row_factor: float = Field(default=20, gt=1)
    """Times more or fewer rows than the median of recent batches."""
    max_missing_increase: float = Field(default=0.3, gt=0, le=1)
    """Largest increase of a column's share of empty fields."""
    max_location_shift: float = Field(default=5, gt=0)
    """Largest shift of a median, in interquartile ranges of the dataset."""
    max_category_distance: float = Field(default=0.95, gt=0, le=1)
    """Largest total variation distance of category shares."""
    max_unit_power: int = Field(default=4, ge=1, le=9)
    """Unit slips are looked for up to 10 to this power."""
    unit_tolerance: float = Field(default=0.25, gt=0, lt=0.5)
    """How near to a power of ten, in decimal orders."""
