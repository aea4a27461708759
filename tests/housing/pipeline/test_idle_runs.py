"""Idle runs: whatever happens to the dataset, the same rows give no second chance."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle

import pytest
import sqlalchemy as sa
from scipy.stats import randint

from housing.pipeline import datasets as dataset_steps
from housing.pipeline import ingest
from housing.pipeline.run_context import NightlyParameters, start_run
from housing.records import RunResult
from housing.settings import Settings, load_settings
from housing.store.data import batches, copies, datasets
from housing.store.database.open import open_store
from housing.store.database.tables import promotion_log, searches
from housing.training.candidates import FAMILIES
from tests.fixtures import dataset_operations
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import SMALL, landing_rows, small_forest

RUNS = 30


@pytest.fixture
def small(home: object, no_report: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A gate at which equal challengers pass by luck: every second one, were it drawn again."""
    changed = {"GATE__CONFIDENCE": "0.95", "GATE__MARGIN": "0.5", "SEARCH__N_TRIALS": "1"}
    for name, value in {**SMALL, **{f"HOUSING_{k}": v for k, v in changed.items()}}.items():
        monkeypatch.setenv(name, value)
    alike = replace(small_forest(), space={"model__max_features": randint(8, 10)})
    monkeypatch.setitem(FAMILIES, "forest", alike)  # type: ignore[arg-type]
    settings = load_settings()
    assert settings.sources.landing_dir is not None
    settings.sources.landing_dir.mkdir(parents=True)
    return settings


def _land(settings: Settings, name: str, seed: int, order: int | None = None) -> None:
    rows = landing_rows(seed, 3000 if name == "a.csv" else 600)
    if order is not None:
        rows = rows.sample(frac=1, random_state=order)  # the same rows are another file
        rows["district_id"] = [f"{order}-{i}" for i in range(len(rows))]
    assert settings.sources.landing_dir is not None
    rows.to_csv(settings.sources.landing_dir / name, index=False)


def _promotions(settings: Settings) -> int:
    with open_store(settings) as store, store.read() as connection:
        query = sa.select(sa.func.count()).where(promotion_log.c.operation == "promote")
        return connection.execute(query).scalar_one()


def _searches(settings: Settings) -> int:
    with open_store(settings) as store, store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(searches)).scalar_one()


def _newest_batch(settings: Settings) -> int:
    with open_store(settings) as store, store.read() as connection:
        active = datasets.active(connection)
        assert active is not None
        return active.batches[-1]


def _nothing(settings: Settings, day: int) -> None:
    pass


def _redelivered(settings: Settings, day: int) -> None:
    """The newest batch is withdrawn; its rows come again in another order and file, under ids of
    their own, and a person accepts them.
    """
    with open_store(settings) as store:
        copies.withdraw(store, _newest_batch(settings), reason="in doubt")
    _land(settings, f"again{day}.csv", 1, order=day)
    with open_store(settings) as store:
        (found,) = [b for b in ingest.ingest(store, settings, run=None).batches if b.id]
        assert (found.status, found.id is None) == ("quarantined", False), found.message
        batches.release_quarantined(store, found.id or 0)


def _came_and_went(settings: Settings, day: int) -> None:
    """A batch enters the dataset and is withdrawn before any run has seen it."""
    _land(settings, f"polluted{day}.csv", 100 + day)
    with start_run("ingest", NightlyParameters()) as begun, open_store(settings) as store:
        ingest.ingest(store, settings, run=begun.id)
        dataset_steps.freeze(store, begun)
        dataset_steps.split(store, settings)
        dataset_operations.withdraw(store, _newest_batch(settings), reason="polluted")


def _rolled_back(settings: Settings, day: int) -> None:
    """Back to the first version, of which a run has been."""
    with open_store(settings) as store:
        dataset_operations.roll_back(store, 1, reason="in doubt")


def _brought_back(settings: Settings, day: int) -> None:
    with open_store(settings) as store:
        dataset_operations.roll_back(store, 2, reason="it was right")


EVENTS = (_nothing, _redelivered, _came_and_went, _rolled_back, _nothing, _brought_back)


def _idle(settings: Settings) -> Iterator[RunResult]:
    event: Callable[[Settings, int], None]
    for day, event in zip(range(RUNS), cycle(EVENTS), strict=False):
        event(settings, day)
        sunday = NightlyParameters(n_trials=3) if day % 7 == 3 else None
        yield plain_run(sunday)


@pytest.mark.system
def test_thirty_runs_on_rows_that_have_been_decided_on_promote_nothing(small: Settings) -> None:
    for number, name in enumerate(("a.csv", "b.csv")):
        _land(small, name, number)
        plain_run()
    promoted, searched = _promotions(small), _searches(small)
    assert promoted >= 1
    ends = list(_idle(small))
    assert _promotions(small) == promoted, [end.message for end in ends]
    # Two contents under two settings: each is searched once, and judged once against a champion.
    assert _searches(small) <= searched + 2
    judged = [end for end in ends if end.outcome != "nothing new"]
    assert len(judged) <= 4, [end.message for end in judged]
