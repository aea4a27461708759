"""The frame around the steps: a run in SQL, the lease, and what is said when it ends.

A run that dies is marked by the next one; what it finished is found again by content, not by
the run, so nothing is computed twice.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from housing import progress
from housing.errors import HousingError, RunInProgress
from housing.pipeline import notifications
from housing.records import RunResult, StepTime
from housing.settings import Settings, load_settings
from housing.sources import SOURCES
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import registry
from housing.store.runs import lease, runs
from housing.training.candidates import FAMILIES

log = logging.getLogger("housing")


class NightlyParameters(BaseModel):
    """What may be changed for one night; what is left empty follows the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str | None = Field(
        None,
        title="Source",
        description=f"Where to look for fresh rows, of {', '.join(SOURCES)}; "
        "separate several with commas.",
    )
    n_trials: int | None = Field(
        None, ge=1, le=10_000, title="N Trials", description="Trials of the random search."
    )
    families: tuple[str, ...] | None = Field(
        None, description=f"Model families to draw from: {', '.join(FAMILIES)}."
    )
    seed: int | None = Field(
        None, ge=0, lt=2**31, description="Seed of the search; another seed draws other candidates."
    )
    dry_run: bool = Field(
        False, title="Dry Run", description="Judge, but promote nothing whatever the verdict is."
    )

    def settings(self) -> Settings:
        """The settings of this night; SettingsInvalid where a value is impossible."""
        changed = {
            name: value
            for name in ("n_trials", "families", "seed")
            if (value := getattr(self, name)) is not None
        }
        overrides: dict[str, Any] = {"search": changed}
        if self.source is not None:
            overrides["sources"] = {"names": self.source}
        return load_settings(**overrides)


@dataclass(frozen=True)
class RunContext:
    """A run under way; small enough to travel between tasks."""

    id: int
    token: int
    parameters: NightlyParameters


@contextmanager
def start_run(
    kind: str, parameters: NightlyParameters, flow_run: str | None = None
) -> Iterator[RunContext]:
    """Hold the lease and a run row while the block runs; RunInProgress if it is taken.

    The block must end by `conclude`, or by an exception, which the run then records.
    """
    shown = parameters.model_dump(mode="json", exclude_none=True)
    with open_store(load_settings()) as store:
        token = _take_lease(store, kind, shown)
        try:
            run = RunContext(_start(store, kind, shown, flow_run, token), token, parameters)
            with _recorded(store, run), lease.heartbeat(store, token):
                yield run
        finally:
            lease.release(store, token)


def _take_lease(store: Store, kind: str, shown: dict[str, Any]) -> int:
    try:
        return lease.acquire(store, owner=f"the {kind} run of {runs.actor()}")
    except RunInProgress as error:
        with store.write() as connection:
            runs.refuse(connection, kind, shown, str(error))
        raise


def _start(store: Store, kind: str, shown: dict[str, Any], flow_run: str | None, token: int) -> int:
    with store.fenced(token).write() as connection:
        run = runs.start(connection, kind, shown, flow_run)
        lease.set_run(connection, run)
    notifications.failures(
        store, load_settings()
    )  # all others that say they run: we hold what they would need
    notifications.expire_approvals(store, load_settings())
    return run


@contextmanager
def _recorded(store: Store, run: RunContext) -> Iterator[None]:
    """Note in the run's row why it did not come to its end."""
    try:
        yield
    except BaseException as error:
        status = "failed" if isinstance(error, Exception) else "cancelled"
        runs.finish(store, run.id, status, error=_in_words(error))
        if status == "failed":
            notifications.failures(store, load_settings())
        raise


def _in_words(error: BaseException) -> str:
    if isinstance(error, HousingError):
        return str(error)
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {error}"
    # KeyboardInterrupt, or what the orchestrator raises when a run is cancelled.
    return f"interrupted ({type(error).__name__}); the next run goes on where this one stopped"


@contextmanager
def step(run: RunContext, name: str) -> Iterator[tuple[Store, Settings]]:
    """Open the store for one step of the night, fenced, and record how long the step took.

    The last thing that the step reported as its progress is kept with it and logged.
    """
    settings = run.parameters.settings()
    said: list[str] = []

    def listen(step: str, done: int, total: int, message: str) -> None:
        if step == name and message:
            said.append(message)

    with open_store(settings, token=run.token) as store:
        progress.report(name, 0, 0)
        began = time.perf_counter()
        with progress.heard_by(listen):
            yield store, settings
        seconds = time.perf_counter() - began
        detail = said[-1] if said else ""
        runs.note_step(store, run.id, StepTime(name, seconds, detail))
        log.info("%s: %s (%.1f s)", name, detail or "done", seconds)
        progress.report(name, 1, 1, f"{seconds:.1f} s  {detail}")


def finish_run(store: Store, run: RunContext, result: RunResult) -> RunResult:
    """Record the outcome; returns the result with the current champion."""
    with store.read() as connection:
        champion = registry.champion(connection)
    final = replace(result, champion=champion)
    facts = {name: value for name, value in asdict(final).items() if name != "run"}
    runs.finish(store, run.id, "completed", **facts)
    name = "none" if champion is None else f"m{champion}"
    progress.report("finish", 1, 1, f"{final.outcome}; champion {name}")
    return final
