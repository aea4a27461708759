"""Rollback readiness: every retained champion is loaded in a fresh process, ahead of need."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from importlib.metadata import version
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
from housing.store.models import onnx_copies, registry, retention
from housing.store.queries import not_ready
from housing.store.runs import outbox
from housing.training.candidates import FAMILIES
from housing.training.fit import library_versions

TIMEOUT_SECONDS = 600
"""For the process that loads all models; the models it does not reach are not ready."""

STALE_AFTER = timedelta(hours=20)
"""A second run on the same day, with the same libraries, does not check again."""


@dataclass(frozen=True)
class ReadinessCheck:
    """Whether a model loads and reproduces its golden predictions; `detail` gives the reason.

    The same of its ONNX copy, which is used where the model is not ready; None: there is none.
    """

    model: int
    ready: bool
    detail: str
    seconds: float
    onnx_ready: bool | None = None
    onnx_detail: str = onnx_copies.NONE

    @property
    def message(self) -> str:
        """What follows where the model is not ready."""
        return not_ready(f"m{self.model}", self.detail, self.onnx_ready)

    def notification(self) -> Message:
        """The alert about a model that is not ready."""
        return Message(Event.NOT_READY, self.message, f"m{self.model}")


def environment() -> str:
    """Digest of the library versions on which loading a model depends."""
    families = [each.build(0) for each in FAMILIES.values() if each.installed]
    known = {
        **library_versions(*families),
        "skops": version("skops"),
        "sklearn": version("scikit-learn"),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def check_readiness(store: Store, settings: Settings) -> tuple[ReadinessCheck, ...]:
    """As `check` where the settings ask for it; delivers the alerts."""
    if not settings.gate.preflight:
        return ()
    found = check(store, settings)
    outbox.deliver(store)
    return found


def check(store: Store, settings: Settings, *, force: bool = False) -> tuple[ReadinessCheck, ...]:
    """Load every retained champion in a fresh process and record the results, with alerts.

    Newest champion first.

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
        names = [field.name for field in fields(ReadinessCheck)]
        return tuple(ReadinessCheck(**{n: getattr(r, n) for n in names}) for r in rows)
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
    return checks


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
    """Have a new process load the models, then their ONNX copies; where it dies, the remaining ones
    are not ready. Copies that it did not reach are loaded by another one."""
    progress.report("check readiness", 0, len(models))
    with store.read() as connection:
        rows = [registry.model(connection, model) for model in models]
        copies = {row.id: (each, row.golden) for row in rows
                  for each in onnx_copies.digests(connection, row.id)}  # fmt: skip
        reasons = onnx_copies.reasons(connection, models)
    artifacts = [*((row.artifact, row.golden) for row in rows), *copies.values()]
    with ModelSubprocess(store, settings, artifacts) as process:
        results = process.results(TIMEOUT_SECONDS)
    found, of_copies = results[: len(rows)], results[len(rows) :]
    if any(each.not_run for each in of_copies):
        with ModelSubprocess(store, settings, [*copies.values()]) as process:
            of_copies = process.results(TIMEOUT_SECONDS)
    progress.report("check readiness", len(models), len(models))
    known = {model: _result(each) for model, each in zip(copies, of_copies, strict=True)}
    return tuple(
        ReadinessCheck(
            model, *_result(each), each.seconds,
            *known.get(model, (None, reasons.get(model, onnx_copies.NONE))),
        )
        for model, each in zip(models, found, strict=True)
    )  # fmt: skip


def _result(found: LoadCheck) -> tuple[bool, str]:
    """Whether a file can be used, and what was found."""
    if found.worst is not None:
        return True, f"golden predictions are {agreement(found.worst)}"
    return False, found.fault or found.not_run
