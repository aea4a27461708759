"""What faults are tried on: operations that change the store, as a person or a night runs them."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from unittest.mock import patch

from housing.errors import Corrupt
from housing.operations import backup as backups
from housing.operations import prune as pruning
from housing.pipeline.promote import roll_back
from housing.pipeline.run_context import NightlyParameters
from housing.settings import load_settings
from housing.store.database import engine
from housing.store.database.open import open_store
from housing.store.database.tables import utc_now
from housing.store.models import retention
from tests.fixtures.run_without_prefect import plain_run


def night() -> None:
    """One night, without the orchestrator."""
    plain_run()


def dry_night() -> None:
    """A night whose challenger is never champion."""
    plain_run(NightlyParameters(dry_run=True))


def careless_night() -> None:
    """A night whose files are not synced: what a loss of power must be seen to spoil."""
    with patch.object(os, "fsync", lambda _: None):
        plain_run()


def hasty_night() -> None:
    """A night whose database does not wait for the disk."""
    with patch.object(engine, "_PRAGMAS", (*engine._PRAGMAS, "synchronous=OFF")):
        plain_run()


def rollback() -> None:
    """Back to the champion before."""
    with open_store(load_settings()) as store:
        roll_back(store, None, "a fault is tried on it")


def backup() -> None:
    """A snapshot of the whole store."""
    settings = load_settings()
    with open_store(settings) as store:
        backups.create(store, settings)


def verify() -> None:
    """Every snapshot that is whole must be good, and there must be one."""
    settings = load_settings()
    with open_store(settings) as store:
        listed = [row["backup"] for row in backups.listing(store)]
        for snapshot in listed:
            found = backups.verify(store, snapshot)
            if not found.good:
                raise Corrupt(what=snapshot, why="; ".join(found.problems))


def prune() -> None:
    """Pruning in a hundred days, when challengers and old backups may go."""
    settings = load_settings()

    def then() -> object:
        return utc_now() + timedelta(days=100)

    with (
        open_store(settings) as store,
        patch.object(retention, "utc_now", then),
        patch.object(pruning, "utc_now", then),
    ):
        pruning.prune(store, settings)


OPERATIONS: Mapping[str, Callable[[], None]] = {
    "night": night,
    "rollback": rollback,
    "backup": backup,
    "prune": prune,
}
"""What faults are tried on."""

HELPERS: Mapping[str, Callable[[], None]] = {
    "dry night": dry_night,
    "careless night": careless_night,
    "hasty night": hasty_night,
    "verify": verify,
}
"""What prepares homes, examines them, and shows that the examination can fail."""
