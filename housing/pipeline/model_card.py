"""The model card of a model: card-m7.md and card-m7.html among the reports."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from sqlalchemy.engine import Row

from housing import schema
from housing.array_types import Floats
from housing.errors import NotMeasurable
from housing.evaluation.compare import compare_groups
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import row_cells
from housing.formatting import number
from housing.gate import evidence as records
from housing.inference.calibration import MIN_SLICE_ROWS
from housing.inference.columns import columns_of_frame
from housing.inference.explain import GROUPS, explain
from housing.inference.loaded_model import LoadedModel, load, stored_predictions
from housing.keys import KEY_COLUMN
from housing.metric import RMSE
from housing.records import Interval, Metrics, UnseenPlaces
from housing.report.card import (
    CardFacts,
    Example,
    SliceFigures,
    markdown,
    rendered,
)
from housing.report.worth import worth
from housing.settings import Settings, ValueSettings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.models import promotion_log, registry, searches
from housing.store.objects.pages import page_storage
from housing.training.candidates import FAMILIES
from housing.training.workers import one_thread

EXAMPLES = 10
"""Predictions of each kind, worst and typical, that a card explains."""

ORDERS = 6
"""Random orders of features in their contributions: a tenth off the exact ones, in a third of the
time."""


def write(store: Store, settings: Settings, model: int) -> tuple[str, str, CardFacts]:
    """Write the card of a model; returns where its Markdown and HTML are, and their data."""
    facts = collect(store, model, settings.value, settings.gate.metric)
    pages = page_storage(settings)
    texts = {f"card-m{model}.md": markdown(facts), f"card-m{model}.html": rendered(facts)}
    for name, text in texts.items():
        pages.write(name, text.encode())
    text, page = map(pages.location, texts)
    return text, page, facts


def collect(
    store: Store, model: int, value: ValueSettings | None = None, metric: str = RMSE
) -> CardFacts:
    """The data of a card, measured on the test side of the model's own dataset: by the predictions
    that are stored with its evaluation or, if there are none, by predicting again."""
    with store.read() as connection:
        row = registry.model(connection, model)
        champion = promotion_log.champion(connection)
        former = promotion_log.former_champions(connection)
        trials = searches.trials_of(connection, row.search)
        plan = searches.get(connection, row.search).plan
        members = datasets.get(connection, row.version).batches
        judged = registry.newest_evaluation(connection, model)
        compared = registry.newest_comparison(connection, model)
    served = load(store, model)
    frame = datasets.read(store, row.version)
    test = datasets.test_rows(frame)
    stored = stored_predictions(store, row, test[KEY_COLUMN].to_numpy())
    metrics, median, slices, examples = _measured(served, test, stored, metric)
    calibration = served.calibration
    known = FAMILIES.get(row.family)
    return CardFacts(
        model=f"m{model}",
        role="champion" if model == champion
        else "former champion" if model in former else "challenger",
        family=row.family,
        explanation="" if known is None else known.explanation,
        trained_at=f"{row.created_at:%Y-%m-%d %H:%M} UTC",
        dataset=f"v{row.version}",
        simulated=served.simulated,
        train_rows=row.train_rows,
        test_rows=len(test),
        batches=[f"b{batch}" for batch in members],
        seed=row.seed,
        ensemble_size=row.ensemble_size,
        parameters=row.parameters,
        candidates=len(trials),
        folds=plan["folds"],
        metric=plan.get("metric", RMSE),
        cv_error=row.cv_error,
        metrics=metrics,
        **_corrected(compared, model),
        median_error=median,
        nominal=None if calibration.interval is None else calibration.interval.nominal,
        coverage=calibration.coverage,
        slices=slices,
        examples=examples,
        unseen=TypeAdapter(UnseenPlaces).validate_python(row.unseen) if row.unseen else None,
        worth=() if judged is None or value is None
        else worth(records.read(judged.evidence), value.cost_per_error, value.revenue),
        importances=row.importances,
        ranges=calibration.ranges,
        seen=calibration.seen,
        libraries=row.libraries,
        artifact=row.artifact,
    )  # fmt: skip


def _corrected(compared: Row[Any] | None, model: int) -> dict[str, Any]:
    """Its error without the selection bias, as its newest verdict recorded it."""
    if compared is None:
        return {"corrected": None, "corrected_metric": RMSE}
    evidence = records.read(compared.evidence)
    side = evidence.challenger if evidence.challenger.id == model else evidence.champion
    return {"corrected": side and side.corrected, "corrected_metric": evidence.metric}


def _measured(
    served: LoadedModel, test: pd.DataFrame, stored: Floats | None, metric: str
) -> tuple[Metrics | None, float | None, list[SliceFigures], list[Example]]:
    if len(test) < 2:
        return None, None, [], []
    actual = test[schema.TARGET].to_numpy(np.float64)
    predicted = served.predict(columns_of_frame(test)) if stored is None else stored
    try:
        metrics = measure(actual, predicted, where=row_cells(test), metric=metric)
    except NotMeasurable:
        return None, None, [], []
    size = np.abs(actual - predicted)
    with one_thread():  # for a few rows, waking others takes longer than they save
        examples = list(_examples(served, test, predicted, size))
    return metrics, float(np.median(size)), _slices(served, test, predicted, metric), examples


def _slices(
    served: LoadedModel, test: pd.DataFrame, predicted: Any, metric: str
) -> list[SliceFigures]:
    """Groups of slices and strata, each beside all other test rows; errors by `metric`."""
    inside = {(s.column, s.name): s.coverage for s in served.calibration.slices}
    actual, where = test[schema.TARGET].to_numpy(np.float64), row_cells(test)
    groups = {
        (grouping.column, name): rows
        for grouping in (*schema.TABLE.slices, *schema.TABLE.strata)
        for codes in [grouping.codes(test)]
        for level, name in enumerate(grouping.names())
        if (rows := codes == level).sum() >= MIN_SLICE_ROWS
    }
    found = []
    for (column, name), rows in groups.items():
        metrics = measure(actual[rows], predicted[rows], where=where.of(rows), metric=metric)
        rest: Interval | None = None
        with suppress(NotMeasurable):  # a group of all rows
            rest = compare_groups(actual, predicted, rows, where, metric, confidence=0.95)
        found.append(
            SliceFigures(
                column, name, metrics.rows, metrics.error, inside.get((column, name)),
                metrics.within_10, rest,
            )
        )  # fmt: skip
    return found


def _examples(
    served: LoadedModel, test: pd.DataFrame, predicted: Floats, size: Floats
) -> Iterator[Example]:
    """The test rows with the largest errors, and those with errors nearest to the median.

    `predicted` and `size`, the absolute error, have shape (n,).
    """
    worst = np.argsort(-size, kind="stable")[:EXAMPLES]
    order = np.argsort(np.abs(size - np.median(size)), kind="stable")
    for row in (*worst, *[row for row in order if row not in worst][:EXAMPLES]):
        columns = columns_of_frame(test.iloc[[row]])
        found = explain(served, columns, ORDERS)
        values = test.iloc[row]
        largest = sorted(found.contributions.items(), key=lambda part: -abs(part[1]))[:3]
        near: list[tuple[int, float]] = []
        if schema.LOCATION is not None:
            near = served.training_index.nearest([values[n] for n in schema.COORDINATES], 3)
        yield Example(
            worst=row in worst,
            actual=float(values[schema.TARGET]),
            predicted=float(predicted[row]),
            base=found.base_value,
            contributions={_in_words(group, values): part for group, part in largest},
            neighbours=[(float(served.training_index.values[i]), away) for i, away in near],
        )


def _in_words(group: str, row: "pd.Series[Any]") -> str:
    """A group of fields with its values in a row."""
    names = GROUPS[group]
    if schema.LOCATION is not None and names == schema.COORDINATES:
        return ", ".join(schema.LOCATION.written(name, row[name]) for name in names)
    (name,) = names
    value = "none" if pd.isna(row[name]) else row[name]
    return f"{group} {value if isinstance(value, str) else number(value)}"
