"""Where the figures of serving and monitoring are kept: one JSON file a benchmark.

Saving one writes the tables of docs/serving.md and docs/monitoring.md anew (`pages`).
"""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

KEPT = Path(__file__).parent / "results"
FOLDER = Path(os.environ.get("SERVING_RESULTS", KEPT))
"""SERVING_RESULTS keeps a trial apart from the figures of the pages."""


def save(name: str, figures: Mapping[str, Any]) -> None:
    """Keep the figures of a benchmark, with when and on what they were made."""
    from benchmarks.serving import pages

    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    text = json.dumps({**made, **figures}, indent=1, default=_plain)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    print(f"kept in {FOLDER / name}.json")
    if FOLDER == KEPT:
        pages.write()
        print("the tables of docs are written")


def load(name: str) -> dict[str, Any] | None:
    """The figures of a benchmark; None where it has not been run."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else list(value)
