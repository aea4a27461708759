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
from flows.nightly import nightly
from flows.rollback import rollback
from housing.settings import Settings


@dataclass(frozen=True)
class Deployment:
    """A flow that can be started by hand and, where it has a `schedule`, by the clock."""

    name: str
    flow: Flow[Any, Any]
    schedule: Callable[[Settings], str] | None = None  # a cron expression of the settings
    parameters: tuple[tuple[str, Any], ...] = ()

    def build(self, settings: Settings) -> RunnerDeployment:
        """What the orchestrator is told."""
        cron = None if self.schedule is None else self.schedule(settings)
        return self.flow.to_deployment(
            name=self.name,
            schedule=Cron(cron, timezone=settings.timezone) if cron else None,
            description=self.flow.description,
            tags=["housing", self.name],
            parameters=dict(self.parameters),
            enforce_parameter_schema=True,
        )  # type: ignore[return-value]


DEPLOYMENTS: tuple[Deployment, ...] = (
    Deployment("nightly", nightly, lambda s: s.schedule, parameters=(("parameters", {}),)),
    Deployment("rollback", rollback),
    Deployment("backfill", backfill, parameters=(("parameters", {}),)),
)
