"""The page of a dataset version: data-v3.html among the reports."""

from contextlib import suppress

import pandas as pd

from housing import schema
from housing.errors import NothingToTrainOn
from housing.features.derived import compute, inputs_of
from housing.quality.description import correlations, describe, stratum_shares
from housing.records import DatasetProfile
from housing.report.data_page import ColumnChange, DataPage, cap_of, render
from housing.settings import Settings
from housing.store.data import batches, datasets, profiles
from housing.store.database.engine import Store
from housing.store.objects.pages import page_storage
from housing.training.candidates import DERIVED
from housing.training.split import strata, stratum_name


def write(settings: Settings, data: DataPage) -> str:
    """Render the page; returns where it is."""
    pages, name = page_storage(settings), page_name(data.version)
    pages.write(name, render(data).encode())
    return pages.location(name)


def page_name(version: int) -> str:
    """The name of a version's page."""
    return f"data-v{version}.html"


def collect(store: Store, version: int, compared: int | None = None) -> DataPage:
    """Everything that the page shows; what labels show is taken from the training side alone.

    `compared` is the version that changes are counted from, the parent if left out.
    """
    with store.read() as connection:
        made = datasets.get(connection, version)
        simulated = batches.any_simulated(connection, version)
    compared = made.parent if compared is None else compared
    frame = datasets.read(store, version)
    strata_of = strata(frame)
    test = frame[datasets.SIDE_COLUMN].to_numpy()
    names = {code: stratum_name(code) for code in set(strata_of.tolist())}
    training = datasets.training_rows(frame)
    if training.empty:
        raise NothingToTrainOn(
            why=f"dataset v{version} has no training rows",
            next_step="`housing ingest FILE` brings rows in.",
        )
    numbers = _numbers(training)
    found = {name: describe(numbers[name], cap_of(name)) for name in map(str, numbers)}
    facts = {name: each for name, each in found.items() if each is not None}
    before: DatasetProfile | None = None
    changes: list[ColumnChange] = []
    if compared is not None:
        with suppress(NothingToTrainOn):  # an empty version: there is nothing to compare with
            before, after = profiles.measured(store, compared), profiles.measured(store, version)
            changes = [
                ColumnChange(n, before.columns[n], after.columns[n]) for n in schema.FEATURES
            ]
    return DataPage(
        version=version,
        created_at=made.created_at,
        rows=len(frame),
        train_rows=int((~test).sum()),
        test_rows=int(test.sum()),
        batches=[f"b{batch}" for batch in made.batches],
        simulated=simulated,
        training=numbers,
        facts=facts,
        categories={
            name: {str(k): int(v) for k, v in training[name].value_counts(sort=False).items()}
            for name in schema.CATEGORIES
        },
        units={name: column.unit for name, column in schema.CATALOGUE.items()}
        | {each.name: each.unit for each in DERIVED},
        correlations=correlations(numbers[list(facts)]),
        strata=stratum_shares(strata_of, test, names),
        compared=None if before is None else compared,
        compared_rows=0 if before is None else before.rows,
        changes=changes,
    )


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers and, after them, derived ones."""
    numbers = rows[list(schema.NUMBERS)]
    if not DERIVED:
        return numbers
    derived = compute(numbers[list(inputs_of(DERIVED))], DERIVED)
    return numbers.join(pd.DataFrame(derived, columns=[each.name for each in DERIVED]))
