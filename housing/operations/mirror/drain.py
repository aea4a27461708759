"""Sends what was not sent, oldest first: `housing mirror` and the deployment `mirror`.

Harmless when it is repeated, or killed anywhere. A failed attempt ends; the next one goes on, after
a pause that grows with the failures.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import httpx
from pydantic import SecretStr
from sqlalchemy.engine import Connection

from housing import progress
from housing.errors import HousingError, LeaseLost, MirrorUnavailable, NotPossible
from housing.notify import Message
from housing.operations.mirror.client import Mlflow
from housing.operations.mirror.content import digest_of
from housing.operations.mirror.objects import Objects, RunNotEnded
from housing.records import Event
from housing.settings import Settings
from housing.store.database.engine import MIRROR, Store
from housing.store.runs import lease, mirrored, outbox
from housing.store.runs.runs import actor

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=14), timedelta(hours=4)
"""After a failure, a little less than from one scheduled attempt to the next; doubled each time."""
ALERT_AFTER = 3
"""Failures in a row."""

NO_URL = (
    "HOUSING_MIRROR__URL is not set. Set it to the address of an MLflow tracking server, e.g. "
    "HOUSING_MIRROR__URL=http://127.0.0.1:5000."
)


@dataclass
class MirrorResult:
    """What an attempt sent. Where it failed, `failures` counts those in a row."""

    sent: int = 0  # runs, entries of the promotion log, moves of the alias
    waiting: int = 0  # runs and entries that are not sent yet
    failures: int = 0
    errors: list[str] = field(default_factory=list)  # the last is why the attempt ended early
    paused: bool = False  # nothing was tried: the last attempt has just failed

    @property
    def summary(self) -> str:
        """Without the errors."""
        if self.paused:
            return f"Pausing after {self.failures} failures in a row; a later attempt goes on."
        return f"{self.sent:,} sent, {self.waiting:,} waiting."


def address(settings: Settings) -> SecretStr:
    """The server of the settings; NotPossible where there is none."""
    if settings.mirror.url is None:
        raise NotPossible(what="Mirroring", why=NO_URL)
    return settings.mirror.url


def mirror(
    store: Store,
    settings: Settings,
    *,
    since: datetime | None = None,
    again: bool = False,
    scheduled: bool = False,
    transport: httpx.BaseTransport | None = None,
) -> MirrorResult:
    """Send what was not sent. RunInProgress during another attempt, NotPossible without a server.

    `since` is recorded: runs that ended before it are not sent, now or later. `again` sends all
    once more, for what was changed or deleted there. A `scheduled` attempt pauses after failures.
    """
    url, result = address(settings), MirrorResult()
    held = lease.held_lease(store, owner=f"the mirror of {actor()}", name=MIRROR)
    with held as fenced, Mlflow(url, transport) as server:
        with fenced.write() as connection:
            _begin(connection, server.address, since, again=again)
            result.failures, passed = mirrored.failures(connection)
        pause = min(FIRST_PAUSE * 2 ** min(result.failures - 1, 10), LONGEST_PAUSE)
        result.paused = scheduled and result.failures > 0 and passed < pause
        if not result.paused:
            _send(Objects(fenced, settings, server), result)
            with fenced.write() as connection:
                _end(connection, fenced, result)
    outbox.deliver(store)
    return result


def _begin(
    connection: Connection, server: str, since: datetime | None, *, again: bool = False
) -> None:
    """Ids that were recorded are of one server: those of another are forgotten."""
    digest, known = hashlib.sha256(server.encode()).hexdigest(), mirrored.get(connection, "server")
    if again or known is None or known.digest != digest:
        mirrored.forget(connection, *mirrored.OBJECTS)
        mirrored.put(connection, "server", "", server[:200], digest)
    if since is not None:
        mirrored.put(connection, "start", "", since.isoformat())


def pending(connection: Connection, objects: Objects) -> list[tuple[str, Callable[[], object]]]:
    """What is to be sent, in order: its name, and what sends it."""
    known = {row.ours: row.digest for row in mirrored.sent(connection, "run")}
    found: list[tuple[str, Callable[[], object]]] = [
        (f"r{row.id}", partial(objects.run, row))
        for row in mirrored.runs_to_send(connection)
        if known.get(f"r{row.id}") != digest_of(row)
    ]
    entries = mirrored.entries_to_send(connection)
    return found + [(f"entry {row.seq}", partial(objects.entry, row)) for row in entries]


def _send(objects: Objects, result: MirrorResult) -> None:
    work = objects.store.query(pending, objects)
    try:
        for done, (name, action) in enumerate([*work, ("the alias", objects.alias)]):
            progress.report("mirror", done, len(work), name)
            try:
                result.sent += action() is not False
            except RunNotEnded:
                continue
            except (MirrorUnavailable, LeaseLost):
                raise
            except HousingError as error:  # it concerns one object: the others are sent
                result.errors.append(str(error))
    except MirrorUnavailable as error:
        result.errors.append(str(error))
    progress.report("mirror", len(work), len(work), f"{result.sent:,} sent")
    result.waiting = len(objects.store.query(pending, objects))


def _end(connection: Connection, store: Store, result: MirrorResult) -> None:
    """Count a failure, with its alert at the third; or the end of all."""
    if not result.errors:
        result.failures = 0
        mirrored.forget(connection, "failures")
        outbox.resolve(connection, Event.MIRROR_BEHIND)
        return
    result.failures += 1
    mirrored.put(connection, "failures", "", str(result.failures))
    if result.failures >= ALERT_AFTER:
        text = (
            f"The mirror failed {result.failures} times in a row: {result.errors[-1]} Nothing is "
            "lost: it sends what is left once this is over."
        )
        message = Message(Event.MIRROR_BEHIND, text, "mirror")
        outbox.add(connection, store, message, "mirror")
