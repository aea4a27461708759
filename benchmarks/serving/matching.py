"""`python -m benchmarks matching`: what one run of the monitor reads to match late prices.

Files of logged answers as the server writes them, matched in a process of its own so that its peak
memory is that of matching. Rows, bytes and seconds grow with the number of files, memory does not;
a day at the goal's rate is extrapolated from the largest run.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks import results, serving_pages
from housing.schema import CATALOGUE, FEATURES, NUMBERS

FILES, ROWS, LABELS = (50, 200, 800), 5_000, 300
RATE, DAY = 1_000, 86_400


def build(home: Path, files: int) -> None:
    """A store with files of answers, with their inputs, and labels for some of them."""
    from housing.keys import KEY_COLUMN
    from housing.settings import load_settings
    from housing.store.database.open import open_store
    from housing.store.database.tables import utc_now
    from housing.store.runs import predictions
    from housing.store.runs.labelled import LABEL

    rng = np.random.default_rng(0)
    wanted = []
    with open_store(load_settings(home=home)) as store:
        at = pd.Timestamp(utc_now()).floor("us") - pd.Timedelta(days=1)
        for _ in range(files):
            keys = rng.integers(1 << 62, size=ROWS)
            frame = pd.DataFrame({predictions.AT: at, predictions.MODEL: 1, KEY_COLUMN: keys})
            for name in predictions.OUTPUTS:
                frame[name] = rng.uniform(1e5, 5e5, ROWS)
            for name in FEATURES:
                known = CATALOGUE[name].categories
                frame[name] = rng.uniform(size=ROWS) if name in NUMBERS else known[0]
            predictions.add(store, frame, has_inputs=True)
            wanted += keys[: -(-LABELS // files)].tolist()
        labels = pd.DataFrame({KEY_COLUMN: wanted[:LABELS], LABEL: 2e5})
        facts = {"digest": "0" * 64, "name": "x", "origin": "labels", "rejected_rows": 0,
                 "message": ""}  # fmt: skip
        predictions.add_labels(store, labels, facts)


def match(home: Path) -> None:
    """Print labels found, bytes decoded, seconds, and peak memory beyond the libraries."""
    from housing.operations import labelled_predictions
    from housing.settings import load_settings
    from housing.store.database.open import open_store

    decoded, read = [0], pq.ParquetFile.read

    def counting(file: pq.ParquetFile, **how: Any) -> Any:
        table = read(file, **how)
        decoded[0] += table.nbytes
        return table

    pq.ParquetFile.read = counting
    labelled_predictions._without_known = lambda store, found: found  # there is no model here
    with open_store(load_settings(home=home)) as store:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        found, _ = labelled_predictions.matched(store, labelled_predictions.START)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(len(found), decoded[0], seconds, peak)


def measured(files: int) -> dict[str, Any]:
    """One store, matched in a fresh process."""
    with TemporaryDirectory() as folder:
        for step in ("build", "match"):
            line = [sys.executable, "-m", "benchmarks.serving.matching", step, folder, str(files)]
            done = subprocess.run(line, check=True, capture_output=True, text=True)
    count, decoded, seconds, peak = done.stdout.split()[-4:]
    assert int(count) == LABELS
    return {
        "answers": files * ROWS, "files": files, "read_mb": int(decoded) / 1e6,
        "seconds": float(seconds), "peak_mb": int(peak) / 1024, "extrapolated": False,
    }  # fmt: skip


def extrapolated(largest: dict[str, Any]) -> dict[str, Any]:
    """A day at the goal's rate, in proportion to the files."""
    factor = RATE * DAY / largest["answers"]
    return {
        "answers": RATE * DAY, "files": round(largest["files"] * factor),
        "read_mb": largest["read_mb"] * factor, "seconds": largest["seconds"] * factor,
        "peak_mb": None, "extrapolated": True,
    }  # fmt: skip


def main() -> None:
    """Measure, extrapolate, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", nargs="?", choices=("build", "match"))
    parser.add_argument("home", nargs="?", type=Path)
    parser.add_argument("files", nargs="?", type=int)
    chosen = parser.parse_args()
    if chosen.step == "build":
        build(chosen.home, chosen.files)
    elif chosen.step == "match":
        match(chosen.home)
    else:
        cases = [measured(files) for files in FILES]
        figures = {"labels": LABELS, "rows_a_file": ROWS, "rate": RATE,
                   "cases": [*cases, extrapolated(cases[-1])]}  # fmt: skip
        print(serving_pages.matching(figures))
        results.save("matching", figures)
