"""How the prediction API is run: uvicorn with one or several workers, and what it may bind to.

The application is `housing.serving.app`. Kept apart from the command line, which only says what
to run: `python -m deployments.processes.prediction_api PORT` is the service of `housing up`.
"""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from housing.errors import HousingError, NotPossible
from housing.serving.origins import is_loopback
from housing.settings import Settings, load_settings

if TYPE_CHECKING:
    import uvicorn

APP = "housing.serving.app:create_app"
BACKLOG = 1024
GRACE_SECONDS = 10
"""Requests under way get this long when the server is stopped."""


class PortTaken(HousingError):
    """Another program listens where the server should."""

    template = "Cannot listen on {host}:{port}: {why}. Name another port with `{option} N`."


def serve(
    settings: Settings,
    port: int,
    say: Callable[[str], None],
    *,
    host: str = "127.0.0.1",
    workers: int = 1,
    without_token: bool = False,
) -> None:
    """Run until SIGINT or SIGTERM; NotPossible or PortTaken where it cannot start.

    `without_token` lets other hosts use it although there is no token.
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from housing.store.database.open import open_store

    if settings.serve.token is None and not without_token and not is_loopback(host):
        raise NotPossible(
            what=f"Serving on {host}",
            why="other hosts could send requests, and HOUSING_SERVE__TOKEN is not set. Set it, or "
            "add --without-token to allow that.",
        )
    with open_store(settings):
        pass  # a fault of the store is reported once, before any worker starts
    listening = listen(host, port, "housing serve --port")
    say(f"http://{f'[{host}]' if ':' in host else host}:{port}  (Ctrl-C stops it)")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = config_of(settings, workers)
    with listening:
        if workers == 1:
            uvicorn.Server(config).run(sockets=[listening])
            return
        with tempfile.TemporaryDirectory(prefix="housing-metrics-") as shared:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared  # read when workers import the client
            Multiprocess(config, sockets=[listening]).run()


def config_of(settings: Settings, workers: int = 1, app: Any = APP) -> "uvicorn.Config":
    """How uvicorn is set; the same for a worker of many and for the only one."""
    import uvicorn

    from housing.serving.header_timeout import HeaderTimeoutProtocol

    options = settings.serve
    return uvicorn.Config(
        app,
        factory=True,
        loop="asyncio",
        http=partial(HeaderTimeoutProtocol, header_seconds=options.header_seconds),  # type: ignore[arg-type]
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=options.max_connections,
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="on",
        ws="none",
    )


def listen(host: str, port: int, option: str) -> socket.socket:
    """A listening socket; PortTaken, which names the option for another port."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        both = family is socket.AF_INET6 and socket.has_dualstack_ipv6()
        made = socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise PortTaken(host=host, port=port, why=why, option=option) from error
    # Named as TCP, or asyncio leaves Nagle's algorithm on and each answer waits 40 ms.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, made.detach())


def main() -> None:
    """Answer on loopback until SIGTERM."""
    from deployments.processes.child_process import exit_with_parent

    exit_with_parent()
    serve(load_settings(), int(sys.argv[1]), print)


if __name__ == "__main__":
    main()
