"""The deployments, as data: what can be run from the UI and on a schedule, and how.

What a flow does belongs to `flows`; how deployments are served, to `worker`. For a work pool of
another Prefect server, `python -m deployments.definitions` prints prefect.yaml.
Our own lease, and not a limit of Prefect's, lets one run train at a time (docs/decisions).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

from flows.backfill import backfill
from flows.decisions import approval, rollback
from flows.maintenance import backup, mirror, monitor, prune
from flows.nightly import nightly
from housing.schedules import OFF, Schedules
from housing.settings import load_settings
from tasks.run_labels import TAG

HEARTBEAT, HEARTBEAT_SECONDS = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30"
"""Of runs; twice as often as HOUSING_NOTIFY__SILENT_AFTER_MINUTES can be."""

WORK_POOL = {"name": "housing", "job_variables": {"env": {HEARTBEAT: HEARTBEAT_SECONDS}}}


@dataclass(frozen=True)
class Deployment:
    """A flow that can be started by hand and, where it has a `schedule`, by the clock."""

    name: str
    flow: Flow[Any, Any]
    schedule: Callable[[Schedules], str] = lambda _: OFF  # a cron expression, or off
    parameters: Callable[[Schedules], dict[str, Any]] | None = None  # those of the flow's model

    def build(self, schedules: Schedules) -> RunnerDeployment:
        """The deployment, as Prefect's runner needs it."""
        cron = self.schedule(schedules)
        schedule = None if cron == OFF else Cron(cron, timezone=schedules.timezone)
        return self.flow.to_deployment(schedule=schedule, **self._fields(schedules))  # type: ignore[return-value]

    def entry(self, schedules: Schedules) -> dict[str, Any]:
        """The deployment, as `prefect deploy` reads it from prefect.yaml."""
        cron = self.schedule(schedules)
        return {
            **self._fields(schedules),
            "entrypoint": f"{self.flow.fn.__module__}.{self.flow.name}",
            "schedules": [{"cron": cron, "timezone": schedules.timezone}][: cron != OFF],
            "work_pool": WORK_POOL,
        }

    def _fields(self, schedules: Schedules) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.flow.description,
            "tags": [TAG, self.name],
            "parameters": {"parameters": self.parameters(schedules)} if self.parameters else {},
            "enforce_parameter_schema": True,
        }


DEPLOYMENTS: tuple[Deployment, ...] = (
    Deployment("nightly", nightly, lambda s: s.retrain, lambda _: {}),
    Deployment(
        "search",
        nightly,
        lambda s: s.search,
        lambda s: {"n_trials": s.full_search_trials, "families": ["all"]},
    ),
    Deployment("backfill", backfill, parameters=lambda _: {}),
    Deployment("rollback", rollback),
    Deployment("approval", approval),
    Deployment("monitor", monitor, lambda s: s.monitor),
    Deployment("backup", backup, lambda s: s.backup),
    Deployment("prune", prune, lambda s: s.prune),
    Deployment("mirror", mirror, lambda s: s.mirror),
)


def prefect_yaml(schedules: Schedules) -> str:
    """prefect.yaml, which `prefect deploy --all` reads; flows are imported from the package."""
    about = (
        "# Made by `make docs`. `python -m deployments.definitions` prints it by the settings.\n"
    )
    content = {
        "name": "housing",
        "definitions": {"work_pool": WORK_POOL},
        "pull": [],  # the environment, or the image, of the work pool holds the package
        "deployments": [deployment.entry(schedules) for deployment in DEPLOYMENTS],
    }
    return about + yaml.safe_dump(content, sort_keys=False, width=100)


if __name__ == "__main__":
    print(prefect_yaml(load_settings().schedules), end="")  # noqa: T201 - what it is for
