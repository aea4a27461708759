"""Follows the promotion log: loads each new champion and switches to it once it is verified.

If loading fails, the old champion stays. All workers of a machine switch at the same instant, a
fixed time after the promotion was recorded, so that none is ahead of another.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Row

from housing.inference.loaded_model import LoadedModel, load
from housing.notify import Message
from housing.records import Event
from housing.serve_options import ServeOptions
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import promotion_log, registry
from housing.store.runs import outbox

log = logging.getLogger("housing")


@dataclass(frozen=True)
class ReloadFailure:
    """Why the champion is not the model that this worker uses."""

    seq: int
    model: str
    error: str
    since: datetime
    retry_at: datetime


class ModelReloader:
    """`current` is the model in use; it changes by one assignment."""

    def __init__(
        self,
        store: Store,
        options: ServeOptions,
        on_switch: Callable[[LoadedModel], None] = lambda _: None,
    ) -> None:
        self.current: LoadedModel | None = None
        self.failure: ReloadFailure | None = None
        self.log_error = ""  # why the promotion log cannot be read
        self._store, self._options, self._on_switch = store, options, on_switch
        self._alert_is_open = True  # perhaps, of an earlier process
        self._cached: OrderedDict[int, LoadedModel] = OrderedDict()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="reload")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the champion, then poll for the next one."""
        await self._check(wait=False)

        async def poll() -> None:
            while True:
                await asyncio.sleep(self._options.poll_seconds)
                await self._check(wait=True)

        self._task = asyncio.create_task(poll())

    async def stop(self) -> None:
        """Stop polling."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def _check(self, *, wait: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            active = await loop.run_in_executor(self._loader, self._active_promotion)
        except Exception as error:  # noqa: BLE001 - predictions go on without the database
            if not self.log_error:
                log.warning("The promotion log cannot be read: %s", error)
            self.log_error = str(error)
            return
        self.log_error = ""
        if active is None or self._is_too_early(active):
            return
        if self._is_current(active):
            await loop.run_in_executor(self._loader, self._resolve, active)
            return
        try:
            loaded = await loop.run_in_executor(self._loader, self._load, active)
        except Exception as error:  # noqa: BLE001 - the old champion stays, whatever the error
            await loop.run_in_executor(self._loader, self._record_failure, active, error)
            return
        if wait:
            await asyncio.sleep(self._seconds_until_switch(active))
        self.current, self.failure = loaded, None
        self._on_switch(loaded)
        log.info("Switched to %s (promotion %d).", loaded.name, loaded.seq)
        await loop.run_in_executor(self._loader, self._resolve, active)

    def _active_promotion(self) -> Row[Any] | None:
        with self._store.read() as connection:
            return promotion_log.current(connection)

    def _is_current(self, active: Row[Any]) -> bool:
        if self.current is None or self.current.model != active.to_model:
            return False
        if self.current.seq != active.seq:  # promoted again while it was in use here
            self.current = replace(self.current, seq=active.seq, since=active.at)
        self.failure = None
        return True

    def _is_too_early(self, active: Row[Any]) -> bool:
        failure = self.failure
        return failure is not None and failure.seq == active.seq and utc_now() < failure.retry_at

    def _load(self, active: Row[Any]) -> LoadedModel:
        """The verified champion, from memory if it was in use before."""
        loaded = self._cached.pop(active.to_model, None) or load(self._store, active.to_model)
        self._cached[active.to_model] = loaded
        while len(self._cached) > self._options.kept_models:
            self._cached.popitem(last=False)
        return replace(loaded, seq=active.seq, since=active.at)

    def _seconds_until_switch(self, active: Row[Any]) -> float:
        """At most `switch_seconds`, also where the clocks of two hosts differ."""
        longest = self._options.switch_seconds
        due: timedelta = active.at + timedelta(seconds=longest) - utc_now()
        return min(max(due.total_seconds(), 0.0), longest)

    def _record_failure(self, active: Row[Any], error: Exception) -> None:
        now, before = utc_now(), self.failure
        model, text = f"m{active.to_model}", f"{type(error).__name__}: {error}"[:500]
        is_first = before is None or (before.model, before.error) != (model, text)
        self.failure = ReloadFailure(
            seq=active.seq,
            model=model,
            error=text,
            since=now if before is None or is_first else before.since,
            retry_at=now + timedelta(seconds=self._options.retry_seconds),
        )
        if is_first:
            self._alert(active, error, text)

    def _alert(self, active: Row[Any], error: Exception, cause: str) -> None:
        """One alert for each cause that a model cannot be loaded, until a champion is."""
        name = f"m{active.to_model}"
        stays = f"{self.current.name} stays in use" if self.current else "No model is in use"
        reason = str(error).strip().rstrip(".") or type(error).__name__
        message = (
            f"The champion {name} cannot be loaded: {reason}. {stays}. Run `housing doctor` to "
            f"find the damage, or `housing rollback --reason TEXT` to replace {name}."
        )
        log.error("%s", message)
        self._alert_is_open = True
        alert = Message(Event.RELOAD_FAILED, message, name)
        try:
            with self._store.write() as connection:
                about = registry.model(connection, active.to_model).artifact
                outbox.add(connection, self._store, alert, about, cause)
            outbox.deliver(self._store)
        except Exception as failed:  # noqa: BLE001 - polling must go on without the alert
            log.warning("The alert about %s cannot be recorded: %s", name, failed)

    def _resolve(self, active: Row[Any]) -> None:
        """The champion is in use: resolve the alert, so that the next failure sends another."""
        if not self._alert_is_open:
            return
        try:
            with self._store.read() as connection:
                is_open = outbox.is_open(connection, Event.RELOAD_FAILED, cause=None)
            if is_open:
                with self._store.write() as connection:
                    newest = promotion_log.current(connection)
                    if newest is not None and newest.seq == active.seq:
                        outbox.resolve(connection, Event.RELOAD_FAILED)
            self._alert_is_open = False
        except Exception as error:  # noqa: BLE001 - the next poll tries again
            log.warning("The end of a reload failure cannot be recorded: %s", error)
