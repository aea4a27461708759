"""Ten runs on the real table: half of it first, then nine landing files, one a run."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from flows.nightly import nightly
from housing.settings import Settings, load_settings
from housing.store import queries
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import split_sides
from housing.store.models import registry
from housing.training.candidates import FAMILIES
from tests.fixtures.small_settings import SMALL, small_forest

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.prefect]

RUNS = 10


@pytest.fixture
def plan(
    home: Path, prefect_api: str, quick_runs: None, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    small = {**SMALL, "HOUSING_GATE__CONFIDENCE": "0.95", "HOUSING_GATE__MIN_TEST_ROWS": "500"}
    for name, value in small.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(FAMILIES, "forest", small_forest())  # type: ignore[arg-type]
    return load_settings()


@pytest.fixture
def files(census_path: Path) -> list[pd.DataFrame]:
    """The table in its own order of rows, shuffled once, cut into a half and nine parts."""
    table = pd.read_csv(census_path)
    order = np.random.default_rng(0).permutation(len(table))
    half = len(table) // 2
    cuts = np.linspace(half, len(table), RUNS).astype(int)
    edges = [0, *cuts]
    return [table.iloc[order[a:b]] for a, b in pairwise(edges)]


def _sides(store: Store) -> dict[int, int]:
    query = sa.select(split_sides.c.key, split_sides.c.side)
    with store.read() as connection:
        return dict(connection.execute(query).tuples().all())


def test_ten_runs_on_the_real_table_end_with_a_report_and_a_champion(
    plan: Settings, files: list[pd.DataFrame]
) -> None:
    folder = plan.sources.landing_dir
    assert folder is not None
    folder.mkdir(parents=True)
    known: dict[int, int] = {}
    champion = None
    for number, rows in enumerate(files, start=1):
        rows.to_csv(folder / f"run-{number:02}.csv", index=False)
        result = nightly()
        with open_store(plan) as store:
            sides = _sides(store)
            frame = datasets.read(store, number)
            with store.read() as connection:
                shown = queries.show_run(connection, result.run)
                judged = registry.newest_evaluation(connection, result.challenger or 0)
        assert {key: sides[key] for key in known} == known, "a district changed its side"
        known = sides
        assert len(frame) == len(known) == sum(map(len, files[:number]))
        assert abs(frame[datasets.SIDE_COLUMN].mean() - 0.2) < 0.002
        assert result.version == number
        assert judged is not None
        assert judged.champion == champion, "judged against another than the champion"
        assert judged.evidence["test_rows"] == int(frame[datasets.SIDE_COLUMN].sum())
        assert result.outcome in ("promoted", "kept", "inconclusive")
        if result.outcome == "promoted":
            champion = result.challenger
        assert result.champion == champion
        assert shown["verdict"]["message"] == result.message
    page = Path(str(result.report)).read_text()
    assert f"run-{RUNS:02}.csv" in page
    assert "run-01.csv" not in page, "a batch of an earlier run is listed again"
    assert f"v{RUNS}" in page
