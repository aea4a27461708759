"""A whole night of many rows: seconds and peak memory, part by part.

`python -m benchmarks night --rows 2000000`: simulated districts as one CSV file in the landing
directory, then `housing retrain` with default settings in an empty home: intake with validation,
version, split, search on sampled rows, refit on all, gate, backup, promotion, report. Making the
file is no part of the night. `--profile` runs the same steps in this process instead, and keeps a
table of the functions in which the time goes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.memory import Watch
from housing.sources.simulated.scenarios import simulate

ROWS = 2_000_000
BIG = 1_000_000
SECONDS_GOAL, GIB_GOAL = 180.0, 4.0
SHOWN = 25
"""Functions of a profile that are kept."""

CHUNK = 250_000
FINE = 6  # decimals of the coordinates: millions of districts need more of them than the census has


def landing(folder: Path, rows: int, seed: int = 0) -> Path:
    """Districts as a CSV file; they differ, as no two chunks share their seed."""
    folder.mkdir(parents=True)
    path = folder / "districts.csv"
    for number, start in enumerate(range(0, rows, CHUNK)):
        chunk = simulate(min(CHUNK, rows - start), seed, night=number)
        chunk.to_csv(path, mode="a", index=False, header=not number)
    return path


def environment(home: Path) -> dict[str, str]:
    """Defaults, an empty home, and a file that may be taken at once."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("HOUSING_", "PREFECT_"))}
    given = {"HOME": str(home), "SOURCE": "landing", "SETTLE_SECONDS": "0"}
    return kept | {f"HOUSING_{name}": value for name, value in given.items()}


def retrain(home: Path) -> tuple[dict[str, Any], float, Watch, float]:
    """One night as people run it: its answer, wall seconds, memory, and when it began."""
    command = [sys.executable, "-m", "deployments.cli.entry", "retrain", "--json"]
    began, clock = time.time(), time.perf_counter()
    process = subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with Watch(process.pid) as watch:
        out, err = process.communicate()
    wall = time.perf_counter() - clock
    if process.returncode not in (0, 3, 4):
        raise SystemExit(f"the night failed:\n{out}\n{err}")
    return json.loads(out), wall, watch, began


def parts(
    steps: list[Mapping[str, Any]], watch: Watch, began: float, wall: float
) -> Iterator[tuple[str, float, float]]:
    """Name, seconds and peak GiB of each step, and of all that is between and around them."""
    inside = 0.0
    for step in steps:
        end = step["ended"]
        yield step["name"], step["seconds"], watch.peak(end - step["seconds"], end)
        inside += step["seconds"]
    yield "start, orchestration, end", wall - inside, watch.peak()
