"""What the tests of a table do in a process of its own, as a problem is a process's: `main`."""

import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import randint

from housing import schema
from housing.formatting import amount
from housing.inference.columns import columns_of_frame
from housing.inference.explain import explain
from housing.inference.fast_predictor import predictor
from housing.inference.file_scoring import score
from housing.inference.loaded_model import LoadedModel, load
from housing.operations.export import export
from housing.operations.labelling_sample import write_sample
from housing.operations.labels import ingest_labels
from housing.operations.monitor import monitor
from housing.pipeline import train
from housing.pipeline.run_context import NightlyParameters, start_run
from housing.serving.prediction_log import Entry, PredictionLog
from housing.serving.response_models import ID_FIELD
from housing.serving.shadow_comparison import compare_shadow
from housing.settings import Settings, load_settings
from housing.store.data import datasets
from housing.store.database.open import open_store
from housing.store.database.tables import utc_now
from housing.store.models import artifacts, promotion_log, registry
from housing.training.candidates import FAMILIES
from housing.training.search_config import SearchPlan
from tests.fixtures.api_client import answers
from tests.fixtures.run_without_prefect import plain_run
from tests.problems.names import NAMED_TABLES
from tests.problems.tables import TABLES

TREES = "max_iter"
FIRST, NEXT = 700, 700
"""Rows of the first delivery and of each later one."""


def fewer_trees() -> None:
    """The families as they are, with spaces of fewer trees."""
    for name, family in list(FAMILIES.items()):
        space = {
            key: randint(20, 41) if key.endswith(TREES) else values
            for key, values in family.space.items()
        }
        FAMILIES[name] = replace(family, space=space)


def deliver_and_run(first: int, last: int) -> None:
    """Runs `first` to `last`, each after the delivery of the rows that follow the last ones."""
    settings = load_settings()
    rows = {**TABLES, **NAMED_TABLES}[schema.PROBLEM.name]()
    assert settings.sources.landing_dir is not None
    settings.sources.landing_dir.mkdir(parents=True, exist_ok=True)
    ends = [0, *(FIRST + NEXT * i for i in range(last))]
    for number in range(first, last + 1):
        file = settings.sources.landing_dir / f"delivery{number}.csv"
        rows.iloc[ends[number - 1] : ends[number]].to_csv(file, index=False)
        print(plain_run().message)


def each_family() -> None:
    """Search, fit, store, load, predict and explain a model of each family on the same rows."""
    settings = load_settings()
    with start_run("nightly", NightlyParameters()) as run, open_store(settings) as store:
        with store.read() as connection:
            version = datasets.active(connection)
        assert version is not None
        test = datasets.test_rows(datasets.read(store, version.id))[list(schema.FEATURES)]
        for name in FAMILIES:
            plan = settings.search.model_copy(update={"families": (name,)})
            own = settings.model_copy(update={"search": plan})
            model = train.fit(store, run, train.search(store, run, version.id, own), own)
            with store.read() as connection:
                row = registry.model(connection, model)
            fitted = artifacts.get_model(store, row.artifact)
            plain = fitted.predict(test)
            expected, fast = schema.in_range(plain), predictor(fitted)
            assert fast.parts, f"{name}: no way without frames"
            np.testing.assert_allclose(fast.predict(columns_of_frame(test)), expected, rtol=1e-9)
            assert set(row.importances) == set(schema.FEATURES), row.importances
            assert max(row.importances.values()) > 0
            served = load(store, model)
            assert 0 < served.seconds < 60
            found = served.predictions(columns_of_frame(test))
            for values in (found.predicted, found.lower, found.upper):
                np.testing.assert_array_equal(schema.in_range(values), values)
            np.testing.assert_allclose(found.predicted, expected, rtol=1e-9)
            why = explain(served, columns_of_frame(test.iloc[:1]))
            total = why.base_value + sum(why.contributions.values())
            np.testing.assert_allclose(total, expected[0], rtol=1e-9)
            held = int(np.sum(expected != plain))
            print(name, row.family, amount(float(expected[0])), f"{held} held in the range")


def every_use(folder: Path) -> None:
    """Two runs, then all that is stored or written beside columns of the table.

    Predictions of a file, logged predictions of the champion and a shadow, labels, windows of the
    monitor, a labelling sample, an export, requests. Prints the figures; the files stay in
    `folder`.
    """
    train.plan_of = _one_seed
    deliver_and_run(1, 2)
    settings = load_settings()
    rows = NAMED_TABLES[schema.PROBLEM.name]().iloc[FIRST + NEXT :][:400]
    rows.drop(columns=schema.TARGET).to_csv(folder / "rows.csv", index=False)
    rows[[schema.ID_COLUMN, schema.TARGET]].to_csv(folder / "labels.csv", index=False)
    with open_store(settings) as store:
        with store.read() as connection:
            champion = promotion_log.champion(connection)
        assert champion is not None
        served, shadow = load(store, champion), load(store, 1)
        log = PredictionLog(store, settings.serve, shadow=lambda: shadow)
        put = partial(_put, log, served)
        score(served, folder / "rows.csv", folder / "predicted.csv", name="rows.csv", kind="csv",
              on_chunk=put)  # fmt: skip
        print(log.write(), asdict(compare_shadow(store)[0]))
        print(ingest_labels(store, settings, [folder / "labels.csv"]).message)
        found = monitor(store, settings)
        print([(w.source, w.rows, [s.fired for s in w.signals]) for w in found.windows])
        print([{n: e[n] for n in ("model", "shadow", "rows", "rmse")} for e in found.errors])
        write_sample(store, folder / "sample.csv", 30, seed=1, other=1)
        print([path.name for path in export(store, champion, "skops", folder / "export").files])
    (row,) = json.loads(rows[list(schema.FEATURES)].head(1).to_json(orient="records"))
    body = {"rows": [{**row, schema.ID_COLUMN: "a"}]}
    answer, form, _ = answers(
        [("POST", "/explain", body), ("GET", "/form", None), ("GET", "/openapi.json", None)]
    )
    print(answer["base_value"], answer["predictions"][0]["predicted"])
    assert answer["predictions"][0][ID_FIELD] == "a"
    assert len(answer["contributions"]) == len(schema.FEATURES)
    assert [each["name"] for each in form["fields"]] == [*schema.FEATURES]
    deliver_and_run(3, 3)


def _one_seed(settings: Settings, _content: str) -> SearchPlan:
    """Not the seed of the rows' content, as that has the names of columns."""
    return settings.search


def _put(log: PredictionLog, served: LoadedModel, columns: Any, predictions: Any, ids: Any) -> None:
    log.put(Entry(utc_now(), served, columns, predictions, ids))


def main() -> None:
    """`runs FIRST LAST`, `families`, or `every-use FOLDER`."""
    fewer_trees()
    match sys.argv[1:]:
        case ["runs", first, last]:
            deliver_and_run(int(first), int(last))
        case ["families"]:
            each_family()
        case ["every-use", folder]:
            every_use(Path(folder))


if __name__ == "__main__":
    main()
