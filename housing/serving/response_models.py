"""Schemas of the JSON responses, for OpenAPI.

Documentation only: responses are written straight to bytes, and tests check them against these.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from housing.schema import CATALOGUE, COORDINATES, ID_COLUMN, LOCATION, TARGET, UNIT, WORDING
from housing.serving.request_models import Fault

VALUE = f"{CATALOGUE[TARGET].meaning} ({UNIT})"


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


_OWN_FIELDS = ("predicted", "lower", "upper", "extrapolates", "warnings")
ID_FIELD = f"{ID_COLUMN}_" if ID_COLUMN in _OWN_FIELDS else ID_COLUMN
"""Field of a prediction that has the row's own id."""


class Prediction(_Schema):
    """The prediction for one row."""

    predicted: float = Field(description=VALUE)
    lower: float | None = Field(description=f"Lower limit of the prediction interval ({UNIT})")
    upper: float | None = Field(description=f"Upper limit of the prediction interval ({UNIT})")
    extrapolates: bool
    """The row is unlike any training row"""
    warnings: list[str]
    """Why it extrapolates"""
    row_id: str | None = Field(None, alias=ID_FIELD)
    """As sent with the row"""


class PredictionResponse(_Schema):
    """Predictions, and the model that made them."""

    model: str = Field(examples=["m7"])
    """The model that predicted, e.g. m7"""
    promotion: int
    """Number of the promotion that made it champion"""
    champion_since: str
    """When it became champion (ISO 8601, UTC)"""
    unit: str
    """Unit of the predictions"""
    notice: str
    """Trained on simulated rows, or predicting by its ONNX copy; empty if neither"""
    nominal_coverage: float | None
    """Share of true values that the prediction intervals should contain"""
    predictions: list[Prediction]
    """In the order of the request"""


class Contribution(_Schema):
    """The contribution of a feature to the prediction."""

    feature: str
    value: str
    """The row's value, with its unit"""
    contribution: float = Field(description=f"Shapley value ({UNIT})")


class ExplanationResponse(PredictionResponse):
    """One prediction and the contributions of the features."""

    base_value: float = Field(description=f"Mean prediction for typical {WORDING.rows} ({UNIT})")
    contributions: list[Contribution]
    """Largest first; with `base_value` they add up to the prediction"""


if LOCATION is not None:
    DISTANCE = f"Distance ({LOCATION.unit})"

    class Neighbour(_Schema):
        """A training row nearby."""

        x: float = Field(alias=COORDINATES[0])
        y: float = Field(alias=COORDINATES[1])
        distance: float = Field(description=DISTANCE)
        value: float = Field(description=VALUE)

    class ExplanationWithNeighbours(ExplanationResponse):
        """One prediction, the contributions of the features, and values nearby."""

        neighbours: list[Neighbour]
        """The nearest training rows"""

    EXPLANATION: type[ExplanationResponse] = ExplanationWithNeighbours
else:
    EXPLANATION = ExplanationResponse


class Estimate(_Schema):
    """An estimate with its confidence interval."""

    value: float
    lower: float
    upper: float
    confidence: float


class CorrectedEstimate(Estimate):
    """The error without the selection bias, as the newest verdict recorded it."""

    metric: str
    """Of the error: rmse, mae, rmsle or pinball:Q"""
    source: str
    """Which test rows it is of"""
    rows: int
    """How many these are"""
    bias: float
    """Expected share by which selection made the error on these rows too low"""
    verdicts: int
    """From which that is known"""
    evaluation: str
    """Where it is recorded"""
    dataset: str
    """Of whose test rows it is"""


class ModelFacts(_Schema):
    """The champion."""

    model: str
    champion_since: str
    promotion: int
    family: str
    dataset: str
    train_rows: int
    trained_at: str | None
    metric: str
    """By which it was searched: rmse, mae, rmsle or pinball:Q"""
    cv_error: float
    """Cross-validated, by that metric"""
    artifact: str
    notice: str
    """Trained on simulated rows, or predicting by its ONNX copy; empty if neither"""
    test_error: Estimate | None
    """On the test set, by that metric; null if it was not measured by it"""
    test_rmse: Estimate | None = Field(description=f"Error on the test set ({UNIT})")
    test_rows: int | None
    corrected_error: CorrectedEstimate | None
    """The champion was chosen by its error on the test rows: the error without that bias; null if
    it was not recorded"""
    nominal_coverage: float | None
    coverage: Estimate | None
    """Share of test values inside their interval"""
    coverage_by_slice: list[dict[str, Any]]
    no_interval_reason: str
    """Why there are no intervals, or empty"""


class Readiness(_Schema):
    """Whether this worker can predict, and with which model."""

    ready: bool
    model: str | None
    promotion: int | None
    artifact_error: str
    """Why the ONNX copy predicts in place of the model's own artifact, or empty"""
    onnx_copy: str
    """Stored, or why there is none"""
    reload_failure: dict[str, Any] | None
    """Why the champion could not be loaded, if so"""
    promotion_log_error: str
    """Why the promotion log cannot be read, if so"""
    shadow_error: str
    """Why the shadow cannot be loaded, if so"""


class Health(_Schema):
    """The worker is alive."""

    status: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None
    more_errors: int | None = None
    """Number of errors that are not listed"""
