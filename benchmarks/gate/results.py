"""Where figures are kept: one JSON file a benchmark, from which docs/gate.md is made."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(os.environ.get("GATE_RESULTS", Path(__file__).parent / "results"))
"""GATE_RESULTS keeps a trial apart from the figures of the page."""

INTERVAL = "reach from the data"
"""By which figures that rest on an interval are told from those of an earlier one."""


def save(name: str, figures: Mapping[str, Any]) -> None:
    """Keep the figures of a benchmark, with when and on what they were made."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    text = json.dumps({**made, **figures}, indent=1, default=_plain)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    print(f"kept in {FOLDER / name}.json")


def load(name: str) -> dict[str, Any]:
    """The figures of a benchmark."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else list(value)
