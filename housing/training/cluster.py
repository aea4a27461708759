"""Runs the tasks of `workers.in_parallel` on the workers of a Dask scheduler.

Data that several tasks share is sent to each worker once. When a worker dies, its tasks and the
shared data are sent again to the workers that are left.
"""

import logging
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from housing.errors import ClusterDiffers, ClusterUnavailable
from housing.training.families import ModelFamily
from housing.training.fit import installed_version, library_versions
from housing.training.scoring import FoldData

PACKAGE = "housing-nightly"
CONNECT_SECONDS = 20
ATTEMPTS = 5
"""How often a task may lose its worker before the search gives up."""


def on_cluster(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], address: str
) -> Generator[Any, None, None]:
    """Results in order of completion.

    Raises ClusterUnavailable where there is no scheduler, no worker, where workers keep dying, or
    where the scheduler is lost meanwhile.
    """
    with _client(address) as client, _loss_explained(client, address):
        running: dict[Any, tuple[int, int, int]] = {}
        # The data of each sending; older ones stay, as tasks may still wait for them.
        sent = [_scatter(client, arguments, address)]

        def submit(number: int, attempt: int) -> None:
            given = [sent[-1].get(id(each), each) for each in arguments[number]]
            future = client.submit(run_task, function, *given, pure=False, retries=ATTEMPTS)
            running[future] = number, attempt, len(sent)

        for number in range(len(arguments)):
            submit(number, 1)
        try:
            while running:
                future = _next(running)
                number, attempt, sending = running.pop(future)
                if future.status == "finished":
                    result = future.result()
                    future.release()
                    yield result
                    continue
                if not _lost(future):
                    future.result()  # raises what the task raised
                if attempt == ATTEMPTS:
                    raise ClusterUnavailable(address=address, why="its workers keep dying")
                if sending == len(sent):
                    sent.append(_scatter(client, arguments, address))
                submit(number, attempt + 1)
        finally:
            client.cancel(list(running))


@contextmanager
def _loss_explained(client: Any, address: str) -> Iterator[None]:
    """ClusterUnavailable in place of whatever follows from the loss of the scheduler."""
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (OSError, RuntimeError, CancelledError) as error:
        if client.status == "running" and not isinstance(error, CommClosedError):
            raise  # a task's own
        why = "the connection to it was lost during the run"
        raise ClusterUnavailable(address=address, why=why) from None


def must_be_alike(address: str, families: Iterable[ModelFamily]) -> None:
    """ClusterDiffers unless all workers have this Python and the libraries that `families` need.

    ClusterUnavailable where there is no scheduler or no worker.
    """
    names = [*library_versions(*(family.build(0) for family in families)), PACKAGE]
    here = _versions(names)
    with _client(address) as client, _loss_explained(client, address):
        try:
            workers = client.run(_versions, names)
        except OSError:
            raise
        except Exception as error:  # of a type that Dask lost; its text has the worker's error
            why = f"a worker cannot run this release's code ({error})"
            raise ClusterDiffers(address=address, why=why) from error
    for worker, there in sorted(workers.items()):
        differing = [f"{n} {there[n]} ({here[n]} here)" for n in names if there[n] != here[n]]
        if differing:
            why = f"the worker {worker} has {', '.join(differing)}"
            raise ClusterDiffers(address=address, why=why)


def _versions(names: Iterable[str]) -> dict[str, str]:
    return {name: installed_version(name) for name in names}


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        why = "the package distributed is not installed; `make extras` installs it"
        raise ClusterUnavailable(address=address, why=why) from error
    for name in ("distributed", "distributed.client"):  # stack traces of what is raised as well
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise ClusterUnavailable(address=address, why=why) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        client.close()
        raise ClusterUnavailable(address=address, why="it has no workers") from error
    return client


def _scatter(client: Any, arguments: Sequence[tuple[Any, ...]], address: str) -> dict[int, Any]:
    """Futures of all arrays, frames and records of them, by the id of the object."""
    data = {id(x): x for each in arguments for x in each if isinstance(x, _DATA)}
    try:
        # To every worker, so that the death of one does not take the only copy with it.
        futures = client.scatter(list(data.values()), broadcast=True, hash=False)
    except TimeoutError as error:
        raise ClusterUnavailable(address=address, why="it has no workers left") from error
    return dict(zip(data, futures, strict=True))


def _next(running: Collection[Any]) -> Any:
    """A future that has ended: finished, failed, or lost with its worker."""
    from distributed import wait
    from distributed.client import FuturesCancelledError

    wait_for: Any = wait
    with suppress(FuturesCancelledError):  # the lost one is among those that are not pending
        wait_for(list(running), return_when="FIRST_COMPLETED")
    return next(f for f in running if f.status != "pending")


def _lost(future: Any) -> bool:
    """Whether a task was lost with a worker rather than failed."""
    from distributed import KilledWorker

    return future.status in ("cancelled", "lost") or isinstance(future.exception(), KilledWorker)


_DATA = (np.ndarray, pd.DataFrame, pd.Series, FoldData)


def run_task(function: Callable[..., Any], *arguments: Any) -> Any:
    """As in a worker of this machine: one thread, and data at aligned addresses.

    Dask leaves an array where it arrived in a message. Where that is no multiple of 8, numpy sums
    in other pieces, and the last bit of the sum is another.
    """
    with threadpool_limits(limits=1):
        return function(*map(_aligned, arguments))


def _aligned(thing: Any) -> Any:
    if isinstance(thing, FoldData):
        return replace(thing, train=_aligned(thing.train), test=_aligned(thing.test))
    if isinstance(thing, np.ndarray):
        return np.require(thing, requirements=["ALIGNED"])
    return thing.copy() if isinstance(thing, pd.DataFrame | pd.Series) else thing
