"""CSV into the store with full validation, and the first split: rows a second, time and memory.

`python -m benchmarks intake --rows 2000000`. Each part runs in a process of its own, as a night
would start it, so that peaks are its own. `--rows 20000000 --files 4` is a table that is larger
than one file may be. The other side of the ratio is pandas: `read_csv` and nothing else.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks import results
from benchmarks.data import landing
from benchmarks.memory import watched
from benchmarks.night import delivered_to

ROWS = 1_000_000
RATE_GOAL = 300_000.0

INTAKE = """
import json, time
from housing.settings import load_settings
from housing.pipeline import datasets as dataset_steps
from housing.pipeline import ingest
from housing.store.data import datasets
from housing.store.database.open import open_store
settings = load_settings()
with open_store(settings) as store:
    began, processor = time.perf_counter(), time.process_time()
    taken = ingest.ingest(store, settings, run=None)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    assert all(b.status == "accepted" for b in taken.batches), taken
    began = time.perf_counter()
    datasets.append_waiting(store, reason="", run=None)
    dataset_steps.split(store, settings)
    split = time.perf_counter() - began
rows = sum(b.accepted for b in taken.batches)
print(json.dumps({"wall": wall, "processor": processor, "split": split, "rows": rows}))
"""


def brought_in(home: Path) -> tuple[dict[str, float], float]:
    """Seconds of intake and split, and the peak in GiB."""
    out, _, watch = watched([sys.executable, "-c", INTAKE], delivered_to(home))
    return json.loads(out.splitlines()[-1]), watch.peak()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--files", type=int, default=1, help="that the rows are delivered in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, each = Path(folder) / "home", options.rows // options.files
        paths = [landing(home / "landing", each, first=n * each) for n in range(options.files)]
        size = sum(path.stat().st_size for path in paths)
        began, processor = time.perf_counter(), time.process_time()
        for path in paths:
            pd.read_csv(path)
        plain = time.perf_counter() - began
        processor = time.process_time() - processor
        took, peak = brought_in(home)
    rate = took["rows"] / took["wall"]
    results.show(
        f"intake-{options.rows}",
        [
            results.Row("rows a second", rate, options.rows / plain, "rows/s",
                        rate >= RATE_GOAL, f"at least {RATE_GOAL:,.0f} rows/s"),
            results.Row("rows a processor second", took["rows"] / took["processor"],
                        options.rows / processor, "rows/s"),
            results.Row("version and split", took["split"], 0.0, "s"),
            results.Row("peak memory", peak, size / 2**30, "GiB"),
        ],
        f"{options.rows:,} rows with every check, beside pandas.read_csv alone; "
        "memory beside the size of the files",
    )  # fmt: skip
