"""`housing up`: the server and the runner as child processes, in order up and in reverse down."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deployments import server as servers
from deployments.server import Server
from housing.errors import HousingError

STOP_SECONDS = 60.0
"""A running night gets this long to stop safely before it is killed."""

PORT = 4200


class PortTaken(HousingError):
    """Another program listens where the server should."""

    template = "Port {port} is taken. Stop what listens there, or use `housing up --port N`."


def up(home: Path, port: int, say: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM; then the runner stops first, and the server last."""
    if not _free(port):
        raise PortTaken(port=port)
    stopping = _catch_signals()
    say("Starting the Prefect server (some 10 s) ...")
    server = servers.start(home, port=port, ui=True)
    runner: subprocess.Popen[bytes] | None = None
    try:
        server.wait_until_ready()
        servers.announce(home, server.url)
        runner = _start_runner(server)
        ui = server.url.removesuffix("/api")
        say(f"Prefect UI:  {ui}")
        say(f"Deployments: {ui}/v2/deployments  (nightly, rollback, backfill)")
        say("Ctrl-C stops everything.")
        while not stopping():
            time.sleep(0.2)
            for name, process in (("server", server.process), ("runner", runner)):
                if process.poll() is not None:
                    say(f"The {name} ended with code {process.returncode}; stopping.")
                    raise servers.ServerUnavailable(
                        url=server.url,
                        why=f"the {name} ended",
                        next_step=f"Its log is in {server.log.parent}; run `housing up` again.",
                    )
    finally:
        say("Stopping ...")
        if runner is not None:
            _stop(runner)
        servers.withdraw(home)
        server.stop()
        say("Stopped.")


def _start_runner(server: Server) -> subprocess.Popen[bytes]:
    log = server.log.with_name("runner.log")
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "deployments.runner"],
            env={**os.environ, "PREFECT_API_URL": server.url},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _catch_signals() -> Callable[[], bool]:
    """Note SIGINT and SIGTERM instead of dying of them; returns whether one came."""
    came: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: came.append(received))
    return lambda: bool(came)


def _free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
