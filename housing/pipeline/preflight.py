"""The challenger's stored artifact tried in a fresh process, beside what the night measures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from housing.pipeline.subprocess_check import ModelSubprocess
from housing.settings import Settings
from housing.store.database.engine import Store

TIMEOUT_SECONDS = 120.0


@contextmanager
def preflight(store: Store, settings: Settings, model: Any) -> Iterator[ModelSubprocess | None]:
    """Begin it beside what the block does; None where the policy does not ask for one.

    `model` is a row of models. OSError where no process can be started.
    """
    if not settings.gate.preflight:
        yield None
        return
    begun = ModelSubprocess(store, settings, [(model.artifact, model.golden)])
    try:
        yield begun
    finally:
        begun.stop()
