"""The deployments, as data: what can be run from the UI and on a schedule, and how.

What a flow does belongs to `flows`; how deployments are served, to `runner`. That only one night
runs at a time is seen to by our own lease and not by Prefect's limits: docs/decisions says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

from flows.backfill import backfill
from flows.decisions import approval, rollback
from flows.maintenance import backup, monitor, prune
from flows.nightly import nightly
from housing.schedules import OFF
from housing.settings import Settings
from tasks.run_labels import TAG


@dataclass(frozen=True)
class Deployment:
    """A flow that can be started by hand and, where it has a `schedule`, by the clock."""

    name: str
    flow: Flow[Any, Any]
    schedule: Callable[[Settings], str] | None = None  # a cron expression of the settings, or off
    parameters: Callable[[Settings], dict[str, Any]] | None = None  # those of the flow's model

    def build(self, settings: Settings) -> RunnerDeployment:
        """The deployment, as Prefect needs it."""
        cron = OFF if self.schedule is None else self.schedule(settings)
        return self.flow.to_deployment(
            name=self.name,
            schedule=None if cron == OFF else Cron(cron, timezone=settings.schedules.timezone),
            description=self.flow.description,
            tags=[TAG, self.name],
            parameters={"parameters": self.parameters(settings)} if self.parameters else {},
            enforce_parameter_schema=True,
        )  # type: ignore[return-value]


DEPLOYMENTS: tuple[Deployment, ...] = (
    Deployment("nightly", nightly, lambda s: s.schedules.retrain, lambda _: {}),
    Deployment(
        "search",
        nightly,
        lambda s: s.schedules.search,
        lambda s: {"n_trials": s.schedules.full_search_trials},
    ),
    Deployment("backfill", backfill, None, lambda _: {}),
    Deployment("rollback", rollback),
    Deployment("approval", approval),
    Deployment("monitor", monitor, lambda s: s.schedules.monitor),
    Deployment("backup", backup, lambda s: s.schedules.backup),
    Deployment("prune", prune, lambda s: s.schedules.prune),
)
