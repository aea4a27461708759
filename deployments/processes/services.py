"""What `housing up` keeps running, as data, in the order in which they come up.

A part is a program of its own: its death takes no other with it. How they are watched belongs to
`supervisor`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployments.processes import prefect_access, prefect_server


@dataclass(frozen=True)
class Service:
    """A program; `is_healthy` is None if a live process is enough."""

    name: str  # as people read it
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_healthy: Callable[[], bool] | None = None
    stop_seconds: float = 15.0  # between SIGTERM and SIGKILL


RUN_STOP_SECONDS = 60.0
"""Time for a run to stop safely."""


def parts(home: Path, port: int, api_port: int, secret: str) -> tuple[Service, ...]:
    """The server first: the others ask it. Down they go the other way round."""
    url = prefect_server.api_url(port)
    client = prefect_access.client_settings(url, secret)
    logs = home / "prefect"
    module = (sys.executable, "-m")
    return (
        Service(
            "server",
            prefect_server.command(port, reports=home / "reports"),
            logs / "server.log",
            prefect_server.environment(url, secret, ui=True),
            is_healthy=lambda: prefect_server.is_healthy(url),
        ),
        Service(
            "runner",
            (*module, "deployments.processes.worker"),
            logs / "runner.log",
            {**client, "PREFECT_UI_URL": url.removesuffix("/api")},
            stop_seconds=RUN_STOP_SECONDS,
        ),
        Service("watch", (*module, "deployments.watchdog.main"), logs / "watch.log", client),
        Service(
            "prediction API",
            (*module, "deployments.processes.prediction_api_main", str(api_port)),
            logs / "predicting.log",
            is_healthy=lambda: prefect_server.is_healthy(f"http://127.0.0.1:{api_port}"),
        ),
    )
