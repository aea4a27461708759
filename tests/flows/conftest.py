"""Flows against a real Prefect server."""

import pytest

from housing.settings import Settings, load_settings
from housing.training.candidates import FAMILIES
from tests.fixtures.small_settings import SMALL, small_forest


@pytest.fixture
def small(
    home: object, prefect_api: str, quick_runs: None, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of a run that takes a second, on SQLite, beside a running Prefect server."""
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(FAMILIES, "forest", small_forest())  # type: ignore[arg-type]
    return load_settings()
