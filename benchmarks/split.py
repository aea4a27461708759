"""What a night's 1,000 rows cost in a small dataset and in a large one, on SQLite.

`python -m benchmarks.split` stores N districts, splits them, and then adds 1,000 rows several
times as a night does (deliver, freeze a version, split), at two sizes of N. Goal: the large
dataset costs at most 1.3 x.
"""

import argparse
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from housing import schema
from housing.settings import Settings
from housing.store import batches, datasets, split
from housing.store.batches import NewBatch
from housing.store.engine import Store
from housing.store.opening import open_store
from housing.store.segments import KEY_COLUMN
from housing.training.split import SplitRule

SMALL, LARGE = 10_000, 10_000_000
NIGHT = 1_000
KNOWN_SHARE = 0.1  # of a night's rows: corrections of districts that are there already
NIGHTS = 7
GOAL = 1.3
RULE = SplitRule(test_share=0.2, seed=42)


@dataclass
class Timing:
    """Seconds, one figure a step."""

    steps: dict[str, float] = field(default_factory=dict)

    def measure(self, name: str, call: Callable[[], object]) -> None:
        """Add how long `call` takes."""
        began = time.perf_counter()
        call()
        self.steps[name] = time.perf_counter() - began

    @property
    def total(self) -> float:
        """All steps together."""
        return sum(self.steps.values())


def districts(keys: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Rows with what the split reads: the key and the columns of the strata."""
    frame = pd.DataFrame({KEY_COLUMN: keys})
    for grouping in schema.STRATA:
        if isinstance(grouping, schema.Bins):
            frame[grouping.column] = rng.gamma(4.0, 1.0, len(keys))
        else:
            codes = rng.integers(0, len(grouping.names()), len(keys))
            frame[grouping.column] = pd.Categorical.from_codes(codes, list(grouping.names()))
    return frame


def bring_in(settings: Settings, frame: pd.DataFrame, serial: int) -> Timing:
    """One delivery, from the open store to its sides; opening and closing count too."""
    timing = Timing()
    began = time.perf_counter()
    with open_store(settings) as store:
        timing.steps["open"] = time.perf_counter() - began
        timing.measure("deliver", lambda: batches.add(store, _batch(frame, serial), run=None))
        timing.measure("freeze", lambda: datasets.append_waiting(store, reason="", run=None))
        timing.measure("split", lambda: _split(store))
        closing = time.perf_counter()
    timing.steps["close"] = time.perf_counter() - closing
    return timing


def _batch(frame: pd.DataFrame, serial: int) -> NewBatch:
    return NewBatch(
        source="benchmark",
        name=f"{serial}.csv",
        digest=f"{serial:064x}",
        size=0,
        simulated=True,
        watermark=None,
        read=len(frame),
        accepted=frame,
        rejected=frame.head(0),
        rejections=(),
        held=False,
        message="",
    )


def _split(store: Store) -> None:
    with store.read() as connection:
        todo = split.unsplit(connection)
    for batch in todo:
        split.split_batch(store, batch, RULE)


def run(rows: int, folder: Path) -> tuple[Timing, list[Timing]]:
    """The first `rows` districts, then `NIGHTS` nights of 1,000."""
    rng = np.random.default_rng(rows)
    settings = Settings(home=folder)
    keys = rng.integers(-(2**63), 2**63 - 1, size=rows)
    first = bring_in(settings, districts(keys, rng), 1)
    known = int(NIGHT * KNOWN_SHARE)
    nights = []
    for night in range(NIGHTS):
        fresh = rng.integers(-(2**63), 2**63 - 1, size=NIGHT - known)
        mixed = np.concatenate([rng.choice(keys, known, replace=False), fresh])
        gc.collect()
        nights.append(bring_in(settings, districts(mixed, rng), night + 2))
    return first, nights


def main() -> None:
    """Measure both sizes and print the two sides of the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=LARGE, help="districts of the large dataset")
    large = parser.parse_args().rows
    medians: dict[str, list[float]] = {}
    for rows in (SMALL, large):
        with tempfile.TemporaryDirectory() as folder:
            first, nights = run(rows, Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{rows:>12,} districts: first split {first.steps['split']:.2f} s, peak {peak:.1f} GiB"
        )
        for name in nights[0].steps:
            medians.setdefault(name, []).append(statistics.median(n.steps[name] for n in nights))
        medians.setdefault("all", []).append(statistics.median(n.total for n in nights))
    print(f"{NIGHT:,} more rows, median of {NIGHTS} nights:")
    for name, (small_s, large_s) in medians.items():
        shown = f"{small_s * 1e3:8.1f} ms {large_s * 1e3:8.1f} ms {large_s / small_s:6.2f} x"
        print(f"{name:>12}: {shown}")
    verdict = "met" if medians["all"][1] <= GOAL * medians["all"][0] else "missed"
    print(f"goal for all: at most {GOAL} x: {verdict}")


if __name__ == "__main__":
    main()
