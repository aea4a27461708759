"""Which recorded verdict stands: by rows, models, policy and what is blocked, not by number."""

from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from housing import schema
from housing.pipeline.evaluate import evaluation_key
from housing.pipeline.result import of_verdict
from housing.pipeline.run_context import RunContext, finish_run
from housing.pipeline.skip_check import existing_verdict
from housing.settings import load_settings
from housing.store.data import datasets, profiles
from housing.store.database.engine import Store
from housing.store.database.tables import evaluations
from housing.store.models import promotion_log, registry
from housing.store.runs import runs
from tests.fixtures import dataset_operations
from tests.fixtures.small_settings import landing_rows
from tests.housing.conftest import Land
from tests.housing.pipeline.test_runs import Ran, run_pipeline

pytestmark = pytest.mark.either_database


@pytest.fixture
def second(store: Store, run: RunContext, land: Land) -> Ran:
    """A concluded verdict of keep on m2 against m1."""
    land("a.csv")
    run_pipeline(store, run)
    land("b.csv", seed=1)
    ran = run_pipeline(store, run, promoting=False)
    assert (ran.challenger, ran.judged.champion) == (2, 1)
    _change(store, ran.judged.evaluation, outcome="keep")
    finish_run(store, run, of_verdict(run.id, ran.version, ran.judged, dry_run=False))
    return ran


def _change(store: Store, evaluation: int, **facts: Any) -> None:
    """Whatever the gate said: the tests are about what is made of it."""
    with store.write() as connection:
        where = evaluations.c.id == evaluation
        connection.execute(evaluations.update().where(where).values(**facts))


def _copy(store: Store, evaluation: int, **facts: Any) -> int:
    with store.write() as connection:
        row = dict(registry.evaluation(connection, evaluation)._mapping)
        del row["id"]
        new = evaluations.insert().values(**{**row, **facts}).returning(evaluations.c.id)
        return int(connection.execute(new).scalar_one())


@pytest.mark.system
def test_the_newest_of_two_verdicts_on_the_same_inputs_counts(
    store: Store, run: RunContext, second: Ran
) -> None:
    newest = _copy(store, second.judged.evaluation, outcome="inconclusive")
    stands = existing_verdict(store, second.version, load_settings())
    assert stands is not None
    assert (stands.evaluation, stands.outcome) == (newest, "inconclusive")


def test_another_policy_judges_again(
    store: Store, run: RunContext, second: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert existing_verdict(store, second.version, load_settings()) is not None
    monkeypatch.setenv("HOUSING_GATE__MARGIN", "0.02")
    assert existing_verdict(store, second.version, load_settings()) is None
    again = run_pipeline(store, run, promoting=False)
    assert again.judged.evaluation != second.judged.evaluation
    assert (again.search, again.challenger) == (second.search, second.challenger)


def test_the_verdict_of_an_unfinished_run_is_completed(
    store: Store, run: RunContext, second: Ran
) -> None:
    """Runs of another model, or of this one to another verdict, have told nobody of this one."""
    runs.note(store, run.id, status="failed")
    assert existing_verdict(store, second.version, load_settings()) is None
    with store.write() as connection:
        other = runs.start(connection, "nightly", {})
    facts = {"challenger": 1, "version": second.version}
    runs.finish(store, other, "completed", **facts, evaluation=second.judged.evaluation - 1)
    assert existing_verdict(store, second.version, load_settings()) is None
    runs.note(store, other, challenger=2)
    assert existing_verdict(store, second.version, load_settings()) is None
    runs.note(store, other, evaluation=second.judged.evaluation)
    assert existing_verdict(store, second.version, load_settings()) is not None


def test_a_check_that_could_not_run_is_made_again(
    store: Store, run: RunContext, second: Ran
) -> None:
    broken = {"message": "", "outcome": "inconclusive", "checks": [{"outcome": "error"}]}
    _change(store, second.judged.evaluation, outcome="inconclusive", verdict=broken)
    assert existing_verdict(store, second.version, load_settings()) is None
    again = run_pipeline(store, run, promoting=False)
    assert again.judged.evaluation > second.judged.evaluation
    finish_run(store, run, of_verdict(run.id, again.version, again.judged, dry_run=True))
    judged = existing_verdict(store, second.version, load_settings())
    assert judged is None or judged.evaluation == again.judged.evaluation


def test_the_content_is_rows_and_sides(store: Store, run: RunContext, second: Ran) -> None:
    frame = datasets.read(store, second.version)
    first = profiles.measured(store, second.version)
    swapped = frame.copy()
    swapped.loc[:, "#test"] = ~frame["#test"].to_numpy()
    settings = load_settings()
    assert evaluation_key(2, 1, first.content, settings) != evaluation_key(2, 1, "other", settings)
    with pytest.raises(Exception, match="its sides are not the recorded ones"):
        profiles.record_or_verify(store, second.version, swapped)
    dataset_operations.withdraw(store, 2, reason="in doubt")
    dataset_operations.roll_back(store, second.version, reason="it was right")
    assert profiles.measured(store, 4).content == first.content
    assert profiles.measured(store, 3).content != first.content
    with store.read() as connection:
        alike = connection.execute(profiles.alike(4)).scalars().all()
    assert sorted(alike) == [second.version, 4]


def test_the_run_after_a_dry_run_promotes_without_a_search(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    ran = run_pipeline(store, run, promoting=False)
    finish_run(store, run, of_verdict(run.id, ran.version, ran.judged, dry_run=True))
    assert (
        existing_verdict(store, ran.version, load_settings()) is None
    )  # it promotes, and nothing did
    again = run_pipeline(store, run)
    assert again.judged == ran.judged
    with store.read() as connection:
        assert promotion_log.champion(connection) == ran.challenger
        count = sa.select(sa.func.count()).select_from(evaluations)
        assert connection.execute(count).scalar_one() == 1


def test_copies_under_other_ids_weigh_nothing(store: Store, run: RunContext, land: Land) -> None:
    """What a verdict is found again by is what it was reached on: each different row once."""
    rows = landing_rows(0, 1200)
    land("a.csv", frame=rows)
    dear = rows.nlargest(300, "median_house_value")
    ids = [f"d{i}" for i in range(2 * len(dear))]
    land("b.csv", frame=pd.concat([dear, dear]).assign(district_id=ids))
    ran = run_pipeline(store, run)
    with store.read() as connection:
        model = registry.model(connection, ran.challenger)
        evidence = registry.evaluation(connection, ran.judged.evaluation).evidence
    counts = profiles.measured(store, ran.version)
    assert counts.rows == 1800
    assert evidence["test_rows"] + model.train_rows == 1200
    dataset_operations.withdraw(store, 2, reason="copies")
    assert profiles.measured(store, 2).content == counts.content
    with_copies, without = (datasets.read(store, version) for version in (1, 2))
    for side in (datasets.training_rows, datasets.test_rows):
        once, alone = (
            side(frame).sort_values(list(schema.CATALOGUE))[list(schema.FEATURES)]
            for frame in (with_copies, without)
        )
        pd.testing.assert_frame_equal(once.reset_index(drop=True), alone.reset_index(drop=True))
