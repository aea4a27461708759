"""Backup, promotion, rollback."""

import logging

from prefect import task

from housing import progress
from housing.notify import send_all
from housing.pipeline import promote as steps
from housing.pipeline.approval import ask
from housing.pipeline.evaluate import JudgedEvaluation
from housing.pipeline.promote import RolledBack
from housing.pipeline.run_context import RunContext, step
from housing.pipeline.skip_check import what_next
from housing.settings import load_settings
from housing.store.database.open import open_store
from tasks.events import emit
from tasks.options import PLAIN

log = logging.getLogger("housing")


@task(name="back up", task_run_name="back up m{model}", retries=2, retry_delay_seconds=5, **PLAIN)
def back_up(run: RunContext, model: int) -> int:
    """Copy the model and its data to the second place and read them back; returns bytes."""
    with step(run, "back up") as (store, _):
        copied = steps.back_up(store, model)
        progress.report("back up", 1, 1, f"m{model} and its data: {copied / 1e6:,.1f} MB verified")
    return copied


@task(name="promote", task_run_name="promote m{judged.challenger}", **PLAIN)
def promote(run: RunContext, judged: JudgedEvaluation) -> JudgedEvaluation:
    """Make the challenger champion, in one transaction; or ask a person, if the policy does."""
    with step(run, "promote") as (store, settings):
        if settings.gate.approval:
            judged = ask(store, run.id, judged, settings)
            progress.report("promote", 1, 1, judged.message)
        else:
            line = steps.promote(store, run, judged)
            said = f"m{judged.challenger} is champion (ledger line {line})"
            progress.report("promote", 1, 1, said)
    return judged


@task(name="roll back", **PLAIN)
def roll_back(model: int | None, reason: str, batch: int | None) -> RolledBack:
    """Make a former champion the champion again, hold what is taken back, and tell the team."""
    settings = load_settings()
    with open_store(settings) as store:
        done = steps.roll_back(store, model, reason, batch=batch)
        log.info(what_next(store, settings))
    send_all(done.notification(), settings.notify)
    emit(done.notification())
    return done
