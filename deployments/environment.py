"""Prefect's environment variables; they must be set before Prefect is imported.

It gets a home of its own inside HOUSING_HOME, so that another Prefect of the developer's is not
changed, and does not connect to the internet. Values that a user has set win.
"""

import os
from pathlib import Path

from housing.store.objects.filesystem import make_writable


def prepare(home: Path, *, quiet: bool = False) -> None:
    """Set defaults for this process and its children; `quiet` keeps its log off the terminal."""
    folder = home / "prefect"
    make_writable(home)
    make_writable(folder)
    defaults = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        # Of Prefect's own database: runs that have ended, with their logs and artifacts.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 60 * 60),
    }
    if quiet:
        defaults["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    os.environ["HOUSING_HOME"] = str(home)  # a child may have another working folder
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
