"""Schemas of the JSON responses, for OpenAPI.

Documentation only: responses are written straight to bytes, and tests check them against these.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from housing.schema import CATALOGUE, TARGET

UNIT = CATALOGUE[TARGET].unit
PRICE = f"{CATALOGUE[TARGET].meaning} ({UNIT})"


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Prediction(_Schema):
    """The price of one district."""

    predicted: float = Field(description=PRICE)
    lower: float | None = Field(description=f"Lower limit of the prediction interval ({UNIT})")
    upper: float | None = Field(description=f"Upper limit of the prediction interval ({UNIT})")
    extrapolates: bool = Field(description="The district is unlike any training district")
    warnings: list[str] = Field(description="Why it extrapolates")
    district_id: str | None = Field(None, description="As sent with the district")


class PredictionResponse(_Schema):
    """Prices, and the model that predicted them."""

    model: str = Field(description="The model that predicted, e.g. m7", examples=["m7"])
    promotion: int = Field(description="Number of the promotion that made it champion")
    champion_since: str = Field(description="When it became champion (ISO 8601, UTC)")
    unit: str = Field(description="Unit of the prices")
    nominal_coverage: float | None = Field(
        description="Share of true prices that the prediction intervals should contain"
    )
    predictions: list[Prediction] = Field(description="In the order of the request")


class Contribution(_Schema):
    """The contribution of a feature to the price."""

    feature: str
    value: str = Field(description="The district's value, with its unit")
    contribution: float = Field(description=f"Shapley value ({UNIT})")


class Neighbour(_Schema):
    """A training district nearby."""

    longitude: float
    latitude: float
    distance_km: float
    price: float = Field(description=PRICE)


class ExplanationResponse(PredictionResponse):
    """One price, the contributions of the features, and prices nearby."""

    base_value: float = Field(description=f"Mean price of typical districts ({UNIT})")
    contributions: list[Contribution] = Field(
        description="Largest first; with `base_value` they add up to the predicted price"
    )
    neighbours: list[Neighbour] = Field(description="The nearest training districts")


class Estimate(_Schema):
    """An estimate with its confidence interval."""

    value: float
    lower: float
    upper: float
    confidence: float


class ModelFacts(_Schema):
    """The champion."""

    model: str
    champion_since: str
    promotion: int
    family: str
    dataset: str
    train_rows: int
    trained_at: str | None
    cv_rmse: float
    artifact: str
    test_rmse: Estimate | None = Field(description=f"Error on the test set ({UNIT})")
    test_rows: int | None
    nominal_coverage: float | None
    coverage: Estimate | None = Field(description="Share of test prices inside their interval")
    coverage_by_slice: list[dict[str, Any]]
    no_interval_reason: str = Field(description="Why there are no intervals, or empty")


class Readiness(_Schema):
    """Whether this worker can predict, and with which model."""

    ready: bool
    model: str | None
    promotion: int | None
    reload_failure: dict[str, Any] | None = Field(
        description="Why the champion could not be loaded, if so"
    )
    promotion_log_error: str = Field(description="Why the promotion log cannot be read, if so")


class Health(_Schema):
    """The worker is alive."""

    status: str


class FieldError(BaseModel):
    """An error in one field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
    more_errors: int | None = Field(None, description="Number of errors that are not listed")
