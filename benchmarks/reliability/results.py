"""Where figures are kept: one JSON file a measurement, from which docs/reliability.md is made."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "figures"
ASKED = "KEEP_FIGURES"
"""Environment variable by which a soak in the tests is told to keep what it has found."""


def save(name: str, figures: Mapping[str, Any]) -> None:
    """Keep the figures of a measurement, with when and on what they were made."""
    made = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    text = json.dumps({**made, **figures}, indent=1)
    (FOLDER / f"{name}.json").write_text(text + "\n")


def keep(name: str, figures: Mapping[str, Any]) -> None:
    """As `save`, where the environment asks for it: for tests, which are run for other reasons."""
    if os.environ.get(ASKED):
        save(name, figures)


def load(name: str) -> dict[str, Any] | None:
    """The figures of a measurement, or None where none are kept."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
