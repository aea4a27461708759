"""What the gate demands, as one frozen object: each threshold has its name and bounds here.

How a threshold is applied belongs to the check that names it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GatePolicy(BaseModel):
    """The demands a challenger must meet. A metric and a rule are named in advance, never chosen
    after the figures are known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Literal["rmse"] = Field(
        "rmse", description="The figure that decides; the others are reported beside it."
    )
    rule: Literal["no_regression"] = Field(
        "no_regression",
        description="no_regression: the challenger's error is not above the champion's, and the "
        "upper bound of its change is within the margin.",
    )
    margin: float = Field(
        0.01,
        ge=0,
        le=0.5,
        description="Largest relative rise of the error that must be ruled out (0.01 is 1 %).",
    )
    confidence: float = Field(
        0.95, ge=0.5, lt=1, description="Confidence of every interval and one-sided bound."
    )
    cell_degrees: float = Field(
        0.1,
        gt=0,
        le=10,
        description="Side of a location cell in degrees; districts of one cell err together.",
    )
    min_test_rows: int = Field(
        500, ge=2, description="Test rows below which nothing is decided on any figure."
    )
    baseline_margin: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="How far the error must lie below that of each baseline, relative to the "
        "baseline's and at the confidence above (0.05 is 5 %).",
    )
