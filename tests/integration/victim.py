"""A night in a child process that dies, or is interrupted, at a chosen point."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from flows.nightly import nightly
from housing import progress
from housing.steps.night import NightlyParameters
from housing.training.candidates import CANDIDATES
from tests.nights import small_forest


@dataclass(frozen=True)
class Blow:
    """What hits the night: `number` (a signal) in `step`, at its `commit`-th commit.

    Commit 0 is the moment at which the step begins, 1 just before its first commit, and so on.
    Without `step`, commits are counted over the whole night.
    """

    number: int
    step: str | None
    commit: int


def run(environment: dict[str, str], blow: Blow | None) -> None:
    """Run one night; returns only if nothing hit it. Exit code 0 done, 3 interrupted."""
    os.environ.update(environment)
    CANDIDATES["forest"] = small_forest()  # type: ignore[index]
    strike = _Striker(blow)
    event.listen(Engine, "commit", strike.before_commit)
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_LOGGING_LEVEL,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
        temporary_settings,
    )

    changed: dict[Any, Any] = {
        PREFECT_API_AUTH_STRING: environment["PREFECT_API_AUTH_STRING"],
        PREFECT_API_URL: environment["PREFECT_API_URL"],
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
        PREFECT_LOGGING_LEVEL: "CRITICAL",
    }
    with temporary_settings(changed), progress.heard_by(strike.at_step):
        try:
            nightly(NightlyParameters())
        except KeyboardInterrupt:
            os._exit(3)
    os._exit(0)


class _Striker:
    def __init__(self, blow: Blow | None) -> None:
        self.blow = blow
        self.step: str | None = None
        self.commits = 0

    def at_step(self, step: str, done: int, total: int, message: str) -> None:
        if step != self.step:
            self.step = step
            if self.blow is not None and self.blow.step is not None:
                self.commits = 0
            self._maybe()

    def before_commit(self, connection: Any) -> None:
        if threading.current_thread().name == "lease-heartbeat":
            return  # it beats when it likes; the blow must fall at the same place each time
        if connection.get_execution_options().get("housing_write"):
            self.commits += 1
            self._maybe()

    def _maybe(self) -> None:
        blow = self.blow
        if blow is None or self.commits != blow.commit or blow.step not in (None, self.step):
            return
        self.blow = None
        os.kill(os.getpid(), blow.number)
        if blow.number == signal.SIGKILL:
            signal.pause()


Runner = Callable[[dict[str, str], Blow | None], int]
