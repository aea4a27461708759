"""Promotion and rollback, the two ways to change the champion."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing import progress
from housing.errors import Corrupt, NotPossible, NotUsableHere
from housing.inference.loaded_model import calibration_of
from housing.notify import Message
from housing.pipeline.evaluate import JudgedEvaluation
from housing.pipeline.run_context import RunContext
from housing.pipeline.skip_check import next_run
from housing.records import Event
from housing.settings import Settings
from housing.store.backups.replication import copy_verified, heal
from housing.store.data import copies, datasets, parts
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.database.tables import batches, utc_now
from housing.store.models import (
    approvals,
    artifacts,
    blocks,
    calibrations,
    onnx_copies,
    promotion_log,
    registry,
)
from housing.store.models.registry import Change
from housing.store.runs import outbox
from housing.store.runs.runs import actor

log = logging.getLogger("housing")


def back_up(store: Store, model: int) -> int:
    """Make verified copies of a model and its data in the backup; returns the bytes copied."""
    with store.read() as connection:
        row = registry.model(connection, model)
        found = parts.parts(connection, datasets.get(connection, row.version).batches)
    from housing.inference.onnx.convert import (
        store_copy,  # slow to import, and no rollback needs it
    )

    fitted = artifacts.get_model(store, row.artifact)
    # Servers need the calibration within a second of the promotion: compute it before.
    calibration_of(store, row, fitted)
    if why := store_copy(store, row, fitted):
        log.warning("m%d has no ONNX copy: %s.", model, why)
    with store.read() as connection:
        calibration = calibrations.get(connection, model)
        copies_ = onnx_copies.digests(connection, model)
    digests = [row.artifact, row.golden, *copies_, *(part.digest for part in found)]
    digests += [part.sides for part in found if part.sides is not None]
    digests += [] if calibration is None else [calibration.training_index]
    return copy_verified(store, digests)


def promote(store: Store, run: RunContext, judged: JudgedEvaluation) -> int:
    """Make the challenger champion; returns the entry of the promotion log.

    ChampionChanged if it was judged against a champion that has been replaced since, ModelBlocked
    if its lineage was blocked meanwhile.
    """
    newest = store.query(promotion_log.head)
    if newest is not None and newest.to_model == judged.challenger:
        seq = int(newest.seq)  # a run that died after this step resumes
    else:
        alert = Message(Event.PROMOTED, judged.message, f"r{run.id}")
        change = promotion(judged, run.id, judged.message)
        progress.report("promote", 0, 0)  # the last point at which a run can be cancelled
        seq = registry.change_champion(store, change, reported(store, alert))
    with store.write() as connection:  # requested while the policy required approval
        approvals.approve_all(connection, judged.challenger, actor(), f"promoted by r{run.id}")
    return seq


def reported(store: Store, alert: Message) -> Callable[[Connection, int], object]:
    """Records the alert about a change of the champion, in its transaction."""
    return lambda connection, seq: outbox.add(connection, store, alert, f"l{seq}")


def promotion(
    judged: JudgedEvaluation, run: int, reason: str, overridden: tuple[str, ...] = ()
) -> Change:
    """The entry of the promotion log for a verdict."""
    return Change(
        operation="promote",
        to_model=judged.challenger,
        expected=judged.champion,
        actor=actor(),
        reason=reason,
        evaluation=judged.evaluation,
        run=run,
        overridden=overridden,
    )


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback would do; ids."""

    to_model: int
    from_model: int | None
    blocked_models: tuple[int, ...]
    entered: dict[int, str]  # batches in the dataset of `from_model` and not of `to_model`: names
    next_run: str  # what the next run will do afterwards
    previous: str  # the last rollback before this one; "" where there was none

    def suggestion(self, *, done: bool) -> str:
        """Batches that may have caused the regression, and the command that blocks one."""
        if not self.entered:
            return f"The dataset of m{self.from_model} has no batch that m{self.to_model}'s lacks."
        batches = [f"b{id_} ({name})" for id_, name in self.entered.items()]
        shown = ", ".join(batches[:SUGGESTED])
        more = f" and {len(batches) - SUGGESTED} more" if len(batches) > SUGGESTED else ""
        first = f"b{next(iter(self.entered))}"
        command = f"housing block {first} --reason TEXT" if done else f"--batch {first}"
        return (
            f"The dataset of m{self.from_model} has batches that m{self.to_model}'s lacks: "
            f"{shown}{more}; "
            f"`{command}` blocks every model that was trained on it as well."
        )


SUGGESTED = 5
"""Batches that a suggestion names."""


def plan_rollback(
    store: Store, settings: Settings, target: int | None, batch: int | None = None
) -> RollbackPlan:
    """What `roll_back` and the run after it would do; raises what `roll_back` would raise."""
    with store.read() as connection:
        current, chosen, undone = _undone(connection, target, batch)
        blocked = blocks.current(connection)
        new = blocks.Block(0, actor(), "rolled back", utc_now())
        also = (
            ()
            if batch is None
            else (batch, *(copy.batch for copy in copies.of_withdrawn(store, connection, batch)))
        )
        would_be = blocks.Blocks(
            {**dict.fromkeys(undone, new), **blocked.models},
            {**dict.fromkeys(also, new), **blocked.batches},
        )
        return RollbackPlan(
            chosen,
            current,
            undone,
            _entered(connection, chosen, current),
            next_run(connection, settings, chosen, would_be),
            _last_rollback(connection)[0],
        )


REPEATED_WITHIN = timedelta(minutes=15)
"""Age of a rollback up to which another one without a target may repeat its command."""


def refuse_repeated(store: Store) -> None:
    """NotPossible shortly after a rollback: one that names no target may be the same once more.

    A command whose output was lost is often repeated, and would undo another promotion.
    """
    text, age = store.query(_last_rollback)
    if text and age < REPEATED_WITHIN:
        raise NotPossible(
            what="A rollback that names no model",
            why=f"{text}. If that is the one you want, nothing is left to do; `housing history` "
            "shows it. To undo another promotion, name the new champion: `housing rollback MODEL`.",
        )


def _last_rollback(connection: Connection) -> tuple[str, timedelta]:
    """The last rollback as text ("" where there was none), and its age."""
    changes = promotion_log.history(connection)
    line = next((each for each in changes if each.operation == "rollback"), None)
    if line is None:
        return "", timedelta()
    text = (
        f"m{line.to_model} became champion by a rollback at {line.at:%Y-%m-%d %H:%M} UTC, "
        f"instead of m{line.from_model} ({line.actor}: {line.reason})"
    )
    return text, utc_now() - line.at


def _entered(connection: Connection, chosen: int, current: int | None) -> dict[int, str]:
    if current is None:
        return {}
    then, now = (
        datasets.get(connection, registry.model(connection, model).version).batches
        for model in (chosen, current)
    )
    query = sa.select(batches.c.id, batches.c.name).where(batches.c.id.in_(set(now) - set(then)))
    return {row.id: row.name for row in connection.execute(query.order_by(batches.c.id))}


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did; ids, and the digests of objects restored from the backup."""

    seq: int  # entry of the promotion log
    to_model: int
    from_model: int | None
    blocked_models: tuple[int, ...]
    blocked_batches: tuple[int, ...]
    healed: tuple[str, ...]
    artifact_error: str = ""  # why its ONNX copy predicts

    def notification(self) -> Message:
        """The rollback as a notification."""
        blocked = [f"m{m}" for m in self.blocked_models] + [f"b{b}" for b in self.blocked_batches]
        message = (
            f"m{self.to_model} is champion again instead of m{self.from_model}; "
            f"blocked: {', '.join(blocked)}"
        )
        if self.artifact_error:
            message += f"; its ONNX copy predicts, as {self.artifact_error}"
        return Message(Event.ROLLED_BACK, message, f"m{self.to_model}")


def roll_back(
    store: Store,
    target: int | None,
    reason: str,
    *,
    batch: int | None = None,
    within: Callable[[Connection, "RolledBack"], object] | None = None,
) -> RolledBack:
    """Make a former champion the champion again, and block what this undoes.

    Without `target` it is the one that the current champion replaced. All undone champions are
    blocked, and `batch`, one of those on which the current champion was trained. Before anything
    changes, the model must load and reproduce its golden predictions; damaged or missing bytes are
    restored from the backup. The alert, and what `within` writes, are of the same transaction.
    """
    with store.read() as connection:
        current, chosen, undone = _undone(connection, target, batch)
        row = registry.model(connection, chosen)
    blocked = () if batch is None else (batch,)
    change = Change(
        "rollback", chosen, current, actor(), reason,
        block_models=undone, block_batches=blocked,
    )  # fmt: skip
    registry.check_eligible(store, change)
    healed, error = verify_and_heal(store, row)

    def act(connection: Connection, found: tuple[copies.Copy, ...]) -> RolledBack:
        seq = registry.change_champion_in(connection, change)
        also = () if batch is None else copies.block_copies(connection, batch, found)
        done = RolledBack(seq, chosen, current, undone, (*blocked, *also), healed, error)
        outbox.add(connection, store, done.notification(), f"l{seq}")
        if within is not None:
            within(connection, done)
        return done

    done = copies.decide_with_copies(store, batch, act)
    ownership.renew(store)
    return done


def _undone(
    connection: Connection, target: int | None, batch: int | None
) -> tuple[int | None, int, tuple[int, ...]]:
    """The champion, the one that replaces it, and all champions that this undoes."""
    current = promotion_log.champion(connection)
    chosen = registry.previous_champion(connection) if target is None else target
    registry.model(connection, chosen)
    _must_be_former(connection, chosen, current)
    if batch is not None:
        _require_trained_on(connection, current, batch)
    return current, chosen, promotion_log.superseded_by_rollback(connection, chosen)


def verify_and_heal(store: Store, row: Row[Any]) -> tuple[tuple[str, ...], str]:
    """Load the model, or its ONNX copy where the libraries have changed.

    Returns the digests that were restored from the backup first, and why the copy is needed.
    """
    try:
        return (), onnx_copies.load_verified(store, row).artifact_error
    except Corrupt as error:
        wanted = [row.artifact, row.golden]
        if isinstance(error, NotUsableHere):
            wanted += store.query(onnx_copies.digests, row.id)
        healed = heal(store, wanted)
        if not healed:  # its bytes are the stored ones
            raise
        return healed, onnx_copies.load_verified(store, row).artifact_error


def _must_be_former(connection: Connection, chosen: int, current: int | None) -> None:
    what = f"Rolling back to m{chosen}"
    if chosen == current:
        raise NotPossible(what=what, why="it is the champion; name another.")
    if chosen not in promotion_log.former_champions(connection):
        why = "it was never champion; `housing history` lists those that were."
        raise NotPossible(what=what, why=why)


def _require_trained_on(connection: Connection, current: int | None, batch: int) -> None:
    version = registry.model(connection, current or 0).version
    if batch not in datasets.get(connection, version).batches:
        raise NotPossible(
            what=f"Blocking b{batch} with this rollback",
            why=f"m{current} was trained on v{version}, which does not have it; "
            f"`housing show v{version}` lists its batches.",
        )
