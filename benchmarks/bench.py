"""`make bench`: every row of the goals in a quick form, one after the other, as one table.

`python -m benchmarks bench [--full]`. Quick means smaller tables and fewer draws: the ratios show
whether something has become slower, and goals that need the full size are not judged. `--full` is
what docs/performance.md is made from; it wants a quiet machine and about an hour. FLAML is among
the sides of `quality` once `make flaml` has installed it. Figures are kept
as JSON (of a quick run in `benchmarks/out`), failures are named, and the others go on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import results

QUICK: dict[str, list[str]] = {
    "quality": ["--draws", "2"],
    "search": ["--draws", "2", "--trees", "10", "--raced", "4"],
    "intake": ["--rows", "200000"],
    "split": ["--rows", "1000000", "--nights", "15"],
    "night": ["--rows", "50000"],
    "prediction": ["--rows", "50000"],
    "orchestration": [],
    "gate-speed": [],
    "reliability": [],
    "serving-load": ["--seconds", "2"],
}
FULL: dict[str, list[str]] = {
    **QUICK,
    "quality": ["--night", "--budget", "--cells"],
    "search": [],
    "intake": [],
    "split": [],
    "night": [],
    "prediction": [],
    "serving-load": [],
}
PEER = Path("build/flaml/bin/python")
"""Where `make flaml` puts the peer; without it, `bench` does without."""

OUT = Path(__file__).with_name("out")


def run(name: str, arguments: list[str], folder: Path) -> tuple[float, int]:
    """One benchmark as a process of its own: seconds and exit code; its output is shown."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks", name, *arguments]
    print(f"\n$ python -m benchmarks {' '.join([name, *arguments])}", flush=True)
    given = {**os.environ, "BENCHMARK_RESULTS": str(folder)}
    code = subprocess.run(command, env=given, check=False).returncode
    return time.perf_counter() - began, code


def table(folder: Path, since: float) -> list[str]:
    """A line a figure that was kept since then: both sides, their ratio, the goal."""
    lines = []
    for path in sorted(folder.glob("*.json")):
        if path.stat().st_mtime >= since:
            found: dict[str, Any] = json.loads(path.read_text())
            for row in found.get("rows", ()):
                row.pop("ratio")
                lines.append(f"{found['benchmark']:<14} {results.line(results.Row(**row))}")
    return lines


def main() -> int:
    """Run all, or those that are named; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*QUICK, []], help="these only")
    parser.add_argument("--full", action="store_true", help="at the size of the goals")
    options = parser.parse_args()
    chosen, folder = (FULL, results.FOLDER) if options.full else (QUICK, OUT)
    since, failed = time.time() - 1, []
    for name in options.names or chosen:
        peer = ["--flaml", str(PEER)] if name == "quality" and PEER.exists() else []
        took, code = run(name, [*chosen[name], *peer], folder)
        print(f"  ({took:.0f} s)")
        failed += [name] if code else []
    print("\n" + "\n".join(table(folder, since)))
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0
