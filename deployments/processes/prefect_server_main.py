"""The Prefect server's process: `python -m deployments.processes.prefect_server_main --port N`.

Prefect's own app, with the runs' reports beside it. Nothing of the domain is imported here: the
time until it answers is what a run without a running server waits for.
"""

import argparse
import gc
import sys
from typing import Any

from deployments.processes.child_process import exit_with_parent


def main() -> None:
    """Serve until SIGTERM."""
    exit_with_parent()
    parser = argparse.ArgumentParser(prog="python -m deployments.processes.prefect_server_main")
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--reports", action="store_true", help="Show the runs' reports too.")
    chosen = parser.parse_args()
    # A few thousand modules come in and none goes: looking for garbage meanwhile costs a fifth.
    gc.disable()
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    from deployments.processes.prefect_middleware import guarded, with_reports

    app: Any = create_app()
    gc.freeze()
    gc.enable()
    api = get_current_settings().server.api
    secret = None if api.auth_string is None else api.auth_string.get_secret_value()
    if chosen.reports:
        app = with_reports(app, secret)
    try:
        ui = get_current_settings().server.ui
        app = guarded(app, chosen.host, secret, api.cors_allowed_origins, ui.api_url or "")
    except ValueError as error:
        sys.exit(str(error))
    uvicorn.run(
        app,
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        lifespan="on",
        # A browser keeps its event stream open for as long as it is there; it is not waited for.
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
