"""Figures: how a benchmark prints what it found, keeps it as JSON, and loads it again.

`benchmarks/figures/NAME.json` holds the newest figures of each, with time and machine; the pages
of docs are made from them. BENCHMARK_RESULTS names another folder, for a trial. Both sides of a
ratio are measured in one run. A goal that is missed is printed as missed.
"""

import hashlib
import json
import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

KEPT = Path(__file__).with_name("figures")
FOLDER = Path(os.environ.get("BENCHMARK_RESULTS", KEPT))
LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "lightgbm", "prefect")
WIDTH = 160


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


def at_most(name: str, value: float, limit: float, unit: str, judged: bool = True) -> Row:
    """A figure with a limit; not `judged` where it was measured at less than the goal's size."""
    if not judged:
        return Row(name, value, 0.0, unit)
    return Row(name, value, limit, unit, value <= limit, f"{limit:g} {unit}")


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


def line(row: Row) -> str:
    """A row as a line of text: both sides, their ratio, the goal."""
    ratio = "" if row.ratio is None else f"{row.ratio:8.3f} x"
    verdict = "" if row.met is None else ("met" if row.met else "MISSED")
    goal = f"goal {row.goal}: {verdict}" if row.goal else ""
    numbers = f"{row.ours:>14,.4g} {row.theirs:>14,.4g} {row.unit:<8}{ratio:>12}"
    return f"{row.name:<36} {numbers}  {goal}"


def show(benchmark: str, rows: Sequence[Row], what: str = "", **more: Any) -> None:
    """Print the rows and keep them, with `more` beside them."""
    print(f"{benchmark}: {what}" if what else benchmark)
    for row in rows:
        print(f"  {line(row)}")
    shown = [{**asdict(row), "ratio": row.ratio} for row in rows]
    save(benchmark, {"what": what, "rows": shown, **more})


def save(benchmark: str, figures: Mapping[str, Any]) -> None:
    """Replace the kept figures, whole or not at all; time and machine are added."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"benchmark": benchmark, "at": at, "machine": machine(), **figures}
    partial = FOLDER / f"{benchmark}.part"
    partial.write_text(dumped(json.loads(json.dumps(found, default=_plain))) + "\n")
    partial.replace(FOLDER / f"{benchmark}.json")


def save_if_asked(benchmark: str, figures: Mapping[str, Any]) -> None:
    """`save` where KEEP_FIGURES is set: for tests, which are run for other reasons."""
    if os.environ.get("KEEP_FIGURES"):
        save(benchmark, figures)


def load(benchmark: str) -> Any:
    """The kept figures as a dict, or None where none are kept."""
    path = FOLDER / f"{benchmark}.json"
    return json.loads(path.read_text()) if path.exists() else None


def keep_arrays(path: Path, **arrays: Any) -> None:
    """Write an .npz file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def provenance(arrays: Path) -> dict[str, str]:
    """When kept predictions (an .npz file) were made, and a digest of their content."""
    found = hashlib.sha256()
    for name, values in sorted(np.load(arrays).items()):
        found.update(name.encode() + values.tobytes())
    made = datetime.fromtimestamp(arrays.stat().st_mtime, UTC)
    return {"made": made.strftime("%Y-%m-%d %H:%M UTC"), "digest": found.hexdigest()[:16]}


def dumped(value: Any, indent: int = 0) -> str:
    """JSON in which a value stands on one line wherever it fits."""
    text = json.dumps(value)
    if len(text) + indent <= WIDTH or not isinstance(value, dict | list):
        return text
    pad, within = " " * (indent + 1), indent + 1
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {dumped(each, within)}" for key, each in value.items()]
        return f"{{\n{pad}" + f",\n{pad}".join(items) + f"\n{' ' * indent}}}"
    if all(isinstance(each, int | float) for each in value):
        lines = textwrap.wrap(text[1:-1], WIDTH - within, break_on_hyphens=False)
        return f"[\n{pad}" + f"\n{pad}".join(lines) + f"\n{' ' * indent}]"
    return (
        f"[\n{pad}"
        + f",\n{pad}".join(dumped(each, within) for each in value)
        + f"\n{' ' * indent}]"
    )


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else list(value)
