"""How long it takes to go back, to back up, and to come back from nothing.

`python -m benchmarks reliability [--rollbacks N]`: two champions of the default families on the
reference table; then N rollbacks with the model loaded and its golden predictions replayed, the
ledger's part alone, and the restore drill. Times of this machine, side by side in one run.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from housing.settings import Settings, load_settings
from housing.steps import backup, intake, promote, tune
from housing.steps import datasets as dataset_steps
from housing.steps.night import NightlyParameters, night_run
from housing.store import artifacts, holds, registry
from housing.store.engine import Store
from housing.store.ledger import Why
from housing.store.opening import open_store

T = TypeVar("T")


def timed(what: Callable[[], T]) -> tuple[float, T]:
    """Seconds that something takes, and what it gives."""
    began = time.perf_counter()
    answer = what()
    return time.perf_counter() - began, answer


def prepare(draws: int) -> None:
    """A home with one dataset version of the reference table and two champions."""
    os.environ["HOUSING_SOURCE"] = "census"
    os.environ["HOUSING_SEARCH__N_ITER"] = str(draws)
    before = None
    for seed in ("1", "2"):
        os.environ["HOUSING_SEARCH__SEED"] = seed
        settings = load_settings()
        with night_run("nightly", NightlyParameters()) as night, open_store(settings) as store:
            intake.bring_in(store, settings, run=night.run)
            version = dataset_steps.freeze(store, night).id
            dataset_steps.assign_sides(store, settings)
            search = tune.tune(store, night, version, settings)
            model = tune.fit_challenger(store, night, search, settings)
            promote.back_up(store, model)
            change = registry.Change("promote", model, before, "benchmark", "to be taken back")
            registry.change_champion(store, change)
            before = model


def rollbacks(store: Store, number: int) -> tuple[list[float], list[float]]:
    """Seconds of whole rollbacks, and of the change of the ledger alone."""
    whole, alone = [], []
    with store.read() as connection:
        first, second = sorted(registry.former_champions(connection))
    for _ in range(number):
        whole.append(timed(lambda: promote.roll_back(store, first, "benchmark"))[0])
        holds.release(store, "m", second, Why("benchmark", "again"))
        change = registry.Change("promote", second, first, "benchmark", "again")
        alone.append(timed(lambda change=change: registry.change_champion(store, change))[0])
    return whole, alone


def drill(settings: Settings) -> None:
    """Create, try and restore a backup, and say how long each took."""
    with open_store(settings) as store:
        first, cut = timed(lambda: backup.create(store, settings))
        second, _ = timed(lambda: backup.create(store, settings))
        tried, found = timed(lambda: backup.verify(store, settings))
    assert found.good, found.problems
    there = load_settings(home=settings.home / "elsewhere", backup_url=settings.backup_url)
    shutil.copytree(settings.home / "keys", there.home / "keys")
    restored, done = timed(lambda: backup.restore(there))
    with open_store(there) as store, store.read() as connection:
        assert registry.champion(connection) == done.champion
    size = f"{cut.size / 1e6:.1f} MB, {cut.blobs} objects, {found.rows:,} rows of SQL"
    print(f"backup create, the first          {first:8.2f} s  ({size})")
    print(f"backup create, nothing new        {second:8.2f} s")
    print(f"backup verify (trial restore)     {tried:8.2f} s")
    print(f"backup restore on an empty home   {restored:8.2f} s")


def row(name: str, seconds: list[float]) -> None:
    """One line of the table of rollbacks."""
    cuts = statistics.quantiles(seconds, n=100)
    print(f"{name:<33} {cuts[49] * 1e3:8.0f} ms  {cuts[98] * 1e3:8.0f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollbacks", type=int, default=100)
    parser.add_argument("--draws", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="housing-reliability-") as folder:
        os.environ["HOUSING_HOME"] = str(Path(folder) / "home")
        prepare(chosen.draws)
        settings = load_settings()
        with open_store(settings) as store:
            whole, alone = rollbacks(store, chosen.rollbacks)
            with store.read() as connection:
                model = registry.model(connection, 1)
            load, _ = timed(lambda: artifacts.get_model(store, model.artifact))
        print(f"champions: {model.family}, bag of {model.bag}")
        print(f"{chosen.rollbacks} rollbacks                           p50         p99")
        row("whole: heal, load, replay, switch", whole)
        row("of it the switch in the ledger", alone)
        print(f"loading the artifact once more    {load * 1e3:8.0f} ms")
        drill(settings)


if __name__ == "__main__":
    main()
