"""Searches and their trials, recorded while they run and read when they resume."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from math import inf
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.metric import RMSE
from housing.problem import MARK
from housing.records import Candidate, Score, Trial
from housing.store.database.engine import Store
from housing.store.database.tables import fold_scores, row_of, searches, trials, utc_now
from housing.store.objects.blobs import Blob
from housing.store.objects.recording import record_blob

NESTED = f"{MARK}nested"
"""Column of out-of-fold predictions whose members were chosen on the other folds."""


def find(connection: Connection, key: str) -> Row[Any] | None:
    """The search with this key, or None."""
    return connection.execute(sa.select(searches).where(searches.c.key == key)).one_or_none()


def get(connection: Connection, search: int) -> Row[Any]:
    """One search; UnknownId where there is none."""
    return row_of(connection, "s", search)


def begin(
    store: Store,
    *,
    key: str,
    version: int,
    plan: dict[str, Any],
    run: int,
    warm_starts: Sequence[Candidate] = (),
) -> int:
    """Record a new search, or find the one with the same key; returns its id."""
    with store.write() as connection:
        known = find(connection, key)
        if known is not None:
            return int(known.id)
        tried = json.loads(json.dumps([asdict(candidate) for candidate in warm_starts]))
        facts = {"key": key, "version": version, "plan": plan, "run": run}
        new = searches.insert().values(**facts, warm_starts=tried, started_at=utc_now())
        return int(connection.execute(new.returning(searches.c.id)).scalar_one())


def warm_starts_of(row: Row[Any]) -> tuple[Candidate, ...]:
    """Candidates of earlier searches that a search also tries."""
    return tuple(Candidate(**candidate) for candidate in row.warm_starts or ())


def metric_of(row: Row[Any]) -> str:
    """The metric by which a search chose; one without it is older than other metrics."""
    return str(row.plan.get("metric", RMSE))


def metrics_of(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """`metric_of` each of some searches."""
    query = sa.select(searches.c.id, searches.c.plan).where(searches.c.id.in_(ids))
    return {row.id: metric_of(row) for row in connection.execute(query)}


def best_of_others(connection: Connection, before: int, limit: int) -> list[Candidate]:
    """The best candidate of each of the last finished searches of versions before `before`."""
    query = (
        sa.select(searches.c.id)
        .where(searches.c.finished_at.is_not(None), searches.c.version < before)
        .order_by(searches.c.id.desc())
        .limit(limit)
    )
    found = []
    for search in connection.scalars(query):
        scored = [t for t in trials_of(connection, search) if t.cv_error < inf]
        if scored:
            found.append(min(scored, key=lambda t: (t.cv_error, t.candidate.index)).candidate)
    return found


def note(store: Store, search: int, **facts: Any) -> None:
    """Record the preprocessing, the comparison or the curves of a search."""
    with store.write() as connection:
        connection.execute(searches.update().where(searches.c.id == search).values(**facts))


def record_score(store: Store, search: int, score: Score) -> None:
    """Record one score, which a restart then does not compute again."""
    facts = {**vars(score), "value": None if score.error else score.value}
    new = fold_scores.insert().values(search=search, **facts, recorded_at=utc_now())
    with store.write() as connection:
        connection.execute(new)


def scores_of(connection: Connection, search: int) -> Sequence[Score]:
    """The recorded scores, by candidate and fold."""
    query = sa.select(fold_scores).where(fold_scores.c.search == search)
    ordered = query.order_by(fold_scores.c.candidate, fold_scores.c.fold)
    return [
        Score(
            row.candidate,
            row.fold,
            inf if row.value is None else row.value,
            row.seconds,
            row.error,
            row.train_error,
        )
        for row in connection.execute(ordered)
    ]


def record(store: Store, search: int, trial: Trial) -> None:
    """Record one finished trial."""
    with store.write() as connection:
        connection.execute(
            trials.insert().values(
                search=search,
                candidate=trial.candidate.index,
                family=trial.candidate.family,
                parameters=json.loads(json.dumps(trial.candidate.parameters)),
                fold_errors=list(trial.fold_errors),
                fold_train_errors=list(trial.fold_train_errors),
                cv_error=None if trial.error or trial.stopped else trial.cv_error,
                seconds=trial.seconds,
                error=trial.error,
                stopped=trial.stopped,
                recorded_at=utc_now(),
            )
        )


def finish(store: Store, search: int, choice: Mapping[str, Any], out_of_fold: Blob) -> None:
    """Record the end of a search: its choice and its out-of-fold predictions."""
    with store.write() as connection:
        digest = record_blob(connection, out_of_fold, "out_of_fold")
        this = searches.update().where(searches.c.id == search, searches.c.finished_at.is_(None))
        connection.execute(this.values(**choice, out_of_fold=digest, finished_at=utc_now()))


def times_of(connection: Connection, search: int) -> dict[int, datetime]:
    """When each trial ended, by candidate."""
    query = sa.select(trials.c.candidate, trials.c.recorded_at).where(trials.c.search == search)
    return {row.candidate: row.recorded_at for row in connection.execute(query)}


def trials_of(connection: Connection, search: int) -> Sequence[Trial]:
    """The recorded trials, in order of their candidates."""
    query = sa.select(trials).where(trials.c.search == search).order_by(trials.c.candidate)
    return [
        Trial(
            candidate=Candidate(index=row.candidate, family=row.family, parameters=row.parameters),
            fold_errors=tuple(row.fold_errors),
            fold_train_errors=tuple(row.fold_train_errors),
            seconds=row.seconds,
            error=row.error,
            stopped=bool(row.stopped),
        )
        for row in connection.execute(query)
    ]
