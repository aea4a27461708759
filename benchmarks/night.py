"""A whole night of many rows: seconds and peak memory, part by part.

`python -m benchmarks night --rows 2000000`: simulated districts as one CSV file in the landing
directory, then `housing retrain` with default settings in an empty home: intake with validation,
version, split, search on sampled rows, refit on all, gate, backup, promotion, report. Making the
file is no part of the night. Use `py-spy record -f
speedscope -s -- housing retrain` to see in which functions.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.data import landing
from benchmarks.homes import HOUSING, environment
from benchmarks.memory import Watch, watched
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.runs import runs

ROWS = 2_000_000
BIG = 1_000_000
SECONDS_GOAL, GIB_GOAL = 180.0, 4.0


def delivered_to(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a run that takes what is in the landing directory at once."""
    return environment(home, SOURCES__NAMES="landing", SOURCES__SETTLE_SECONDS="0", **settings)


def retrain(home: Path, **settings: str) -> tuple[dict[str, Any], float, Watch]:
    """One night as people run it: its answer, wall seconds, and what was watched."""
    command = [*HOUSING, "retrain", "--json"]
    out, wall, watch = watched(command, delivered_to(home, **settings), fine=(0, 3, 4))
    return json.loads(out), wall, watch


@dataclass(frozen=True)
class Part:
    """What a step of the night took."""

    name: str
    seconds: float  # wall
    processor: float  # seconds, on all cores together
    gib: float  # peak


def parts(home: Path, answer: dict[str, Any], watch: Watch, wall: float) -> list[Part]:
    """Each step of a run, and all that is around them."""
    with open_store(load_settings(home=home)) as store, store.read() as connection:
        run = runs.get(connection, int(answer["run"].removeprefix("r")))
    at, steps = run.started_at.timestamp(), answer["steps"]
    # What the orchestrator does between two steps is taken to be the same between any two.
    between = run.finished_at.timestamp() - at - sum(step["seconds"] for step in steps)
    found = []
    for step in steps:
        begin = at + between / len(steps)
        at = begin + step["seconds"]
        found.append(Part(step["step"], step["seconds"], watch.processor(begin, at),
                          watch.peak(begin, at + 1)))  # fmt: skip
    rest = watch.processor() - sum(part.processor for part in found)
    seconds = wall - sum(part.seconds for part in found)
    return [*found, Part("start, orchestration, end", seconds, rest, watch.peak(at))]


def main() -> None:
    """Measure one night, part by part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--dask", metavar="ADDRESS", help="Scheduler of Dask workers to use.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        landing(home / "landing", options.rows)
        answer, wall, watch = retrain(
            home, **({"DASK_ADDRESS": options.dask} if options.dask else {})
        )
        found = parts(home, answer, watch, wall)
    big = options.rows >= BIG
    shown = [
        results.at_most("whole night", wall, SECONDS_GOAL, "s", judged=big),
        results.Row("processor", watch.processor(), 0.0, "s"),
        results.at_most("peak memory", watch.peak(), GIB_GOAL, "GiB", judged=big),
    ]
    results.show(
        f"night-{options.rows}{'-dask' if options.dask else ''}", shown,
        f"{options.rows:,} rows from a CSV file to the report ({answer['outcome']})",
        parts=[asdict(part) for part in found],
    )  # fmt: skip
    print(f"  {'':<26}{'wall':>10}{'processor':>12}{'peak':>12}")
    for part in found:
        print(
            f"  {part.name:<26}{part.seconds:>8.1f} s{part.processor:>10.1f} s{part.gib:>8.2f} GiB"
        )
