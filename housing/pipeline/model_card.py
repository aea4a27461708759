"""The model card of a model, written to HOME/reports/card-m7.md and .html."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from housing import schema
from housing.errors import NotMeasurable
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import row_cells
from housing.inference.calibration import MIN_SLICE_ROWS
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import Floats, LoadedModel, load, stored_predictions
from housing.keys import KEY_COLUMN
from housing.records import Metrics
from housing.report.card import CardFacts, SliceFigures, markdown, rendered
from housing.settings import Settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.models import registry, searches
from housing.store.objects.filesystem import write_page
from housing.store.queries import time as as_text
from housing.training.candidates import FAMILIES


def write(store: Store, settings: Settings, model: int) -> tuple[Path, Path]:
    """Write the card of a model; returns the Markdown and the HTML file."""
    facts = collect(store, model)
    paths = tuple(settings.home / "reports" / f"card-m{model}.{kind}" for kind in ("md", "html"))
    for path, text in zip(paths, (markdown(facts), rendered(facts)), strict=True):
        write_page(path, text.encode())
    return paths[0], paths[1]


def collect(store: Store, model: int) -> CardFacts:
    """Everything that a card says; measured on the test side of the model's own dataset, by the
    answers that its verdict has kept or, where they are gone, by asking it again."""
    with store.read() as connection:
        row = registry.model(connection, model)
        champion = registry.champion(connection)
        former = registry.former_champions(connection)
        trials = searches.trials_of(connection, row.search)
        plan = searches.get(connection, row.search).plan
        members = datasets.get(connection, row.version).batches
    served = load(store, model)
    frame = datasets.read(store, row.version)
    test = datasets.test_rows(frame)
    answers = stored_predictions(store, row, test[KEY_COLUMN].to_numpy())
    metrics, median, slices = _measured(served, test, answers)
    calibration = served.calibration
    known = FAMILIES.get(row.family)
    return CardFacts(
        model=f"m{model}",
        role="champion" if model == champion
        else "former champion" if model in former else "challenger",
        family=row.family,
        explanation="" if known is None else known.explanation,
        trained_at=as_text(row.created_at) or "",
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
        cv_rmse=row.cv_rmse,
        metrics=metrics,
        median_error=median,
        nominal=None if calibration.interval is None else calibration.interval.nominal,
        coverage=calibration.coverage,
        slices=slices,
        importances=row.importances,
        ranges=calibration.ranges,
        seen=calibration.seen,
        libraries=row.libraries,
        artifact=row.artifact,
    )  # fmt: skip


def _measured(
    served: LoadedModel, test: pd.DataFrame, answers: Floats | None
) -> tuple[Metrics | None, float | None, list[SliceFigures]]:
    if len(test) < 2:
        return None, None, []
    actual = test[schema.TARGET].to_numpy(np.float64)
    predicted = served.predict(columns_of_frame(test)) if answers is None else answers
    try:
        metrics = measure(actual, predicted, where=row_cells(test))
    except NotMeasurable:
        return None, None, []
    return metrics, float(np.median(np.abs(actual - predicted))), _slices(served, test, predicted)


def _slices(served: LoadedModel, test: pd.DataFrame, predicted: Any) -> list[SliceFigures]:
    inside = {(s.column, s.name): s.coverage for s in served.calibration.slices}
    actual, where = test[schema.TARGET].to_numpy(np.float64), row_cells(test)
    found = []
    for grouping in schema.TABLE.slices:
        codes = grouping.codes(test)
        for level, name in enumerate(grouping.names()):
            rows = codes == level
            if rows.sum() >= MIN_SLICE_ROWS:
                rmse = measure(actual[rows], predicted[rows], where=where.of(rows)).rmse
                share = inside.get((grouping.column, name))
                found.append(SliceFigures(grouping.column, name, int(rows.sum()), rmse, share))
    return found
