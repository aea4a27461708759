"""What is sent of each object: names, tags, parameters and metrics, from what SQL holds.

Every object has as tags our id, the id of our database, and when it was recorded: by these it is
found again (after a restore of an older backup, ids are given once more). Times are those of our
records, so that whatever is sent twice is the same.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

import orjson
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.gate import evidence as records
from housing.metric import RMSE
from housing.records import Metrics, Trial
from housing.settings import Settings
from housing.store.data import profiles
from housing.store.models import blocks, promotion_log, registry, searches
from housing.store.queries import time, with_letter
from housing.store.runs import runs

ID, STORE, AT = IDENTITY = "housing.id", "housing.store", "housing.at"
"""Tags of every object."""

LONGEST_PARAMETER, LONGEST_TAG, LONGEST_DIGEST = 6_000, 8_000, 36
"""Characters that MLflow takes."""

_STATUSES = {"completed": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}

Json = dict[str, Any]


@dataclass(frozen=True)
class RunContent:
    """A run there: one of ours, or a trial as its child."""

    ours: str
    name: str
    began: datetime
    ended: datetime
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[Json]
    datasets: Sequence[Json] = field(default=())


def identity(ours: str, store: str, at: datetime) -> dict[str, str]:
    """The tags by which an object is found."""
    return dict(zip(IDENTITY, (ours, store, at.isoformat()), strict=True))


def digest_of(row: Row[Any]) -> str:
    """Digest of what may change in a run that has ended."""
    facts = [row.status, row.outcome, row.message, row.champion]
    return hashlib.sha256(orjson.dumps(facts)).hexdigest()


def milliseconds(at: datetime) -> int:
    """An instant as MLflow has it."""
    return round(at.timestamp() * 1000)


def _text(values: Mapping[str, Any], longest: int) -> dict[str, str]:
    """Values as text; those that say nothing are left out."""
    found = {}
    for name, value in values.items():
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if value not in (None, ""):
            found[name] = str(value)[:longest]
    return found


def _metrics(values: Mapping[str, float | None], at: datetime, step: int = 0) -> list[Json]:
    """Metrics at an instant; those that were not measured are left out."""
    when = milliseconds(at)
    return [
        {"key": key, "value": value, "timestamp": when, "step": step}
        for key, value in values.items()
        if value is not None and math.isfinite(value)
    ]


# --- a run ----------------------------------------------------------------------------------


def run_content(
    connection: Connection, settings: Settings, store: str, row: Row[Any]
) -> RunContent:
    """A run with its verdict."""
    ours, ended = f"r{row.id}", row.finished_at
    verdict = registry.evaluation_of_run(connection, row.id)
    model = None if row.challenger is None else registry.model(connection, row.challenger)
    search = None if model is None else searches.get(connection, model.search)
    tags = {
        **identity(ours, store, row.started_at),
        "housing.status": row.status,
        "housing.verdict": row.outcome,
        "housing.message": row.message or row.error,
        "housing.dataset": with_letter("v", row.version),
        "housing.challenger": with_letter("m", row.challenger),
        "housing.champion": with_letter("m", row.champion),
        "housing.report": _report(settings, row),
        "housing.actor": row.actor,
        "mlflow.user": row.actor,
        "mlflow.source.name": "housing",
        "mlflow.note.content": _note(row, verdict),
    }
    params = {
        **{name: value for name, value in row.parameters.items() if name != "dry_run"},
        **({} if search is None else {f"search.{k}": v for k, v in search.plan.items()}),
        **({} if model is None else {"family": model.family, **model.parameters}),
    }
    figures: dict[str, float | None] = {
        f"seconds_{step.name.replace(' ', '_')}": step.seconds
        for step in runs.steps(connection, row.id)
    }
    if search is not None:
        figures[f"cv_{searches.metric_of(search)}"] = search.cv_error
    if verdict is not None:
        figures |= _verdict_figures(records.read(verdict.evidence))
    return RunContent(
        ours,
        f"{ours} {row.outcome or row.status}",
        row.started_at,
        ended,
        _STATUSES.get(row.status, "FAILED"),
        _text(tags, LONGEST_TAG),
        _text(params, LONGEST_PARAMETER),
        _metrics(figures, ended),
        tuple(_datasets(connection, row)),
    )


def _report(settings: Settings, row: Row[Any]) -> str:
    """Address of a run's report where it has one, else its path."""
    if not row.report or not settings.report_url:
        return row.report or ""
    return f"{settings.report_url.rstrip('/')}/reports/{PurePath(row.report).name}"


def _note(row: Row[Any], verdict: Row[Any] | None) -> str:
    """What the page of the run shows: the message, and the checks of the gate."""
    text = str(row.message or row.error or "")
    if verdict is None:
        return text
    lines = [
        f"| {check['name']} | {check['outcome']} | {check['message'].replace('|', '/')} |"
        for check in verdict.verdict["checks"]
    ]
    return "\n".join([text, "", "| check | outcome | message |", "|---|---|---|", *lines])


def _verdict_figures(evidence: records.Evidence) -> dict[str, float | None]:
    found: dict[str, float | None] = {"test_rows": evidence.test_rows}
    for name, model in (("challenger", evidence.challenger), ("champion", evidence.champion)):
        if model is not None and model.metrics is not None:
            found |= {f"{name}_{k}": v for k, v in _errors(model.metrics).items()}
    if (change := evidence.comparison) is not None:
        found |= {
            "change": change.effect,
            "change_lower": change.interval.lower,
            "change_upper": change.interval.upper,
            "change_upper_bound": change.upper,  # one-sided: the one that decides
        }
    return found


def _errors(metrics: Metrics) -> dict[str, float]:
    found = {RMSE: metrics.rmse.value, "mae": metrics.mae, "r2": metrics.r2}
    error = metrics.error
    limits = {"": error.value, "_lower": error.lower, "_upper": error.upper}
    found |= {f"{metrics.metric}{end}": value for end, value in limits.items()}
    return found | {"within_10": metrics.within_10, "within_20": metrics.within_20}


def _datasets(connection: Connection, row: Row[Any]) -> Iterator[Json]:
    """The run's dataset version as an input of training."""
    profile = None if row.version is None else profiles.get(connection, row.version)
    if profile is None:
        return
    counts = {name: getattr(profile, name) for name in ("rows", "train_rows", "test_rows")}
    columns = [
        {
            "name": name,
            "type": "string" if name in schema.CATEGORIES else "double",
            "required": not column.nullable,
        }
        for name, column in schema.CATALOGUE.items()
    ]
    yield {
        "tags": [{"key": "mlflow.data.context", "value": "training"}],
        "dataset": {
            "name": f"{schema.PROBLEM.name} v{row.version}",
            "digest": profile.digest[:LONGEST_DIGEST],
            "source_type": "housing",
            "source": _json({"dataset": f"v{row.version}", "digest": profile.digest}),
            "schema": _json({"mlflow_colspec": columns}),
            "profile": _json(counts),
        },
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


# --- a trial --------------------------------------------------------------------------------


def trial_contents(
    connection: Connection, store: str, search: int, run: str, parent: str
) -> list[RunContent]:
    """The trials of a search, as children of the run `parent` there."""
    metric = searches.metric_of(searches.get(connection, search))
    ended = searches.times_of(connection, search)
    found = []
    for trial in searches.trials_of(connection, search):
        ours, at = f"s{search}c{trial.candidate.index}", ended[trial.candidate.index]
        tags = {**identity(ours, store, at), "housing.run": run, "mlflow.parentRunId": parent}
        found.append(_trial(trial, ours, at, metric, tags))
    return found


def _trial(
    trial: Trial, ours: str, ended: datetime, metric: str, tags: Mapping[str, str]
) -> RunContent:
    candidate = trial.candidate
    own = {"housing.error": trial.error, "housing.pruned": "yes" * trial.stopped}
    scores = {"fold": trial.fold_errors, "fold_train": trial.fold_train_errors}
    folds = [
        one
        for name, errors in scores.items()
        for step, error in enumerate(errors)
        for one in _metrics({f"{name}_{metric}": error}, ended, step)
    ]
    return RunContent(
        ours,
        f"{ours} {candidate.family}",
        ended - timedelta(seconds=trial.seconds),
        ended,
        "FAILED" if trial.error else "FINISHED",
        _text({**own, **tags, "mlflow.source.name": "housing"}, LONGEST_TAG),
        _text({"family": candidate.family, **candidate.parameters}, LONGEST_PARAMETER),
        [*folds, *_metrics({f"cv_{metric}": trial.cv_error, "seconds": trial.seconds}, ended)],
    )


# --- a model --------------------------------------------------------------------------------


def model_facts(row: Row[Any], store: str) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters and tags of a model."""
    params = {"family": row.family, "seed": row.seed, "members": len(row.members)}
    tags = {
        **identity(f"m{row.id}", store, row.created_at),
        "housing.dataset": f"v{row.version}",
        "housing.digest": row.artifact,
        "housing.libraries": _json(row.libraries),
    }
    return _text({**params, **row.parameters}, LONGEST_PARAMETER), _text(tags, LONGEST_TAG)


def version_tags(connection: Connection, store: str, row: Row[Any]) -> dict[str, str]:
    """Tags of a model's registered version: its promotions, rollbacks and blocks so far."""
    model = row.id
    tags = identity(f"m{model}", store, row.created_at)
    for entry in reversed(promotion_log.history(connection, model=model)):
        text = f"{time(entry.at)} by {entry.actor}: {entry.reason}"
        match entry.operation:
            case "promote" if entry.to_model == model:
                tags["housing.promoted"] = text
            case "rollback" if entry.to_model == model:
                tags["housing.restored"] = text
            case "rollback" if entry.from_model == model:
                tags["housing.rolled_back"] = text
            case "block" | "unblock" if entry.blocked_model == model:
                tags[f"housing.{entry.operation}ed"] = text
    blocked = model in blocks.current(connection).models
    return _text({**tags, "housing.is_blocked": "yes" if blocked else "no"}, LONGEST_TAG)
