"""How long it takes to go back, to back up, and to come back from nothing.

`python -m benchmarks reliability [--rollbacks N]`: two champions of the default families
on the reference table; then N rollbacks with the model loaded and its golden predictions replayed,
their parts alone, the command in new processes, and the restore drill. Times of this machine.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import reliability_page
from benchmarks.homes import HOUSING, run_and_promote, timed
from benchmarks.results import Row, show
from housing.operations import backup
from housing.pipeline import promote
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import artifacts, blocks, promotion_log, registry
from housing.store.models.promotion_log import Authorship

GOAL_MS = 200.0
MANY = 20
"""Repetitions from which on a 99th percentile is printed."""


def prepare(draws: int) -> None:
    """A home with one dataset version of the reference table and two champions."""
    os.environ["HOUSING_SOURCES__NAMES"] = "census"
    os.environ["HOUSING_SEARCH__N_TRIALS"] = str(draws)
    for seed in ("1", "2"):
        os.environ["HOUSING_SEARCH__SEED"] = seed
        run_and_promote()


@dataclass
class Rollbacks:
    """Seconds of each repetition, by what was timed."""

    whole: list[float] = field(default_factory=list)  # SQL, load, replay, switch
    load: list[float] = field(default_factory=list)
    rehearsal: list[float] = field(default_factory=list)  # load and replay
    switch: list[float] = field(default_factory=list)
    command: list[float] = field(default_factory=list)  # `housing rollback`, a new process each


def rollbacks(store: Store, number: int, commands: int) -> Rollbacks:
    """Go back and forth between the two champions."""
    found = Rollbacks()
    with store.read() as connection:
        first, second = sorted(promotion_log.former_champions(connection))
        row = registry.model(connection, first)

    def again() -> float:
        blocks.unblock(store, "m", second, Authorship("benchmark", "again"))
        change = registry.Change("promote", second, first, "benchmark", "again")
        return timed(lambda: registry.change_champion(store, change))[0]

    promote.roll_back(store, first, "benchmark")  # a process that has done it before: `warm`
    again()
    for _ in range(number):
        found.whole.append(timed(lambda: promote.roll_back(store, first, "benchmark"))[0])
        found.switch.append(again())
        found.load.append(timed(lambda: artifacts.get_model(store, row.artifact))[0])
        found.rehearsal.append(
            timed(lambda: artifacts.load_verified(store, row.artifact, row.golden))[0]
        )
    command = [*HOUSING, "rollback", f"m{first}", "--reason", "benchmark"]
    for _ in range(commands):
        done, _ = timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
        found.command.append(done)
        again()
    return found


def drill(settings: Settings) -> dict[str, float]:
    """Create, try and restore a backup; seconds of each, and how much it was."""
    with open_store(settings) as store:
        first, snapshot = timed(lambda: backup.create(store, settings))
        second, _ = timed(lambda: backup.create(store, settings))
        tried, found = timed(lambda: backup.verify(store))
    assert found.good, found.problems
    there = load_settings(home=settings.home / "elsewhere", backup_url=settings.backup_url)
    shutil.copytree(settings.home / "keys", there.home / "keys")
    restored, done = timed(lambda: backup.restore(there))
    with open_store(there) as store, store.read() as connection:
        assert promotion_log.champion(connection) == done.champion
    return {
        "create_seconds": first,
        "create_again_seconds": second,
        "verify_seconds": tried,
        "restore_seconds": restored,
        "megabytes": snapshot.size / 1e6,
        "objects": snapshot.blobs,
        "rows": found.rows,
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds; the greatest where there are few."""
    p99 = statistics.quantiles(seconds, n=100)[98] if len(seconds) >= MANY else max(seconds)
    return {"p50": statistics.median(seconds) * 1e3, "p99": p99 * 1e3, "number": len(seconds)}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollbacks", type=int, default=60)
    parser.add_argument("--commands", type=int, default=10)
    parser.add_argument("--draws", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="housing-reliability-") as folder:
        os.environ["HOUSING_HOME"] = str(Path(folder) / "home")
        prepare(chosen.draws)
        settings = load_settings()
        with open_store(settings) as store:
            times = rollbacks(store, chosen.rollbacks, chosen.commands)
            with store.read() as connection:
                model = registry.model(connection, 1)
        figures = {name: quantiles(seconds) for name, seconds in vars(times).items()}
        restored = drill(settings)
    met = figures["whole"]["p50"] <= GOAL_MS
    whole = figures["whole"]
    show(
        "rollback",
        [
            Row("in a warm process, p50", whole["p50"], 0, "ms", met, f"at most {GOAL_MS:.0f} ms"),
            Row("in a warm process, p99", whole["p99"], 0, "ms"),
        ],
        "back to the previous champion, whole",
        family=model.family, members=model.ensemble_size, goal_ms=GOAL_MS, met=met,
        **figures, drill=restored,
    )  # fmt: skip
    print(reliability_page.rollback())
