"""The run without the orchestrator, which hundreds of tests run, is the flow's run."""

import pytest

from flows.nightly import nightly
from housing.settings import Settings
from housing.store.database.open import open_store
from housing.store.runs import runs
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import landing_rows

pytestmark = pytest.mark.prefect


def _steps(settings: Settings, run: int) -> list[str]:
    with open_store(settings) as store, store.read() as connection:
        return [step.name for step in runs.steps(connection, run)]


def test_a_run_without_prefect_takes_the_steps_of_the_flow(small: Settings) -> None:
    assert small.sources.landing_dir is not None
    small.sources.landing_dir.mkdir(parents=True)
    landing_rows(0).to_csv(small.sources.landing_dir / "a.csv", index=False)
    orders = []
    for run in (nightly, plain_run):
        small.sources.landing_dir.joinpath(f"{len(orders)}.csv").write_text(
            landing_rows(len(orders) + 1, 300).to_csv(index=False)
        )
        result = run()
        orders.append(set(_steps(small, result.run)))
        assert result.outcome in ("promoted", "kept", "inconclusive")
    carried_out = {"back up", "promote"}
    assert orders[0] - carried_out == orders[1] - carried_out
    nothing = [_steps(small, run().run) for run in (nightly, plain_run)]
    assert nothing[0] == nothing[1]
