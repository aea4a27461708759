"""What is answered: the shapes of the JSON, for OpenAPI and for who writes a client.

Documentation only: answers are written straight to bytes, and a test holds them to these shapes.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from housing.schema import CATALOGUE, TARGET

UNIT = CATALOGUE[TARGET].unit


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Prediction(_Shape):
    """The price of one district."""

    predicted: float = Field(description=f"{CATALOGUE[TARGET].meaning} ({UNIT})")
    lower: float | None = Field(description=f"Lower limit of the interval ({UNIT})")
    upper: float | None = Field(description=f"Upper limit of the interval ({UNIT})")
    extrapolates: bool = Field(description="Whether the model has seen nothing alike")
    warnings: list[str] = Field(description="Why it extrapolates, in words")
    district_id: str | None = Field(None, description="As it was asked, where it was")


class Answer(_Shape):
    """Prices, and which model says so."""

    model: str = Field(description="The model that answered, e.g. m7", examples=["m7"])
    ledger: int = Field(description="Line of the promotion ledger that is in force")
    since: str = Field(description="When that model became champion (ISO 8601, UTC)")
    unit: str = Field(description="Unit of the prices")
    nominal: float | None = Field(description="Share of prices that the interval shall hold")
    predictions: list[Prediction] = Field(description="In the order of the question")


class Contribution(_Shape):
    """What a feature adds to the price."""

    feature: str
    value: str = Field(description="The district's value, with its unit")
    amount: float = Field(description=f"What it adds to the typical price ({UNIT})")


class Neighbour(_Shape):
    """A training district nearby."""

    longitude: float
    latitude: float
    kilometres: float
    price: float = Field(description=f"{CATALOGUE[TARGET].meaning} ({UNIT})")


class Explained(Answer):
    """One price, what drove it, and what its neighbours cost."""

    typical: float = Field(description=f"Price of a typical district ({UNIT})")
    contributions: list[Contribution] = Field(
        description="Largest first; with `typical` they add up to the predicted price"
    )
    neighbours: list[Neighbour] = Field(description="The nearest training districts")


class Limits(_Shape):
    """An estimate with its limits."""

    value: float
    lower: float
    upper: float
    confidence: float


class ModelFacts(_Shape):
    """The champion that answers."""

    model: str
    since: str
    ledger: int
    family: str
    dataset: str
    train_rows: int
    trained_at: str | None
    cv_rmse: float
    artifact: str
    test_rmse: Limits | None = Field(description=f"Error on unseen districts ({UNIT})")
    test_rows: int | None
    nominal: float | None
    coverage: Limits | None = Field(description="Share of test prices inside the interval")
    coverage_by_slice: list[dict[str, Any]]
    no_interval_reason: str


class Ready(_Shape):
    """Whether this worker answers, and with what."""

    ready: bool
    model: str | None
    ledger: int | None
    behind: dict[str, Any] | None = Field(
        description="Why the ledger's champion is not the one that answers, if so"
    )
    ledger_error: str = Field(description="Why the ledger cannot be read, if so")


class Health(_Shape):
    """That this worker is alive."""

    status: str


class ProblemFault(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemFault] | None = None


class FormField(_Shape):
    """One field of the form."""

    name: str
    label: str
    unit: str
    meaning: str
    categories: list[str] | None
    minimum: float | None
    maximum: float | None
    trained_from: float | None
    trained_to: float | None
    optional: bool
    typical: float | str


class Form(_Shape):
    """What the form asks for."""

    model: str
    unit: str
    notice: str = Field(description="What nobody who reads a price may overlook")
    coordinates: list[str]
    fields: list[FormField]


class Map(_Shape):
    """Training districts to draw."""

    model: str
    x: list[float] = Field(description="Degrees east")
    y: list[float] = Field(description="Degrees north")
    price: list[float] = Field(description=UNIT)


class RowRecord(_Shape):
    """A training district and its recorded price."""

    district: dict[str, float | str | None]
    price: float = Field(description=UNIT)
    kilometres: float = Field(description="From the place that was asked for")
