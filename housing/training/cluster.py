"""The work of `workers.in_parallel` on the workers of a Dask scheduler.

Data that several tasks share travel to the scheduler's workers once. A worker that dies takes its
tasks and its copies of the data with it; both are sent again, to those that are left.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any

from threadpoolctl import threadpool_limits

from housing.errors import ClusterUnavailable

CONNECT_SECONDS = 20
ATTEMPTS = 5
"""How often a task may lose its worker before it is taken for the cause."""


def on_cluster(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], address: str
) -> Generator[Any, None, None]:
    """Results as they come; ClusterUnavailable where there is no scheduler or no worker left."""
    with _client(address) as client:
        shared = _Shared(client)
        attempts = dict.fromkeys(range(len(arguments)), 0)
        running = {_submit(client, shared, function, arguments[i]): (i, 0) for i in attempts}
        try:
            while running:
                future = _next(running)
                number, sent = running.pop(future)
                if future.status == "finished":
                    result = future.result()
                    future.release()
                    yield result
                    continue
                attempts[number] += 1
                if attempts[number] >= ATTEMPTS or not _lost(future):
                    future.result()  # raises what the task raised
                    raise ClusterUnavailable(address=address, why="its workers keep dying")
                shared.forget(sent)
                again = _submit(client, shared, function, arguments[number])
                running[again] = number, shared.sending
        finally:
            for future in running:
                future.cancel()


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        why = "the package is not installed: pip install 'housing-nightly[dask]'"
        raise ClusterUnavailable(address=address, why=why) from error
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


def _next(running: dict[Any, tuple[int, int]]) -> Any:
    """A future that has come to an end: finished, failed, or lost with its worker."""
    from distributed import wait
    from distributed.client import FuturesCancelledError

    wait_for: Any = wait
    with suppress(FuturesCancelledError):  # the lost one is among those looked at next
        wait_for(list(running), return_when="FIRST_COMPLETED")
    return next(f for f in running if f.status != "pending")


def _lost(future: Any) -> bool:
    """Whether a task was lost with a worker rather than failed."""
    from distributed import KilledWorker

    return future.status in ("cancelled", "lost") or isinstance(future.exception(), KilledWorker)


class _Shared:
    """Arguments that are worth sending once: whatever is larger than a small record."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sent: dict[int, tuple[Any, Any]] = {}  # id -> the object, kept alive, and its future
        self._old: list[Any] = []  # what was sent before: tasks that wait for it shall not lose it
        self.sending = 0

    def forget(self, sending: int) -> None:
        """What was sent the `sending`-th time may be lost: send it again when it is next wanted."""
        if sending == self.sending:
            self._old.append(self._sent)
            self._sent = {}
            self.sending += 1

    def __call__(self, thing: Any) -> Any:
        if not _is_data(thing):
            return thing
        if id(thing) not in self._sent:
            # On every worker, so that the death of one does not take the only copy with it.
            sent = self._client.scatter(thing, broadcast=True, hash=False)
            self._sent[id(thing)] = (thing, sent)
        return self._sent[id(thing)][1]


def _is_data(thing: Any) -> bool:
    """Arrays, frames and records of them."""
    return hasattr(thing, "shape") or hasattr(thing, "train")


def _submit(
    client: Any, shared: _Shared, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    given = [shared(each) for each in arguments]
    return client.submit(_alone, function, *given, pure=False, retries=ATTEMPTS)


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """As in a worker of this machine: one thread inside, so that sums are the same sums."""
    with threadpool_limits(limits=1):
        return function(*arguments)
