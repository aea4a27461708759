"""Temporary homes, the `housing` command and runs in them, and how long a call takes."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from housing.pipeline import datasets, ingest, promote, train
from housing.pipeline.evaluate import evaluate
from housing.pipeline.result import of_verdict
from housing.pipeline.run_context import NightlyParameters, RunContext, finish_run, start_run
from housing.records import RunResult
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import promotion_log, registry

T = TypeVar("T")
HOUSING = (sys.executable, "-m", "deployments.cli.__main__")


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Of a process in that home: defaults, but for `settings` (names without HOUSING_)."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("HOUSING_", "PREFECT_"))}
    given = {"HOME": str(home), **settings}
    return kept | {f"HOUSING_{name}": value for name, value in given.items()}


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Wall seconds of a call, and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def new_version(store: Store, settings: Settings, run: RunContext) -> int:
    """The first steps of a run, up to the split."""
    ingest.ingest(store, settings, run=run.id)
    version = datasets.freeze(store, run).id
    datasets.split(store, settings)
    return version


def promoted(store: Store, settings: Settings, run: RunContext) -> RunResult:
    """The steps of a run, whose challenger becomes champion whatever the verdict."""
    version = new_version(store, settings, run)
    search = train.search(store, run, version, settings)
    challenger = train.fit(store, run, search, settings)
    judged = evaluate(store, run, version, challenger, settings)
    promote.back_up(store, challenger)
    with store.read() as connection:
        before = promotion_log.champion(connection)
    if before != challenger:
        change = registry.Change("promote", challenger, before, "benchmark", "benchmark")
        registry.change_champion(store, change)
    return of_verdict(run.id, version, judged, dry_run=False)


def run_and_promote() -> None:
    """A whole run of that kind in the home of the environment."""
    settings = load_settings()
    with start_run("nightly", NightlyParameters()) as run, open_store(settings) as store:
        finish_run(store, run, promoted(store, settings, run))
