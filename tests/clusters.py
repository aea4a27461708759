"""A real Dask scheduler and workers, each a process of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dask(kind: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `dask scheduler` or `dask worker` until the block ends."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOUSING_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_" + kind, *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**kept, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


@contextmanager
def worker(address: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of one thread."""
    with dask("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") as process:
        yield process


@contextmanager
def a_scheduler() -> Iterator[str]:
    """A scheduler's address."""
    port = free_port()
    with dask("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"):
        yield f"tcp://127.0.0.1:{port}"


def two_workers(address: str) -> None:
    """Wait until both are there."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
