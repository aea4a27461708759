"""Follows the ledger: loads each new champion beside the old one, and swaps when it is proven.

Whatever fails, the old champion goes on answering, and says so. All workers of a machine switch
at the same instant, a fixed time after the ledger's line, so that none is ahead of another.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from housing.inference.loaded_model import LoadedModel, load
from housing.notify import Message, NotifySettings, send_all
from housing.records import Event
from housing.serve_options import ServeOptions
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import promotion_log
from housing.store.runs import sent_alerts

log = logging.getLogger("housing")


@dataclass(frozen=True)
class ActivePromotion:
    """The line of the ledger that is in force, as far as serving needs it."""

    seq: int
    model: int
    at: datetime


@dataclass(frozen=True)
class ReloadFailure:
    """Why the champion of the ledger is not the one that answers."""

    seq: int
    model: str
    why: str
    since: datetime
    retry_at: datetime


def read_head(store: Store) -> ActivePromotion | None:
    """The line that made the champion what it is, or None before the first promotion."""
    with store.read() as connection:
        line = promotion_log.current(connection)
    return None if line is None else ActivePromotion(line.seq, line.to_model, line.at)


class ModelReloader:
    """`current` is what answers; it changes by one assignment."""

    def __init__(
        self,
        store: Store,
        options: ServeOptions,
        notify: NotifySettings,
        on_swap: Callable[[LoadedModel], None] = lambda _: None,
    ) -> None:
        self.current: LoadedModel | None = None
        self.failure: ReloadFailure | None = None
        self.ledger_error = ""
        self._store, self._options, self._notify = store, options, notify
        self._on_swap = on_swap
        self._kept: OrderedDict[int, LoadedModel] = OrderedDict()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="reload")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the champion of now, then follow."""
        await self._look(wait=False)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._options.poll_seconds)
            await self._look(wait=True)

    async def _look(self, *, wait: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            head = await loop.run_in_executor(self._loader, read_head, self._store)
        except Exception as error:  # noqa: BLE001 - whatever the database says, answering goes on
            if not self.ledger_error:
                log.warning("The ledger cannot be read: %s", error)
            self.ledger_error = str(error)
            return
        self.ledger_error = ""
        if head is None or self._is_current(head) or self._too_early(head):
            return
        try:
            served = await loop.run_in_executor(self._loader, self._ready, head)
        except Exception as error:  # noqa: BLE001 - the old champion stays, whatever it was
            await loop.run_in_executor(self._loader, self._note_failure, head, error)
            return
        if wait:
            await asyncio.sleep(self._pause(head))
        self.current, self.failure = served, None
        self._on_swap(served)
        log.info("%s answers from now on (line %d of the ledger).", served.name, served.seq)

    def _is_current(self, head: ActivePromotion) -> bool:
        if self.current is None or self.current.model != head.model:
            return False
        if self.current.seq != head.seq:  # made champion again while it was champion here
            self.current = replace(self.current, seq=head.seq, since=head.at)
        self.failure = None
        return True

    def _too_early(self, head: ActivePromotion) -> bool:
        failure = self.failure
        return failure is not None and failure.seq == head.seq and utc_now() < failure.retry_at

    def _ready(self, head: ActivePromotion) -> LoadedModel:
        """The champion of a line, loaded and proven; from memory where it answered before."""
        known = self._kept.get(head.model)
        if known is None:
            known = load(self._store, head.model)
        self._kept[head.model] = known
        self._kept.move_to_end(head.model)
        while len(self._kept) > self._options.kept_models:
            self._kept.popitem(last=False)
        return replace(known, seq=head.seq, since=head.at)

    def _pause(self, head: ActivePromotion) -> float:
        """Seconds until the common switch; never longer than it takes, whatever clocks say."""
        longest = self._options.switch_seconds
        due = head.at + timedelta(seconds=longest) - utc_now()
        return min(max(due.total_seconds(), 0.0), longest)

    def _note_failure(self, head: ActivePromotion, error: Exception) -> None:
        now = utc_now()
        known = self.failure is not None and self.failure.seq == head.seq
        self.failure = ReloadFailure(
            seq=head.seq,
            model=f"m{head.model}",
            why=f"{type(error).__name__}: {error}"[:500],
            since=self.failure.since if known and self.failure else now,
            retry_at=now + timedelta(seconds=self._options.retry_seconds),
        )
        if not known:
            self._alert(head, error)

    def _alert(self, head: ActivePromotion, error: Exception) -> None:
        stays = "nothing answers" if self.current is None else f"{self.current.name} still answers"
        message = f"m{head.model} is champion and cannot be served ({error}); {stays}."
        log.error("%s", message)
        subject = f"m{head.model}"
        try:
            if sent_alerts.first(
                self._store, f"reload failed:{head.seq}", Event.RELOAD_FAILED, message, subject
            ):
                send_all(Message(Event.RELOAD_FAILED, message, subject), self._notify)
        except Exception as failed:  # noqa: BLE001 - the alert must not end the following
            log.warning("The failed reload could not be recorded: %s", failed)
