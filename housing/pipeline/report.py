"""The report of a run: collected from SQL and rendered to one HTML file."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.errors import HousingError
from housing.formatting import percent
from housing.gate import evidence as records
from housing.gate import policy as policies
from housing.gate.evidence import HoldoutReuse
from housing.metric import RMSE, metric_named
from housing.pipeline import data_page, model_card
from housing.pipeline.notices import notices
from housing.pipeline.run_context import RunContext
from housing.records import Interval, RunResult, Verdict
from housing.report.card import markdown, what_to_expect
from housing.report.data import QuarantinedRow, RunReport, TestSet
from housing.report.markdown import summary
from housing.report.run_page import render
from housing.settings import Settings
from housing.store.data import batches, profiles
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.models import artifacts, registry, searches
from housing.store.objects.pages import page_storage
from housing.store.runs import runs
from housing.training.curves import Curve
from housing.training.lineage import FeatureGroup, definitions, grouped
from housing.training.search import best

log = logging.getLogger("housing")

QUARANTINE_SHOWN = 20
"""Rejected rows that a report shows; the quarantine has all."""

HISTORY_SHOWN = 60
"""Verdicts in the plot of the champion's error."""


@dataclass(frozen=True)
class WrittenReport:
    """A stored report: the result with its location, the summary, the data, the model card."""

    result: RunResult
    summary: str
    report: RunReport
    card: str = ""  # the challenger's model card, Markdown


def write_report(
    store: Store, settings: Settings, run: RunContext, result: RunResult
) -> WrittenReport:
    """Write the report of a run, the challenger's model card and the page of the dataset."""
    pages, name = page_storage(settings), f"report-r{run.id}.html"
    location = pages.location(name)
    text, card, expected = _card(store, settings, result)
    data = _data_page(store, settings, result)
    collected = collect(store, settings, run.id, result)
    report = replace(collected, location=location, card=card, data_page=data, expectations=expected)
    pages.write(name, render(report).encode())
    return WrittenReport(replace(result, report=location), summary(report), report, text)


def _card(store: Store, settings: Settings, result: RunResult) -> tuple[str, str, str]:
    """The challenger's model card: its Markdown, the path of its page, and what to expect (HTML).

    All are empty without one.

    A failed model card must not prevent the report.
    """
    if result.challenger is None:
        return "", "", ""
    try:
        _, page, facts = model_card.write(store, settings, result.challenger)
        return markdown(facts), page, what_to_expect(facts)
    except HousingError as error:
        log.warning("m%d has no model card: %s", result.challenger, error)
        return "", "", ""


def _data_page(store: Store, settings: Settings, result: RunResult) -> str:
    """Path of the page of the run's dataset version, written once a version; empty without one.

    A failed page must not prevent the report.
    """
    if result.version is None:
        return ""
    pages, name = page_storage(settings), data_page.page_name(result.version)
    try:
        if pages.exists(name):
            return pages.location(name)
        return data_page.write(settings, data_page.collect(store, result.version))
    except HousingError as error:
        log.warning("v%d has no page: %s", result.version, error)
        return ""


def collect(store: Store, settings: Settings, run: int, result: RunResult) -> RunReport:
    """The data of a report; steps that the run did not reach stay empty."""
    with store.read() as connection:
        row = runs.get(connection, run)
        completed = runs.last_completed_retraining(connection)
        last = 0 if completed is None else completed.id
        ingested = batches.ingested_after(connection, last)
        report = RunReport(
            run=run,
            started_at=row.started_at,
            outcome=result.outcome,
            message=result.message,
            notices=tuple(notices(connection, settings)),
            batches=(
                *(batches.summary(batch) for batch in ingested),
                *runs.skipped_files_since(connection, last),
            ),
            dataset=None if result.version is None else profiles.get(connection, result.version),
            steps=runs.steps(connection, run),
            settings=_shown(settings),
            **_history(connection),
        )
        if result.challenger is not None:
            report = _with_models(store, connection, report, result)
    return replace(report, quarantine=tuple(_quarantine(store, ingested)))


def _with_models(
    store: Store, connection: Connection, report: RunReport, result: RunResult
) -> RunReport:
    model = registry.model(connection, result.challenger or 0)
    trials = tuple(searches.trials_of(connection, model.search))
    evaluation = registry.newest_evaluation(connection, model.id)
    search = searches.get(connection, model.search)
    report = replace(
        report,
        comparison=search.comparison or {},
        curves=tuple(TypeAdapter(list[Curve]).validate_python(search.curves or ())),
        preprocessing=tuple(search.preprocessing or ()),
        challenger=f"m{model.id} ({model.family})",
        search_metric=searches.metric_of(search),
        trials=trials,
        best=best(trials).candidate.index,
        importances=model.importances,
        groups=model.groups,
        lineage=_lineage(store, model),
    )
    if evaluation is None:
        return report
    champion = evaluation.champion
    return replace(
        report,
        champion="" if champion is None else _name(registry.model(connection, champion)),
        evidence=records.read(evaluation.evidence),
        policy=policies.read(evaluation.policy),
        verdict=TypeAdapter(Verdict).validate_python(evaluation.verdict),
        test=_test_set(store, evaluation),
    )


def _lineage(store: Store, model: Row[Any]) -> tuple[FeatureGroup, ...]:
    """The features of a model by their columns; a model that cannot be read has none here."""
    try:
        return grouped(definitions(artifacts.get_model(store, model.artifact)))
    except HousingError as error:
        log.warning("the report does not show the features of m%d: %s", model.id, error)
        return ()


def _name(model: Row[Any]) -> str:
    return f"m{model.id} ({model.family})"


def _test_set(store: Store, evaluation: Row[Any]) -> TestSet:
    table = get_table(store, evaluation.predictions)
    actual, predicted = (table[name].to_numpy() for name in (schema.TARGET, schema.CHALLENGER))
    if schema.LOCATION is None:
        return TestSet(actual, predicted)
    x, y = (table[name].to_numpy() for name in schema.LOCATION.columns)
    return TestSet(actual, predicted, (x, y))


def _history(connection: Connection) -> dict[str, Any]:
    """At each verdict: the error of the model that it made or kept champion, and test-set reuse.

    Errors are by the newest evidence's metric, where older evidence has it.
    """
    found = registry.newest_evaluations(connection, HISTORY_SHOWN)
    metric = records.read(found[0].evidence).metric if found else RMSE
    errors: list[tuple[datetime, Interval]] = []
    reuse: list[tuple[datetime, HoldoutReuse]] = []
    for row in reversed(found):
        evidence = records.read(row.evidence)
        promoted = row.outcome == "promote" or evidence.champion is None
        model = evidence.challenger if promoted else evidence.champion
        if model is not None and model.metrics is not None and (error := model.metrics.by(metric)):
            errors.append((row.created_at, error))
        if evidence.holdout_reuse is not None:
            reuse.append((row.created_at, evidence.holdout_reuse))
    return {"metric": metric, "history": tuple(errors), "holdout_reuse": tuple(reuse)}


def _quarantine(store: Store, ingested: Sequence[Row[Any]]) -> Iterator[QuarantinedRow]:
    left = QUARANTINE_SHOWN
    for batch in ingested:
        if batch.rejected is None or not left:
            continue
        table = get_table(store, batch.rejected, ("line", "code", "column", "value"))
        rows = table.slice(0, left).to_pylist()
        left -= len(rows)
        for row in rows:
            yield QuarantinedRow(batch.name, row["line"], row["code"], row["column"], row["value"])


def _shown(settings: Settings) -> dict[str, str]:
    return {
        "sources": ", ".join(settings.sources.names),
        "seed": str(settings.split.seed),
        "test share": percent(settings.split.test_share, 0),
        "families": ", ".join(settings.search.families),
        "candidates": str(settings.search.n_trials),
        "folds": str(settings.search.folds),
        "gate": f"{metric_named(settings.gate.metric).label}, rule {settings.gate.rule}, "
        f"margin {percent(settings.gate.margin)}",
    }
