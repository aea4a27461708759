"""Settings of the prediction API; used by `housing.serving`, which lies above the settings."""

import os
import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from housing.records import SettingsGroup

MIN_TOKEN_LENGTH = 16
"""Characters; a shorter token can be guessed."""
ROW_BYTES = 2_000
"""Of a row in a JSON request, on average at most."""
KEPT = "kept"
"""Stands for the newest model that was never champion."""


class ServeOptions(SettingsGroup):
    """Access, limits, log and shadow of the prediction API."""

    port: int = Field(8000, ge=1, le=65535)
    """Port of the prediction API and its pages."""
    token: SecretStr | None = None
    """Token that clients of the prediction API send; /health needs none."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Host names to which a server without a token answers; a web page of another host cannot use
    it through a visitor's browser."""
    max_rows: int = Field(1_000, ge=1, le=100_000)
    """Rows of one JSON request, 2,000 bytes each on average; files may have more."""
    max_upload_bytes: int = Field(500_000_000, ge=1_000, le=10**11)
    """Bytes of an uploaded file."""
    log: Literal["inputs", "answers", "off"] = "inputs"
    """Content of the prediction log: requests and predictions, predictions alone, or nothing."""
    log_days: int = Field(30, ge=1, le=3650)
    """Days after which logged predictions expire."""
    shadow: str = ""
    """A second model whose predictions are logged and never returned: m5, or `kept` for the newest
    model that was never champion; empty for none."""

    # Fixed for users; tests change them.
    prefect_url: str = Field(default_factory=lambda: os.environ.get("PREFECT_UI_URL", ""))
    poll_seconds: float = 0.25  # between two checks for a new champion
    switch_seconds: float = 1.0  # from a promotion until all workers switch together
    retry_seconds: float = 10.0  # until a failed load is tried again
    kept_models: int = 3  # champions in memory, so that a rollback needs no load
    header_seconds: float = 10.0  # for a request's header
    body_seconds: float = 10.0  # for a JSON body
    upload_seconds: float = 600.0  # for an uploaded file
    max_connections: int = 1_000  # of one worker; further requests get a 503
    log_seconds: float = 5.0  # between two writes of the prediction log
    log_buffer: int = 100_000  # predictions that wait to be written; further ones are dropped
    log_per_request: int = 1_000  # predictions of one file that are logged, evenly spread

    @property
    def max_body_bytes(self) -> int:
        """Bytes of a JSON request."""
        return ROW_BYTES * max(self.max_rows, 1_000)

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
