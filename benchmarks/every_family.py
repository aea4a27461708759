"""A run that tries every installed family, on the reference table: how long it takes.

`python -m benchmarks every-family housing.csv`: the steps of a run from ingestion to the report in
an empty home, with all families and defaults otherwise, so each has a candidate that is scored on
every fold. The orchestrator, measured by `orchestration`, is left out. Wall time depends on other
work on the machine; processor time by core is the least that it can be, and has no goal.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks import results
from benchmarks.data import add_table, reference_table
from benchmarks.memory import Watch
from housing.records import Trial
from housing.report.family_table import by_family
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.models import searches
from housing.training.candidates import FAMILIES
from tests.fixtures.run_without_prefect import plain_run

GOAL = 360.0
"""Seconds on two cores."""


def run(table: Path, families: list[str], home: Path) -> list[Trial]:
    """The trials of a run in an empty home."""
    (home / "landing").mkdir(parents=True)
    shutil.copy(table, home / "landing" / "table.csv")
    os.environ |= {
        "HOUSING_HOME": str(home), "HOUSING_SEARCH__FAMILIES": ",".join(families),
        "HOUSING_SOURCES__NAMES": "landing", "HOUSING_SOURCES__SETTLE_SECONDS": "0",
    }  # fmt: skip
    plain_run()
    with open_store(load_settings()) as store, store.read() as connection:
        return list(searches.trials_of(connection, 1))


def main() -> None:
    """Run once and keep the seconds: of all, by core, and of one fit of each family."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    table = reference_table(parser.parse_args())
    installed = [name for name, family in FAMILIES.items() if not family.missing]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Watch(os.getpid()) as watch:
        trials = run(table, installed, Path(folder) / "home")
    wall = time.perf_counter() - began
    fits = {each.family: each for each in by_family(trials)}
    if without := sorted(name for name in installed if not fits[name].errors):
        raise SystemExit(f"no candidate of {', '.join(without)} was scored on every fold")
    by_core = watch.processor() / (os.cpu_count() or 1)
    shown = [
        results.at_most("wall time", wall, GOAL, "s"),
        results.Row("processor time by core", by_core, 0.0, "s"),
        *(
            results.Row(f"{name}, one fold", each.fit_seconds, 0.0, "s")
            for name, each in fits.items()
        ),
    ]
    results.show("every-family", shown, f"{len(installed)} families, {len(trials)} candidates")
