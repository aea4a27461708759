"""What a night's 1,000 rows cost in a small dataset and in a large one, on SQLite.

`python -m benchmarks split` stores N districts, splits them, and then adds 1,000 rows several
times as a night does (deliver, freeze a version, split), at two sizes of N in turn. Goal: the
large dataset costs at most 1.3 x.
"""

import argparse
import gc
import resource
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import results
from benchmarks.homes import timed
from housing import schema
from housing.keys import KEY_COLUMN
from housing.settings import Settings
from housing.store.data import batches, datasets, split
from housing.store.data.batches import NewBatch
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.training.split import SplitRule

SMALL, LARGE = 10_000, 10_000_000
NIGHT = 1_000
KNOWN_SHARE = 0.1  # of a night's rows: corrections of districts that are there already
NIGHTS = 45  # so many that the ledger begins its next generation
GOAL = 1.3
RULE = SplitRule(test_share=0.2, seed=42)


def districts(keys: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Rows with what the split reads: the key, and the columns of the catalogue."""
    frame = pd.DataFrame({KEY_COLUMN: keys})
    for column in schema.COLUMNS:
        if column.kind == "category":
            codes = rng.integers(0, len(column.categories), len(keys))
            frame[column.name] = pd.Categorical.from_codes(codes, list(column.categories))
        else:
            resolution = column.resolution or 1e-4
            share = np.minimum(rng.gamma(4.0, 0.05, len(keys)), 1.0)
            values = column.minimum + share * (column.maximum - column.minimum)
            frame[column.name] = np.rint(values / resolution) * resolution
    return frame


def bring_in(settings: Settings, frame: pd.DataFrame, serial: int) -> dict[str, float]:
    """Seconds of each step of a delivery, from the open store to its sides, with its closing."""
    opening, store = timed(lambda: open_store(settings))
    return {
        "open": opening,
        "deliver": timed(lambda: batches.add(store, _batch(frame, serial), run=None))[0],
        "freeze": timed(lambda: datasets.append_waiting(store, reason="", run=None))[0],
        "split": timed(lambda: _split(store))[0],
        "close": timed(store.close)[0],
    }


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
        status="accepted",
        message="",
    )


def _split(store: Store) -> None:
    with store.read() as connection:
        todo = split.unsplit(connection)
    for batch in todo:
        split.split_batch(store, batch, RULE)


@dataclass
class Dataset:
    """A store of `rows` districts to which nights are added."""

    rows: int
    folder: Path
    nights: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.rows)
        self.settings = Settings(home=self.folder)
        self.keys = self.rng.integers(-(2**63), 2**63 - 1, size=self.rows)
        self.first = bring_in(self.settings, districts(self.keys, self.rng), 1)

    def add_night(self) -> None:
        """1,000 rows, most of them new."""
        known = int(NIGHT * KNOWN_SHARE)
        fresh = self.rng.integers(-(2**63), 2**63 - 1, size=NIGHT - known)
        keys = np.concatenate([self.rng.choice(self.keys, known, replace=False), fresh])
        frame = districts(keys, self.rng)
        gc.collect()
        self.nights.append(bring_in(self.settings, frame, len(self.nights) + 2))

    def median(self, step: str) -> float:
        """Seconds of one step, or of "all" together, in the median night."""
        return statistics.median(sum(n.values()) if step == "all" else n[step] for n in self.nights)


def main() -> None:
    """Measure both sizes and print the two sides of the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=LARGE, help="districts of the large dataset")
    parser.add_argument("--nights", type=int, default=NIGHTS, help="nights at each size")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        both = []
        for name, rows in (("small", SMALL), ("large", arguments.rows)):
            both.append(Dataset(rows, Path(folder) / name))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            first = both[-1].first["split"]
            print(f"{rows:>12,} districts: first split {first:.2f} s, peak {peak:.1f} GiB")
        for _ in range(arguments.nights):  # in turn, so that both see the same machine
            for dataset in both:
                dataset.add_night()
    _show(*both)


def _show(small: Dataset, large: Dataset) -> None:
    steps = [*small.nights[0], "all"]
    both = {step: (1e3 * large.median(step), 1e3 * small.median(step)) for step in steps}
    met = both["all"][0] <= GOAL * both["all"][1]
    rows = [results.Row(step, *both[step], "ms") for step in steps[:-1]]
    rows.append(results.Row("all", *both["all"], "ms", met, f"{GOAL} x"))
    results.show(
        "split", rows,
        f"{NIGHT:,} more rows in {large.rows:,} districts and in {small.rows:,}, "
        f"median of {len(small.nights)} nights each",
    )  # fmt: skip
