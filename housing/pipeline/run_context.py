"""Run context: run row, lease, steps and final status.

If a run dies, the next one marks it as crashed and finds its completed work by content, so nothing
is computed twice.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from housing import progress
from housing.errors import HousingError, NotOwned, RunInProgress
from housing.notify import Message
from housing.pipeline import notifications
from housing.records import RunResult, StepTime
from housing.settings import Settings, load_settings
from housing.sources import SOURCES
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import blobs
from housing.store.models import artifacts, promotion_log, registry
from housing.store.runs import lease, outbox, runs
from housing.training.candidates import FAMILIES

log = logging.getLogger("housing")

Unset = SkipJsonSchema[None]
"""A parameter that may be left out: in the form of the Prefect UI a field of one type, without a
switch between that type and "None"."""


def without_default(schema: dict[str, Any]) -> None:
    """Drop the default of a field that is left out by being empty."""
    del schema["default"]


class NightlyParameters(BaseModel):
    """Parameters of one run; empty ones follow the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: str | Unset = Field(
        None,
        json_schema_extra=without_default,
        title="Source",
        description=f"Where to look for fresh rows, of {', '.join(SOURCES)}; "
        "separate several with commas.",
    )
    n_trials: Annotated[int, Field(ge=1, le=10_000)] | Unset = Field(
        None, title="N Trials", json_schema_extra=without_default
    )
    """Trials of the random search."""
    strategy: Literal["random", "grid"] | Unset = Field(None, json_schema_extra=without_default)
    """Draw candidates at random, or try every combination of the families' grids."""
    families: tuple[str, ...] | Unset = Field(
        None,
        description=f"Model families to draw from: {', '.join(FAMILIES)}; all: each of them, "
        "unless HOUSING_SEARCH__FAMILIES names some.",
        json_schema_extra=without_default,
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] | Unset = Field(
        None, json_schema_extra=without_default
    )
    """Seed of the search; another seed draws other candidates."""
    dry_run: bool = Field(False, title="Dry Run")
    """Judge, but promote nothing whatever the verdict is."""

    def settings(self) -> Settings:
        """The settings of this run; SettingsInvalid where a value is impossible."""
        changed = {
            name: value
            for name in ("n_trials", "families", "seed", "strategy")
            if (value := getattr(self, name)) is not None
        }
        if self.families == ("all",):
            named = load_settings().search
            everything = tuple(name for name, family in FAMILIES.items() if family.installed)
            changed["families"] = (
                named.families if "families" in named.model_fields_set else everything
            )
        overrides: dict[str, Any] = {"search": changed}
        if self.source is not None:
            overrides["sources"] = {"names": self.source}
        return load_settings(**overrides)


@dataclass(frozen=True)
class RunContext:
    """The current run: what its steps need to know, small enough to pass between tasks."""

    id: int
    token: int
    parameters: NightlyParameters


@contextmanager
def start_run(
    kind: str, parameters: NightlyParameters, flow_run: str | None = None
) -> Iterator[RunContext]:
    """Hold the lease and a run row while the block runs; RunInProgress if the lease is taken.

    The block ends with `finish_run`, or with an exception, which the run row records.
    """
    shown = parameters.model_dump(mode="json", exclude_none=True)
    settings = load_settings()
    with open_store(settings) as store:
        try:
            token = lease.acquire(store, owner=f"the {kind} run of {runs.actor()}")
        except RunInProgress as error:
            with store.write() as connection:
                runs.record_not_begun(connection, kind, shown, "refused", str(error))
            raise
        try:
            with store.fenced(token).write() as connection:
                run = RunContext(runs.start(connection, kind, shown, flow_run), token, parameters)
                lease.set_run(connection, run.id)
            notifications.expire_approvals(store)
            notifications.report_dead_runs(store)  # of runs that died: the lease is ours
            with _recorded(store, run), lease.heartbeat(store, token):
                _must_own_its_files(store)
                _must_have_the_key(store)
                if kind in runs.RETRAINING:
                    _must_have_the_cluster(parameters.settings())
                yield run
        finally:
            lease.release(store, token)


def _must_own_its_files(store: Store) -> None:
    """NotOwned where files may be another database's; an unusable backup fails the promotion."""
    ownership.claim(store, store.blobs)
    try:
        ownership.must_own(store, store.backup)
    except NotOwned:
        raise
    except HousingError:
        log.warning("The backup %s cannot be read.", store.backup.url)


def _must_have_the_key(store: Store) -> None:
    """KeyMissing or WrongKey where the champion cannot be loaded: a run would fail at its end."""
    with store.read() as connection:
        champion = promotion_log.champion(connection)
        if champion is None:
            return
        digest = registry.model(connection, champion).artifact
        row = connection.execute(sa.select(blobs).where(blobs.c.digest == digest)).one()
    if row.signature:
        artifacts.check_signature(store, row)


def _must_have_the_cluster(settings: Settings) -> None:
    """ClusterUnavailable or ClusterDiffers where the search would fail, after the ingestion."""
    if settings.dask_address:
        from housing.training.cluster import must_be_alike

        must_be_alike(settings.dask_address, [FAMILIES[name] for name in settings.search.families])


@contextmanager
def _recorded(store: Store, run: RunContext) -> Iterator[None]:
    """Record an exception in the run row."""
    try:
        yield
    except Exception as error:
        text = str(error) if isinstance(error, HousingError) else f"{type(error).__name__}: {error}"
        runs.finish(store, run.id, "failed", error=text)
        outbox.deliver(store)
        raise
    except BaseException as error:  # Ctrl-C, or Prefect's signal of a cancellation
        text = f"{runs.interruption(error)}; the next run resumes where this one stopped"
        runs.finish(store, run.id, "cancelled", error=text)
        raise


@contextmanager
def step(run: RunContext, name: str) -> Iterator[tuple[Store, Settings]]:
    """Open the store for one step, fenced by the lease, and record the step's duration.

    The last message that the step reported as progress is recorded and logged with it.
    """
    settings = run.parameters.settings()
    messages: list[str] = []

    def listen(step: str, done: int, total: int, message: str) -> None:
        if step == name and message:
            messages.append(message)

    with open_store(settings, token=run.token) as store:
        progress.report(name, 0, 0)
        began = time.perf_counter()
        with progress.listening(listen):
            yield store, settings
        seconds = time.perf_counter() - began
        detail = messages[-1] if messages else ""
        runs.note_step(store, run.id, StepTime(name, seconds, detail))
        log.info("%s: %s (%.1f s)", name, detail or "done", seconds)
        progress.report(name, 1, 1, detail)


def finish_run(
    store: Store, run: RunContext, result: RunResult, alert: Message | None = None
) -> RunResult:
    """Record the outcome with its alert, and deliver it; returns the result with the champion."""
    champion = store.query(promotion_log.champion)
    final = replace(result, champion=champion)
    facts = {name: value for name, value in asdict(final).items() if name != "run"}
    runs.finish(store, run.id, "completed", alert=alert, **facts)
    outbox.deliver(store)
    name = "none" if champion is None else f"m{champion}"
    progress.report("finish", 1, 1, f"{final.outcome}; champion {name}")
    return final
