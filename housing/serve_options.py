"""Settings of the prediction API; used by `housing.serving`, which lies above the settings."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

MIN_TOKEN_LENGTH = 16
"""Characters; a shorter token can be guessed."""
KEPT = "kept"
"""Stands for the newest challenger that was not promoted."""


class ServeOptions(BaseModel):
    """Limits and habits of the prediction API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr | None = Field(
        None, description="Token that clients of the prediction API send; /health needs none."
    )
    poll_seconds: float = Field(
        0.25, ge=0.05, le=60, description="How often the ledger is looked at for a new champion."
    )
    switch_seconds: float = Field(
        1.0,
        ge=0,
        le=60,
        description="How long after a promotion or rollback all workers switch together; one "
        "that has not loaded the new champion by then switches as soon as it has.",
    )
    retry_seconds: float = Field(
        10.0, ge=0.1, le=3600, description="After this long a failed reload is tried again."
    )
    kept_models: int = Field(
        3, ge=1, le=20, description="Champions kept in memory, so that going back takes no load."
    )
    max_rows: int = Field(
        1_000, ge=1, le=100_000, description="Districts of one JSON request; files may hold more."
    )
    max_body_bytes: int = Field(
        2_000_000, ge=1_000, le=10**9, description="Bytes of a JSON request."
    )
    max_upload_bytes: int = Field(
        500_000_000, ge=1_000, le=10**11, description="Bytes of an uploaded file."
    )
    body_seconds: float = Field(
        10.0, gt=0, le=3600, description="A JSON request must have arrived within this time."
    )
    upload_seconds: float = Field(
        600.0, gt=0, le=86_400, description="An uploaded file must have arrived within this time."
    )
    header_seconds: float = Field(
        10.0, gt=0, le=600, description="A request's header must have arrived within this time."
    )
    max_connections: int = Field(
        1_000, ge=1, le=100_000, description="Connections of one worker; more are turned away."
    )
    log: Literal["inputs", "answers", "off"] = Field(
        "inputs",
        description="What the prediction log keeps: what was asked and answered, the answers "
        "alone, or nothing.",
    )
    log_days: int = Field(30, ge=1, le=3650, description="Days after which logged answers go.")
    log_seconds: float = Field(
        5.0, ge=0.1, le=3600, description="Logged answers are written this often."
    )
    log_buffer: int = Field(
        100_000,
        ge=1_000,
        le=10_000_000,
        description="Answers that may wait to be written; further ones are counted and dropped.",
    )
    log_per_request: int = Field(
        1_000, ge=1, le=1_000_000, description="Answers of one file that are logged, evenly spread."
    )
    shadow: str = Field(
        "",
        description="A model that is scored beside the champion and never answers: m5, or `kept` "
        "for the newest challenger that was not promoted; empty for none.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        ("127.0.0.1", "localhost", "[::1]"),
        description="Host names that are answered while no API token is set, so that no foreign "
        "web page can ask through a visitor's browser.",
    )

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_TOKEN_LENGTH:
            raise ValueError(f"it must have {MIN_TOKEN_LENGTH} characters or more, made at random")
        return value

    @field_validator("shadow")
    @classmethod
    def _a_model(cls, value: str) -> str:
        if value not in ("", KEPT) and not re.fullmatch(r"m\d{1,18}", value):
            raise ValueError(f"it is neither a model such as m5 nor {KEPT!r}")
        return value
