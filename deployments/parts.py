"""What `housing up` keeps running, as data, in the order in which they come up.

A part is a program of its own: its death takes no other with it. How they are watched belongs to
`supervisor`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployments import access, server


@dataclass(frozen=True)
class Part:
    """A program; `answers` says whether it is at work, None where being alive says so."""

    name: str  # as people read it
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: Callable[[], bool] | None = None
    stop_seconds: float = 15.0  # of patience after SIGTERM, before it is killed


NIGHT_SECONDS = 60.0
"""A running night gets this long to stop safely."""


def parts(home: Path, port: int, api_port: int, secret: str) -> tuple[Part, ...]:
    """The server first: the others ask it. Down they go the other way round."""
    url = server.api_url(port)
    client = access.client_settings(url, secret)
    logs = home / "prefect"
    module = (sys.executable, "-m")
    return (
        Part(
            "server",
            server.command(port, reports=home / "reports"),
            logs / "server.log",
            server.environment(url, secret, ui=True),
            answers=lambda: server.answers(url),
        ),
        Part(
            "runner",
            (*module, "deployments.runner"),
            logs / "runner.log",
            {**client, "PREFECT_UI_URL": url.removesuffix("/api")},
            stop_seconds=NIGHT_SECONDS,
        ),
        Part("watch", (*module, "deployments.watch"), logs / "watch.log", client),
        Part(
            "prediction API",
            (*module, "deployments.predicting", str(api_port)),
            logs / "predicting.log",
            answers=lambda: server.answers(f"http://127.0.0.1:{api_port}"),
        ),
    )
