"""Where figures are kept: one JSON file a benchmark, from which docs/gate.md is made."""

import hashlib
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


def save(name: str, figures: Mapping[str, Any], *, quiet: bool = False) -> None:
    """Keep the figures of a benchmark, with when and on what they were made."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    text = json.dumps({**made, **figures}, indent=1, default=_plain)
    # Whole or not at all: what is kept step by step may be cut at any of them.
    partial = FOLDER / f"{name}.part"
    partial.write_text(text + "\n")
    partial.replace(FOLDER / f"{name}.json")
    if not quiet:
        print(f"kept in {FOLDER / name}.json")


def provenance(arrays: Path) -> dict[str, str]:
    """When kept predictions (an .npz file) were made, and a digest of what they are."""
    found = hashlib.sha256()
    for name, values in sorted(np.load(arrays).items()):
        found.update(name.encode() + values.tobytes())
    made = datetime.fromtimestamp(arrays.stat().st_mtime, UTC)
    return {"made": made.strftime("%Y-%m-%d %H:%M UTC"), "digest": found.hexdigest()[:16]}


def load(name: str) -> dict[str, Any]:
    """The figures of a benchmark."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else list(value)
