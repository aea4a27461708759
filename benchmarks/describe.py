"""The page of a dataset version of many rows: seconds and memory of `housing dataset describe`.

`python -m benchmarks describe --rows 2000000`: simulated districts as one CSV file, brought in and
split by a process of its own, then the command. Its memory may not grow with the rows beyond what
a part of them takes; processor time is that of the command with all that it starts.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import results
from benchmarks.data import landing
from benchmarks.homes import HOUSING
from benchmarks.intake import brought_in
from benchmarks.memory import Watch
from benchmarks.night import delivered_to

ROWS = 2_000_000
SECONDS_GOAL, GIB_GOAL = 20.0, 4.0


def main() -> None:
    """Bring the rows in, run the command, keep its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        landing(home / "landing", options.rows)
        brought_in(home)
        began = time.perf_counter()
        process = subprocess.Popen(
            [*HOUSING, "dataset", "describe", "v1", "--json"],
            env=delivered_to(home), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with Watch(process.pid) as watch:
            out, _ = process.communicate()
        wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit("the command failed")
    json.loads(out)
    used, peak = watch.processor(), watch.peak()
    goals = options.rows >= ROWS
    results.show(
        f"describe-{options.rows}",
        [
            results.Row("dataset describe", used, SECONDS_GOAL if goals else 0.0, "s",
                        used <= SECONDS_GOAL if goals else None, f"{SECONDS_GOAL:g} s"),
            results.Row("its wall time", wall, 0.0, "s"),
            results.Row("peak memory", peak, GIB_GOAL if goals else 0.0, "GiB",
                        peak <= GIB_GOAL if goals else None, f"{GIB_GOAL:g} GiB"),
        ],
        f"{options.rows:,} rows; processor seconds",
    )  # fmt: skip
