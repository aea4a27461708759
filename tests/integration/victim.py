"""A night in a child process that dies, or is interrupted, at a chosen point."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from housing import progress
from housing.steps.night import NightlyParameters
from housing.training.candidates import CANDIDATES
from tests.nights import small_forest
from tests.plain_nights import plain_night


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
    """Run one night with only these settings; exit code 0 done, 3 interrupted.

    Under the orchestrator where the settings name its server, else the same steps without it.
    """
    _only(environment)
    CANDIDATES["forest"] = small_forest()  # type: ignore[index]
    strike = _Striker(blow)
    event.listen(Engine, "commit", strike.before_commit)
    night = _under_prefect if "PREFECT_API_URL" in environment else plain_night
    with progress.heard_by(strike.at_step):
        try:
            night(NightlyParameters())
        except KeyboardInterrupt:
            os._exit(3)
    os._exit(0)


def _only(environment: dict[str, str]) -> None:
    """Not those of whichever test was first to start the fork server: it keeps them for the
    session, and a night would use that test's database and find models of another home's key."""
    for name in [n for n in os.environ if n.startswith(("HOUSING_", "PREFECT_"))]:
        del os.environ[name]
    os.environ.update(environment)
    os.chdir(environment["HOUSING_HOME"])  # nor its .env


def _under_prefect(parameters: NightlyParameters) -> None:
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_LOGGING_LEVEL,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
        temporary_settings,
    )

    from flows.nightly import nightly

    changed: dict[Any, Any] = {
        PREFECT_API_AUTH_STRING: os.environ["PREFECT_API_AUTH_STRING"],
        PREFECT_API_URL: os.environ["PREFECT_API_URL"],
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
        PREFECT_LOGGING_LEVEL: "CRITICAL",
    }
    with temporary_settings(changed):
        nightly(parameters)


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
