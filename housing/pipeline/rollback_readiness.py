"""Rollback readiness: every retained champion is loaded in a fresh process, ahead of need."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.metadata import version
from itertools import starmap
from typing import Any

from sqlalchemy.engine import Row

from housing import progress
from housing.formatting import agreement
from housing.gate.evidence import LoadCheck
from housing.notify import Message
from housing.pipeline.subprocess_check import ModelSubprocess
from housing.records import Event
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import readiness_checks, utc_now
from housing.store.models import registry, retention
from housing.store.runs import outbox
from housing.training.candidates import FAMILIES
from housing.training.fit import library_versions

TIMEOUT_SECONDS = 600
"""For the process that loads all models; the models it does not reach are not ready."""

STALE_AFTER = timedelta(hours=20)
"""A second run on the same day, with the same libraries, does not check again."""


@dataclass(frozen=True)
class ReadinessCheck:
    """Whether a model loads and reproduces its golden predictions; `detail` gives the reason."""

    model: int
    ready: bool
    detail: str
    seconds: float

    def notification(self) -> Message:
        """The alert about a model that is not ready."""
        message = f"Rollback to m{self.model} would fail: {self.detail}"
        return Message(Event.NOT_READY, message, f"m{self.model}")


@dataclass(frozen=True)
class RollbackReadiness:
    """The last check of each retained champion, newest champion first."""

    checks: tuple[ReadinessCheck, ...]

    @property
    def not_ready(self) -> tuple[ReadinessCheck, ...]:
        """Models to which a rollback would fail."""
        return tuple(check for check in self.checks if not check.ready)


def environment() -> str:
    """Digest of the library versions on which loading a model depends."""
    families = [each.build(0) for each in FAMILIES.values() if each.installed]
    known = {
        **library_versions(*families),
        "skops": version("skops"),
        "sklearn": version("scikit-learn"),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def check_readiness(store: Store, settings: Settings) -> RollbackReadiness:
    """As `check` where the settings ask for it; delivers the alerts."""
    if not settings.gate.preflight:
        return RollbackReadiness(())
    found = check(store, settings)
    outbox.deliver(store)
    return found


def check(store: Store, settings: Settings, *, force: bool = False) -> RollbackReadiness:
    """Load every retained champion in a fresh process and record the results, with alerts.

    An alert about a model that is not ready is sent once for each cause, until it is ready again.
    Unless `force`, the recorded results are returned where all models were ready less than
    `STALE_AFTER` ago with the same libraries.
    """
    here = environment()
    with store.read() as connection:
        models = retention.champions(connection, settings.retention, settings.retention.days)
        known = retention.readiness_by_model(connection)
    if not force and all(_is_fresh(known.get(model), here) for model in models):
        rows = (known[model] for model in models)
        checks = tuple(ReadinessCheck(r.model, r.ready, r.detail, r.seconds) for r in rows)
        return RollbackReadiness(checks)
    checks = in_fresh_process(store, settings, models) if models else ()
    with store.write() as connection:
        for each in checks:
            facts = {**asdict(each), "environment": here, "checked_at": utc_now()}
            connection.execute(readiness_checks.insert().values(**facts))
            about = registry.model(connection, each.model).artifact
            if each.ready:
                outbox.resolve(connection, Event.NOT_READY, about)
            else:
                outbox.add(connection, store, each.notification(), about, each.detail)
    return RollbackReadiness(checks)


def _is_fresh(row: Row[Any] | None, here: str) -> bool:
    return (
        row is not None
        and row.ready
        and row.environment == here
        and row.checked_at >= utc_now() - STALE_AFTER
    )


def in_fresh_process(
    store: Store, settings: Settings, models: Sequence[int]
) -> tuple[ReadinessCheck, ...]:
    """Have a new process load the models; where it dies, the remaining ones are not ready."""
    progress.report("check readiness", 0, len(models))
    with store.read() as connection:
        rows = [registry.model(connection, model) for model in models]
    artifacts = [(row.artifact, row.golden) for row in rows]
    with ModelSubprocess(store, settings, artifacts) as process:
        found = process.results(TIMEOUT_SECONDS)
    progress.report("check readiness", len(models), len(models))
    return tuple(starmap(_of_load_check, zip(models, found, strict=True)))


def _of_load_check(model: int, found: LoadCheck) -> ReadinessCheck:
    ready = found.worst is not None
    detail = "" if found.worst is None else f"golden predictions are {agreement(found.worst)}"
    return ReadinessCheck(model, ready, detail or found.fault or found.not_run, found.seconds)
