"""Operations in processes of their own that stop at a named point until they are let go, or killed.

A point is a function that the operation calls: the process says over a pipe that it is there, and
waits. So two operations are interleaved the same way each time, however busy the machine is.
"""

import importlib
import multiprocessing
import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

from housing.errors import HousingError
from housing.settings import load_settings
from housing.sources.simulated.scenarios import simulate
from housing.steps import backup, heal, intake, prune, reproduce
from housing.store import predictions, retained
from housing.store.opening import open_store
from housing.store.tables import utc_now
from housing.training.candidates import CANDIDATES
from tests.nights import small_forest

PATIENCE = 120
"""Seconds after which a process that says nothing hangs."""

LATER = timedelta(days=100)
"""How far ahead the clock of whoever prunes is: the age of a file protects it from nothing."""


@dataclass(frozen=True)
class Point:
    """Just before, or just after, a function is called for the first time."""

    function: str  # module:qualified name
    after: bool = False


AFTER_PUT = Point("housing.store.blobs:BlobStore.put", after=True)
"""Bytes are stored and nothing names them."""


def ingest() -> None:
    """Bring in one file."""
    settings = load_settings()
    path = settings.home / "delivery.csv"
    if not path.exists():
        simulate(200, 0, night=7).to_csv(path, index=False)
    with open_store(settings) as store:
        intake.ingest_files(store, settings, [path])


def log_predictions() -> None:
    """What a server writes of its predictions."""
    at = pd.Timestamp("2026-01-01T00:00:00Z").as_unit("us")
    frame = pd.DataFrame({"at": [at] * 3, "model": 2, "key": range(3), "predicted": 1e5})
    with open_store(load_settings()) as store:
        predictions.add(store, frame, has_inputs=False)


def expire_predictions() -> None:
    """What a server does once an hour."""
    with open_store(load_settings()) as store:
        predictions.expire(store, utc_now() + LATER)


def keep_again() -> None:
    """`housing reproduce m1 --keep`."""
    CANDIDATES["forest"] = small_forest()  # type: ignore[index]
    settings = load_settings()
    with open_store(settings) as store:
        assert reproduce.reproduce(store, settings, 1, keep=True).kept


def prune_all() -> None:
    """Prune by a clock that is far ahead."""

    def then() -> object:
        return utc_now() + LATER

    retained.utc_now = prune.utc_now = then  # type: ignore[assignment]
    settings = load_settings()
    with open_store(settings) as store:
        prune.prune(store, settings)


def back_up() -> None:
    """`housing backup create`."""
    settings = load_settings()
    with open_store(settings) as store:
        backup.create(store, settings)


def heal_all() -> None:
    """`housing heal`."""
    with open_store(load_settings()) as store:
        assert heal.heal(store).lost == ()


def restore() -> None:
    """`housing backup restore` into the store of the settings."""
    backup.restore(load_settings())


ACTIONS: Mapping[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        ingest, log_predictions, expire_predictions, keep_again, prune_all, back_up, heal_all,
        restore,
    )
}  # fmt: skip


class Paused:
    """A process at work on one of the ACTIONS, stopped at a point."""

    def __init__(self, action: str, point: Point | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.integration.pausing"])
        self._here, there = context.Pipe()
        self._process = context.Process(
            target=_work, args=(dict(os.environ), str(Path.cwd()), action, point, there)
        )
        self._process.start()
        there.close()

    def arrive(self) -> "Paused":
        """Wait until it is at its point."""
        assert self._here.poll(PATIENCE), "it hangs"
        assert self._here.recv() == "there"
        return self

    def go(self) -> None:
        """Let it go on from its point."""
        self._here.send("go")

    def end(self) -> str:
        """Wait until it has ended; returns "done", or the name of the error that it ended by."""
        assert self._here.poll(PATIENCE), "it hangs"
        said = str(self._here.recv())
        self._process.join(PATIENCE)
        return said

    def finish(self) -> str:
        """`go` and `end`."""
        self.go()
        return self.end()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.join(PATIENCE)


def run(action: str) -> str:
    """An action in a process of its own, from its beginning to its end."""
    return Paused(action).end()


def _work(
    environment: dict[str, str], folder: str, action: str, point: Point | None, pipe: Connection
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if point is not None:
        _stop_at(point, pipe)
    try:
        ACTIONS[action]()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - said over the pipe
        if not isinstance(error, HousingError):
            traceback.print_exc()
        pipe.send(type(error).__name__)
        os._exit(1)
    pipe.send("done")
    os._exit(0)


def _stop_at(point: Point, pipe: Connection) -> None:
    module, _, name = point.function.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    real = getattr(owner, last)
    been = False

    def stop() -> None:
        nonlocal been
        if not been:
            been = True
            pipe.send("there")
            with suppress(EOFError):
                pipe.recv()

    @wraps(real)
    def stopping(*args: Any, **more: Any) -> Any:
        if not point.after:
            stop()
        answer = real(*args, **more)
        if point.after:
            stop()
        return answer

    setattr(owner, last, stopping)
