"""How a benchmark says what it found: a table for people, JSON for `docs/performance.md`.

`benchmarks/kept` holds the newest figures of each; set BENCHMARK_RESULTS to keep a trial elsewhere.
Both sides of a ratio are measured in one run. A goal that is missed is printed as missed.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("BENCHMARK_RESULTS", Path(__file__).with_name("kept")))
LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "lightgbm", "prefect")


@dataclass(frozen=True)
class Row:
    """One figure beside what it is compared with."""

    name: str
    ours: float
    theirs: float
    unit: str
    met: bool | None = None  # None where there is no goal
    goal: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over theirs."""
        return self.ours / self.theirs if self.theirs else None


def machine() -> dict[str, object]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "load": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def show(benchmark: str, rows: Sequence[Row], what: str = "", **more: Any) -> None:
    """Print the rows and keep them, with `more` beside them."""
    print(f"{benchmark}: {what}" if what else benchmark)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:8.3f} x"
        verdict = "" if row.met is None else ("met" if row.met else "MISSED")
        goal = f"goal {row.goal}: {verdict}" if row.goal else ""
        print(
            f"  {row.name:<36} {row.ours:>14,.4g} {row.theirs:>14,.4g} {row.unit:<8}"
            f"{ratio:>12}  {goal}"
        )
    shown = [{**asdict(row), "ratio": row.ratio} for row in rows]
    keep(benchmark, {"what": what, "rows": shown, **more})


def keep(benchmark: str, figures: Mapping[str, Any]) -> None:
    """Write figures with the machine and the time; what stood there before is replaced."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = {
        "benchmark": benchmark,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        **figures,
    }
    text = json.dumps(found, indent=1, default=_plain)
    (FOLDER / f"{benchmark}.json").write_text(text + "\n")


def load(benchmark: str) -> dict[str, Any] | None:
    """The kept figures of a benchmark, or None where it was never run."""
    path = FOLDER / f"{benchmark}.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else list(value)
