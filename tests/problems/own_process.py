"""What the tests of a table do in a process of its own, as a problem is a process's: `main`."""

import sys
from dataclasses import replace

import numpy as np
from scipy.stats import randint

from housing import schema
from housing.formatting import amount
from housing.inference.columns import columns_of_frame
from housing.inference.explain import explain
from housing.inference.fast_predictor import predictor
from housing.inference.loaded_model import load
from housing.pipeline import train
from housing.pipeline.run_context import NightlyParameters, start_run
from housing.settings import load_settings
from housing.store.data import datasets
from housing.store.database.open import open_store
from housing.store.models import artifacts, registry
from housing.training.candidates import FAMILIES
from tests.fixtures.run_without_prefect import plain_run
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
    rows = TABLES[schema.PROBLEM.name]()
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
            expected = fitted.predict(test)
            fast = predictor(fitted)
            assert fast.parts, f"{name}: no way without frames"
            plain = {c: [None if v != v else v for v in test[c].tolist()] for c in test}
            np.testing.assert_allclose(fast.predict(plain), expected, rtol=1e-9)
            assert set(row.importances) == set(schema.FEATURES), row.importances
            assert max(row.importances.values()) > 0
            served = load(store, model)
            assert 0 < served.seconds < 60
            found = explain(served, columns_of_frame(test.iloc[:1]))
            total = found.base_value + sum(found.contributions.values())
            np.testing.assert_allclose(total, expected[0], rtol=1e-9)
            print(name, row.family, amount(float(expected[0])))


def main() -> None:
    """`runs FIRST LAST` or `families`."""
    fewer_trees()
    match sys.argv[1:]:
        case ["runs", first, last]:
            deliver_and_run(int(first), int(last))
        case ["families"]:
            each_family()


if __name__ == "__main__":
    main()
