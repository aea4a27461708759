"""The page of a dataset version of many rows: seconds and memory of `housing dataset describe`.

`python -m benchmarks describe --rows 2000000`: simulated districts as one CSV file, brought in and
split by a process of its own, then the command. Its memory may not grow with the rows beyond what
a part of them takes; processor time is that of the command with all that it starts.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import results
from benchmarks.data import landing
from benchmarks.homes import HOUSING
from benchmarks.intake import brought_in
from benchmarks.memory import watched
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
        command = [*HOUSING, "dataset", "describe", "v1", "--json"]
        _, wall, watch = watched(command, delivered_to(home))
    judged = options.rows >= ROWS
    results.show(
        f"describe-{options.rows}",
        [
            results.at_most("dataset describe", watch.processor(), SECONDS_GOAL, "s", judged),
            results.Row("its wall time", wall, 0.0, "s"),
            results.at_most("peak memory", watch.peak(), GIB_GOAL, "GiB", judged),
        ],
        f"{options.rows:,} rows; processor seconds",
    )
