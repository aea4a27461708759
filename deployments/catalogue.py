"""The deployments, as data: what can be run from the UI and on a schedule, and how.

What a flow does belongs to `flows`; how deployments are served, to `runner`.
"""

from dataclasses import dataclass
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

from flows.backfill import backfill
from flows.nightly import nightly
from flows.rollback import rollback
from housing.settings import Settings

ONE_AT_A_TIME = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
)


@dataclass(frozen=True)
class Deployment:
    """A flow that can be started by hand and, where `scheduled`, by the clock."""

    name: str
    flow: Flow[Any, Any]
    scheduled: bool = False
    parameters: tuple[tuple[str, Any], ...] = ()

    def build(self, settings: Settings) -> RunnerDeployment:
        """What the orchestrator is told."""
        schedule = Cron(settings.schedule, timezone=settings.timezone) if self.scheduled else None
        return self.flow.to_deployment(
            name=self.name,
            schedule=schedule,
            description=self.flow.description,
            tags=["housing"],
            parameters=dict(self.parameters),
            concurrency_limit=ONE_AT_A_TIME,
            enforce_parameter_schema=True,
        )  # type: ignore[return-value]


DEPLOYMENTS: tuple[Deployment, ...] = (
    Deployment("nightly", nightly, scheduled=True, parameters=(("parameters", {}),)),
    Deployment("rollback", rollback),
    Deployment("backfill", backfill, parameters=(("parameters", {}),)),
)
