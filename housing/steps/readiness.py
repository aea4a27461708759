"""Rollback readiness: each retained champion loaded in a fresh process, before anyone needs it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from sqlalchemy.engine import Row

from housing import progress
from housing.notify import Message, send_all
from housing.settings import Settings
from housing.steps.rehearsal import Tried
from housing.store import retained
from housing.store.engine import Store
from housing.store.tables import readiness, utc_now
from housing.training.fit import library_versions

PATIENCE_SECONDS = 600
"""For one fresh process; one that hangs makes the models it had not come to red."""

STALE_AFTER = timedelta(hours=20)
"""A second night of the same day, in the same environment, does not try again."""


@dataclass(frozen=True)
class Ready:
    """What is known of the retained champions, newest first."""

    tried: tuple[Tried, ...]

    @property
    def red(self) -> tuple[Tried, ...]:
        """Those that could not be gone back to."""
        return tuple(one for one in self.tried if not one.ready)


def environment() -> str:
    """Digest of what a model's loading depends on besides its bytes."""
    known = {**library_versions(), "skops": version("skops"), "sklearn": version("scikit-learn")}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def check(store: Store, settings: Settings, *, anew: bool = False) -> Ready:
    """Try every retained champion and record the answers.

    Unless `anew`, nothing is tried where all were, and were ready, less than `STALE_AFTER` ago in
    this environment.
    """
    here = environment()
    with store.read() as connection:
        policy = settings.retention
        models = retained.champions(connection, policy, policy.days)
        known = retained.trials(connection)
    if not models or not (anew or _stale(models, known, here)):
        rows = (known[model] for model in models)
        return Ready(tuple(Tried(r.model, r.ready, r.detail, r.seconds) for r in rows))
    tried = in_fresh_process(settings, models)
    with store.write() as connection:
        for one in tried:
            connection.execute(
                readiness.insert().values(
                    model=one.model,
                    ready=one.ready,
                    detail=one.detail,
                    seconds=one.seconds,
                    environment=here,
                    checked_at=utc_now(),
                )
            )
    return Ready(tuple(tried))


def check_and_tell(store: Store, settings: Settings) -> Ready:
    """As `check`, unless a setting says not to; the team is told of each red one. Fails nothing."""
    if not settings.retention.try_champions:
        return Ready(())
    found = check(store, settings)
    for one in found.red:
        sentence = f"m{one.model} could not be gone back to: {one.detail}"
        send_all(Message("not ready", sentence, f"m{one.model}"), settings.notify)
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


def in_fresh_process(settings: Settings, models: Sequence[int]) -> list[Tried]:
    """Have a new process load the models; one that dies leaves the rest not ready."""
    progress.report("readiness", 0, len(models))
    asked = {
        "models": list(models),
        "home": str(settings.home),
        "database_url": settings.database_url.get_secret_value(),
        "blob_url": settings.blob_url,
        "backup_url": settings.backup_url,
    }
    if settings.signing_key is not None:
        asked["signing_key"] = settings.signing_key.get_secret_value()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "housing.steps.rehearsal"],
            input=json.dumps(asked),  # no secret stands in a process list
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        said, ended = done.stdout, f"ended with code {done.returncode}: {done.stderr[-300:]}"
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        ended = f"did not answer within {PATIENCE_SECONDS} s"
    found = {one.model: one for one in map(_tried, said.splitlines())}
    progress.report("readiness", len(models), len(models))
    missing = f"the fresh process {ended}"
    return [found.get(model, Tried(model, False, missing, 0.0)) for model in models]


def _tried(line: str) -> Tried:
    return Tried(**json.loads(line))
