"""Queries of the CLI, the API and the dashboard: plain JSON rows, newest first, ids with a letter.

Both `--json` and the terminal's tables are made from these rows, so they never disagree.
Importing this loads no pandas.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypedDict

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from housing.metric import RMSE
from housing.records import Metrics
from housing.schema import WORDING
from housing.store.data import batches as stored
from housing.store.data import datasets, profiles, unreadable_files
from housing.store.database.tables import (
    batch_splits,
    batches,
    dataset_profiles,
    dataset_versions,
    models,
    utc_now,
    version_batches,
)
from housing.store.database.tables import runs as runs_table
from housing.store.models import (
    approvals,
    blocks,
    onnx_copies,
    promotion_log,
    registry,
    retention,
    searches,
)
from housing.store.runs import lease as leases
from housing.store.runs import runs
from housing.store.runs.runs import DEAD, dead_runs

Rows = list[dict[str, Any]]

_METRICS = TypeAdapter(Metrics)


def with_letter(letter: str, id_: int | None) -> str | None:
    """An id with its letter: m7 a model, v3 a dataset version, b2 a batch, r9 a run."""
    return None if id_ is None else f"{letter}{id_}"


def time(at: datetime | None) -> str | None:
    """An instant as text: ISO 8601 in UTC, to the second."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _fields(row: Row[Any], *names: str) -> dict[str, Any]:
    return {name: row._mapping[name] for name in names}


def list_models(connection: Connection, limit: int | None = None) -> Rows:
    """All models ever registered."""
    current = promotion_log.champion(connection)
    former = set(promotion_log.former_champions(connection))
    query = sa.select(models).order_by(models.c.id.desc()).limit(limit)
    rows = connection.execute(query).all()
    errors = _errors(connection, rows)
    return [
        {
            "model": with_letter("m", row.id),
            "role": "champion" if row.id == current else "former" if row.id in former else "",
            "family": row.family,
            **errors[row.id],
            "dataset": with_letter("v", row.version),
            "train_rows": row.train_rows,
            "created_at": time(row.created_at),
        }
        for row in rows
    ]


def _errors(connection: Connection, among: Sequence[Row[Any]]) -> dict[int, dict[str, Any]]:
    """Errors of models by the metric of their search; None where that was not measured."""
    metrics = searches.metrics_of(connection, [row.search for row in among])
    judged = {
        row.challenger: row.evidence["challenger"]["metrics"]
        for row in registry.newest_evaluation_of_each(connection, [row.id for row in among])
    }
    found = {}
    for row in among:
        measured = judged.get(row.id)
        error = None if measured is None else error_by(measured, metrics[row.search])
        found[row.id] = {
            "metric": metrics[row.search],
            "cv_error": row.cv_error,
            "test_error": None if error is None else error["value"],
        }
    return found


def error_by(metrics: Mapping[str, Any], metric: str) -> dict[str, Any] | None:
    """The error by a metric with its limits, from stored `Metrics`; None if not measured."""
    found = _METRICS.validate_python(metrics).by(metric)
    return None if found is None else asdict(found)


def corrected_error(connection: Connection, model: int) -> dict[str, Any] | None:
    """A model's error without the selection bias, as its newest evaluation recorded it; None where
    that did not.
    """
    row = registry.newest_comparison(connection, model)
    return None if row is None else recorded_correction(row, model)


def recorded_correction(row: Row[Any], model: int) -> dict[str, Any] | None:
    """The corrected error of the challenger or champion of an evaluation, or None."""
    side = row.evidence["challenger" if row.challenger == model else "champion"]
    found = side.get("corrected")
    if found is None:
        return None
    return {
        **found["error"],
        "metric": row.evidence.get("metric", RMSE),
        **{name: found[name] for name in ("source", "rows", "bias", "verdicts")},
        "evaluation": with_letter("e", row.id),
        "dataset": with_letter("v", row.version),
    }


def list_datasets(connection: Connection, limit: int | None = None) -> Rows:
    """All dataset versions."""
    return _datasets(connection, sa.true(), limit)


def _datasets(
    connection: Connection, which: sa.ColumnElement[bool], limit: int | None = None
) -> Rows:
    versions, profiles = dataset_versions.c, dataset_profiles.c
    members = sa.select(sa.func.count()).where(datasets.contains(version_batches, versions.id))
    query = (
        sa.select(
            versions.id, versions.operation, versions.reason, versions.created_at,
            members.scalar_subquery().label("batches"), *(profiles[name] for name in MEASURED),
        )
        .outerjoin(dataset_profiles, profiles.version == versions.id)
        .where(which)
        .order_by(versions.id.desc())
        .limit(limit)
    )  # fmt: skip
    return [
        {
            "dataset": with_letter("v", row.id),
            **_fields(row, "operation", "reason", "batches", *MEASURED),
            "created_at": time(row.created_at),
        }
        for row in connection.execute(query)
    ]


MEASURED = ("rows", "train_rows", "test_rows", "unused_rows", "digest")
"""Figures of a dataset's profile; None before it is measured."""


def list_batches(
    connection: Connection, limit: int | None = None, *, run: int | None = None
) -> Rows:
    """All batches, or those that one run ingested."""
    members = set(datasets.active_members(connection))
    query = sa.select(batches).order_by(batches.c.id.desc()).limit(limit)
    if run is not None:
        query = query.where(batches.c.run == run)
    return [_batch(row, row.id in members) for row in connection.execute(query)]


def _batch(row: Row[Any], is_active: bool) -> dict[str, Any]:
    return {
        "batch": with_letter("b", row.id),
        **_fields(row, "source", "name", "status"),
        "in_dataset": is_active,
        "read": row.read_rows,
        "accepted": row.accepted_rows,
        "rejected": row.rejected_rows,
        "corrections": row.changed_rows,
        **_fields(row, "simulated", "message"),
        "recorded_at": time(row.recorded_at),
    }


def list_runs(connection: Connection, limit: int | None = None) -> Rows:
    """All runs."""
    query = sa.select(runs_table).order_by(runs_table.c.id.desc()).limit(limit)
    dead = dead_runs(connection)
    return [_run(row, dead) for row in connection.execute(query)]


NEVER_BEGAN = ("refused", "missed")
"""Statuses of runs that took no time."""


def _run(row: Row[Any], dead: Sequence[int]) -> dict[str, Any]:
    """A run; for those in `dead`, with the status that the next run will record."""
    is_dead, seconds = row.id in dead, None
    if row.finished_at is not None and row.status not in NEVER_BEGAN:
        # A host's clock may have been set back meanwhile.
        seconds = max(0.0, (row.finished_at - row.started_at).total_seconds())
    status = DEAD["status"] if is_dead else row.status
    return {
        "run": with_letter("r", row.id),
        "kind": row.kind,
        "status": status,
        "outcome": row.outcome,
        "result": row.outcome or status,
        "message": DEAD["error"] if is_dead else row.message or row.error,
        "dataset": with_letter("v", row.version),
        "challenger": with_letter("m", row.challenger),
        "champion": with_letter("m", row.champion),
        "started_at": time(row.started_at),
        "seconds": seconds,
        **_fields(row, "actor", "report", "flow_run"),
    }


def list_history(
    connection: Connection, limit: int | None = None, *, model: int | None = None
) -> Rows:
    """The promotion log, newest entry first; a block changes no champion and names none.

    Entries about a `model`, if it is given.
    """
    entries = (log_entry(row) for row in promotion_log.history(connection, limit, model=model))
    return [{**e, "from": None, "to": None} if e["blocks"] else e for e in entries]


def log_entry(row: Row[Any]) -> dict[str, Any]:
    """One entry of the promotion log."""
    return {
        **_fields(row, "seq", "operation"),
        "blocks": with_letter("m", row.blocked_model) or with_letter("b", row.blocked_batch),
        "from": with_letter("m", row.from_model),
        "to": with_letter("m", row.to_model),
        "overridden": row.overridden or [],
        **_fields(row, "actor", "reason"),
        "run": with_letter("r", row.run),
        "at": time(row.at),
    }


def list_blocks(connection: Connection) -> Rows:
    """Blocked models and batches."""
    current = blocks.current(connection)
    return [
        {
            "blocked": with_letter(letter, id_),
            "reason": block.reason,
            "actor": block.actor,
            "since": time(block.at),
            "seq": block.seq,
        }
        for letter, found in (("m", current.models), ("b", current.batches))
        for id_, block in sorted(found.items())
    ]


def list_readiness(connection: Connection) -> Rows:
    """The last readiness check of each rollback target, newest first."""
    models = retention.with_artifacts(connection, promotion_log.former_champions(connection))
    known, reasons = (
        retention.readiness_by_model(connection),
        onnx_copies.reasons(connection, models),
    )
    return [
        {
            "model": with_letter("m", model),
            "ready": row.ready if (row := known.get(model)) is not None else None,
            "detail": row.detail if row is not None else "the next run checks it",
            "onnx_ready": None if row is None else row.onnx_ready,
            "onnx_detail": (None if row is None else row.onnx_detail)
            or reasons.get(model, onnx_copies.NONE)
            or "the next run checks it",
            "checked_at": time(row.checked_at) if row is not None else None,
        }
        for model in models
    ]


def not_ready(model: str, detail: str, onnx_ready: bool | None) -> str:
    """What it means that a model's own artifact cannot be used."""
    if onnx_ready:
        return f"{model} predicts by its ONNX copy alone: {detail}"
    return f"Rollback to {model} would fail: {detail}"


# --- one thing ------------------------------------------------------------------------------


def show_model(connection: Connection, id_: int) -> dict[str, Any]:
    """Everything recorded of a model."""
    row = registry.model(connection, id_)
    evaluation = registry.newest_evaluation(connection, id_)
    return {
        "model": with_letter("m", row.id),
        **_fields(row, "family", "parameters", "seed", "ensemble_size"),
        "dataset": with_letter("v", row.version),
        "train_rows": row.train_rows,
        **_errors(connection, [row])[row.id],
        "corrected_error": corrected_error(connection, id_),
        **_fields(row, "fit_seconds", "importances", "groups", "unseen"),
        **_fields(row, "members", "libraries", "artifact"),
        "created_at": time(row.created_at),
        "run": with_letter("r", row.run),
        "last_evaluation": None
        if evaluation is None
        else {**evaluation.evidence["challenger"], "id": with_letter("m", id_)},
        "history": list_history(connection, model=id_),
    }


def show_dataset(connection: Connection, id_: int) -> dict[str, Any]:
    """Everything recorded of a dataset version."""
    version, profile = datasets.get(connection, id_), profiles.get(connection, id_)
    (facts,) = _datasets(connection, dataset_versions.c.id == id_)
    members = [with_letter("b", batch) for batch in version.batches]
    unused = {"why_unused": WHY_UNUSED} if profile is not None and profile.unused_rows else {}
    columns = None if profile is None else profile.columns
    return {**facts, "batches": members, **unused, "columns": columns}


WHY_UNUSED = (
    "Near-duplicates (all values but at most one are the same) of rows on both sides of the "
    "split: on either side they would show a test value to the training."
)


def show_batch(connection: Connection, id_: int) -> dict[str, Any]:
    """Everything recorded of a batch."""
    row = stored.get(connection, id_)
    unused = sa.select(batch_splits.c.unused_rows).where(batch_splits.c.batch == id_)
    return {
        **_batch(row, id_ in datasets.active_members(connection)),
        "rejections": row.rejections,
        "new_rows": row.accepted_rows - row.changed_rows - row.unchanged_rows,
        "known_unchanged": row.unchanged_rows,
        "unused_rows": connection.scalar(unused),  # None before it has its sides
        **_fields(row, "digest", "segment"),
        "quarantine": row.rejected,
        "run": with_letter("r", row.run),
    }


def show_run(connection: Connection, id_: int) -> dict[str, Any]:
    """Everything recorded of a run."""
    row = runs.get(connection, id_)
    evaluation = registry.evaluation_of_run(connection, id_)
    return {
        **_run(row, dead_runs(connection)),
        "parameters": row.parameters,
        "skipped_files": row.skipped_files or [],
        "error": row.error,
        "steps": [
            {"step": step.name, "seconds": step.seconds, "detail": step.detail}
            for step in runs.steps(connection, id_)
        ],
        "verdict": None if evaluation is None else evaluation.verdict,
        "approval": _approval(approvals.of_run(connection, id_)),
        "batches": list_batches(connection, run=id_),
        "trials": _trials(connection, row),
    }


def _approval(row: Row[Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "status": row.status,
        "challenger": with_letter("m", row.challenger),
        "requested_at": time(row.requested_at),
        "expires_at": time(row.expires_at),
        "decided_at": time(row.decided_at),
        "decided_by": row.decided_by,
        "reason": row.reason,
    }


def _trials(connection: Connection, run: Row[Any]) -> Rows:
    if run.challenger is None:
        return []
    search = registry.model(connection, run.challenger).search
    metric = searches.metric_of(searches.get(connection, search))
    return [
        {
            "candidate": trial.candidate.index,
            "family": trial.candidate.family,
            "metric": metric,
            "cv_error": None if trial.cv_error == float("inf") else trial.cv_error,
            "stopped": trial.stopped,
            "seconds": trial.seconds,
            "parameters": trial.candidate.parameters,
            "error": trial.error,
        }
        for trial in sorted(searches.trials_of(connection, search), key=lambda t: t.cv_error)
    ]


def simulated(connection: Connection) -> Iterator[str]:
    """The notice that every answer shows first where the dataset has simulated rows."""
    newest = sa.select(sa.func.max(dataset_versions.c.id)).scalar_subquery()
    where = datasets.contains(version_batches, newest), batches.c.simulated
    query = sa.select(batches.c.id).join(version_batches, version_batches.c.batch == batches.c.id)
    found = connection.scalars(query.where(*where).order_by(batches.c.id).limit(4))
    if ids := [f"b{id_}" for id_ in found]:
        rows, some = WORDING.rows, ", ".join(ids[:3]) + (" and others" if len(ids) > 3 else "")
        yield (
            f"SIMULATED {rows.upper()}: the rows of {some} are simulated; models of this dataset "
            f"say nothing about real {rows}. To use real ones, start over with an empty "
            "HOUSING_HOME."
        )


# --- how things are -------------------------------------------------------------------------


def status(connection: Connection) -> dict[str, Any]:
    """Champion, active dataset, last nightly run, current run, and what needs a person."""
    head = promotion_log.current(connection)
    newest_version = sa.select(sa.func.max(dataset_versions.c.id)).scalar_subquery()
    active = _datasets(connection, dataset_versions.c.id == newest_version)
    holder = leases.holder(connection)
    nightly = sa.select(runs_table).where(
        runs_table.c.kind == "nightly", runs_table.c.status != "refused"
    )
    newest = connection.execute(nightly.order_by(runs_table.c.id.desc()).limit(1)).one_or_none()
    last = None if newest is None else _run(newest, dead_runs(connection))
    return {
        "champion": None if head is None else _champion(connection, head),
        "dataset": active[0] if active else None,
        "last_nightly_run": last,
        "running": holder.owner if holder is not None and holder.alive else None,
        "blocks": list_blocks(connection),
        "readiness": list_readiness(connection),
        "needs_a_person": list(_needs(connection, last)),
    }


def _champion(connection: Connection, head: Row[Any]) -> dict[str, Any]:
    model = registry.model(connection, head.to_model)
    return {
        "model": with_letter("m", model.id),
        "family": model.family,
        "since": time(head.at),
        "by": head.operation,
        "reason": head.reason,
        **_errors(connection, [model])[model.id],
        "dataset": with_letter("v", model.version),
    }


class Need(TypedDict):
    """What a person should see to, and the commands that do."""

    message: str
    commands: list[str]


def _quarantined(batch: Row[Any]) -> Need:
    this = f"b{batch.id}"
    message = f"{this} ({batch.name}) is {batch.status}: {batch.message}"
    close = f"housing dataset discard {this}"
    if batch.status == "quarantined":
        return Need(message=message, commands=[f"housing dataset accept {this}", close])
    return Need(message=f"{message} Deliver it corrected, then discard it.", commands=[close])


def _request(connection: Connection, row: Row[Any]) -> Need:
    """A request for approval, with the commands that are possible now."""
    run, commands = f"r{row.run}", []
    why_not = blocks.block_reason(connection, row.challenger)
    if not why_not and (gone := approvals.removed_batches(connection, row)):
        ids = ", ".join(f"b{batch}" for batch in gone)
        why_not = f"it was trained on {ids}, taken out of the dataset since"
        commands.append(f'housing dataset restore b{gone[0]} --reason "..."')
    elif not why_not:
        commands.append(f"housing approve {run}")
    message = f"{run} would promote m{row.challenger} and asks a person"
    if why_not:
        message += f", but {why_not}"
    return Need(
        message=f"{message}; it expires at {row.expires_at:%Y-%m-%d %H:%M} UTC.",
        commands=[*commands, f'housing reject {run} --reason "..."'],
    )


def _needs(connection: Connection, last: dict[str, Any] | None) -> Iterator[Need]:
    for one in list_readiness(connection):
        if one["ready"] is False:
            message = not_ready(one["model"], one["detail"], one["onnx_ready"])
            yield Need(message=message, commands=["housing doctor", "housing heal"])
    waiting = sa.select(batches).where(batches.c.status.in_(stored.NEED_A_PERSON))
    for row in connection.execute(waiting.order_by(batches.c.id)):
        yield _quarantined(row)
    for row in approvals.pending(connection, utc_now()):
        yield _request(connection, row)
    if last is not None and last["status"] in UNFINISHED:
        message = UNFINISHED[last["status"]].format(**last)
        commands = [f"housing show {last['run']}", "housing retrain"]
        yield Need(message=message, commands=commands)
    for message in unreadable_files.listed(connection):
        yield Need(message=message, commands=[])


UNFINISHED = {
    "failed": "{run}, the last nightly run, failed: {message}",
    "crashed": "{run}, the last nightly run, was interrupted: {message}. The next run resumes it.",
}
"""Messages about a last nightly run with such a status."""
