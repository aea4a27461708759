"""Rollback readiness: each retained champion loaded in a fresh process, before anyone needs it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from sqlalchemy.engine import Row

from housing import progress
from housing.gate.evidence import LoadCheck
from housing.notify import Message, send_all
from housing.pipeline.subprocess_check import ModelSubprocess
from housing.records import Event
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import readiness_checks, utc_now
from housing.store.models import registry, retention
from housing.training.candidates import FAMILIES
from housing.training.fit import library_versions

PATIENCE_SECONDS = 600
"""For one fresh process; one that hangs makes the models it had not come to red."""

STALE_AFTER = timedelta(hours=20)
"""A second night of the same day, in the same environment, does not try again."""


@dataclass(frozen=True)
class ReadinessCheck:
    """Whether a model could be loaded and said what it said before; `detail` says why not."""

    model: int
    ready: bool
    detail: str
    seconds: float

    def notification(self) -> Message:
        """Of one that is not ready, for the team."""
        message = f"m{self.model} could not be gone back to: {self.detail}"
        return Message(Event.NOT_READY, message, f"m{self.model}")


@dataclass(frozen=True)
class RollbackReadiness:
    """What is known of the retained champions, newest first."""

    tried: tuple[ReadinessCheck, ...]

    @property
    def not_ready(self) -> tuple[ReadinessCheck, ...]:
        """Those that could not be gone back to."""
        return tuple(one for one in self.tried if not one.ready)


def environment() -> str:
    """Digest of what a model's loading depends on besides its bytes."""
    families = [each.build(0) for each in FAMILIES.values() if each.installed]
    known = {
        **library_versions(*families),
        "skops": version("skops"),
        "sklearn": version("scikit-learn"),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def check(store: Store, settings: Settings, *, force: bool = False) -> RollbackReadiness:
    """Try every retained champion and record the answers.

    Unless `force`, nothing is tried where all were, and were ready, less than `STALE_AFTER` ago in
    this environment.
    """
    here = environment()
    with store.read() as connection:
        policy = settings.retention
        models = retention.champions(connection, policy, policy.days)
        known = retention.trials(connection)
    if not models or not (force or _stale(models, known, here)):
        rows = (known[model] for model in models)
        return RollbackReadiness(
            tuple(ReadinessCheck(r.model, r.ready, r.detail, r.seconds) for r in rows)
        )
    tried = in_fresh_process(store, settings, models)
    with store.write() as connection:
        for one in tried:
            connection.execute(
                readiness_checks.insert().values(
                    model=one.model,
                    ready=one.ready,
                    detail=one.detail,
                    seconds=one.seconds,
                    environment=here,
                    checked_at=utc_now(),
                )
            )
    return RollbackReadiness(tuple(tried))


def check_readiness(store: Store, settings: Settings) -> RollbackReadiness:
    """As `check`, unless a setting says not to; the team is told of each red one. Fails nothing."""
    if not settings.gate.preflight:
        return RollbackReadiness(())
    found = check(store, settings)
    for one in found.not_ready:
        send_all(one.notification(), settings.notify)
    return found


def _stale(models: Sequence[int], known: dict[int, Row[Any]], here: str) -> bool:
    since = utc_now() - STALE_AFTER
    return any(
        (row := known.get(model)) is None
        or not row.ready
        or row.environment != here
        or row.checked_at < since
        for model in models
    )


def in_fresh_process(
    store: Store, settings: Settings, models: Sequence[int]
) -> list[ReadinessCheck]:
    """Have a new process load the models; one that dies leaves the rest not ready."""
    progress.report("check readiness", 0, len(models))
    with store.read() as connection:
        rows = [registry.model(connection, model) for model in models]
    rehearsal = ModelSubprocess(store, settings, [(row.artifact, row.golden) for row in rows])
    try:
        found = rehearsal.answers(PATIENCE_SECONDS)
    finally:
        rehearsal.stop()
    progress.report("check readiness", len(models), len(models))
    return [_as_tried(model, one) for model, one in zip(models, found, strict=True)]


def _as_tried(model: int, found: LoadCheck) -> ReadinessCheck:
    if found.worst is not None:
        detail = f"golden predictions within {found.worst:.1e}"
        return ReadinessCheck(model, True, detail, found.seconds)
    return ReadinessCheck(model, False, found.fault or found.not_run, found.seconds)
