"""Temporary homes, the `housing` command in them, and how long a call takes."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
HOUSING = (sys.executable, "-m", "deployments.cli.__main__")


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Of a process in that home: defaults, but for `settings` (names without HOUSING_)."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("HOUSING_", "PREFECT_"))}
    given = {"HOME": str(home), **settings}
    return kept | {f"HOUSING_{name}": value for name, value in given.items()}


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Wall seconds of a call, and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result
