"""What the step measures beside the comparison, on runs whose facts are known by hand."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from threadpoolctl import threadpool_info, threadpool_limits

from housing import schema
from housing.gate import evidence as records
from housing.gate.evidence import Evidence
from housing.keys import row_keys
from housing.pipeline import evidence_context, promote
from housing.pipeline.notices import notices
from housing.pipeline.result import of_verdict
from housing.pipeline.run_context import NightlyParameters, finish_run, start_run
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import Settings, load_settings
from housing.store.data import copies, datasets
from housing.store.database.engine import Store
from housing.store.database.tables import evaluations
from housing.store.models import registry
from housing.store.models.registry import Change
from tests.fixtures.small_settings import landing_rows
from tests.housing.conftest import Land
from tests.housing.pipeline.test_runs import Ran, champion, run_pipeline

pytestmark = pytest.mark.either_database


class Watching:
    """A model that notes with how many threads it is asked."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        self.threads |= {each["num_threads"] for each in threadpool_info()}
        return np.zeros(len(rows))


def test_the_latency_is_that_of_one_thread_as_a_server_predicts() -> None:
    model = Watching()
    with threadpool_limits(limits=2):
        assert evidence_context.latency(model, simulate(3, 0)) >= 0
    assert model.threads == {1}


def crowned(store: Store) -> Ran:
    """A run of its own, whose challenger becomes champion whatever the gate says."""
    with start_run("nightly", NightlyParameters()) as run:
        ran = run_pipeline(store, run)
        if champion(store) != ran.challenger:
            change = Change("promote", ran.challenger, champion(store), "test", "for the test")
            registry.change_champion(store, change)
        finish_run(store, run, of_verdict(run.id, ran.version, ran.judged, dry_run=False))
    return ran


def unused(store: Store, ran: Ran, test: pd.DataFrame) -> np.ndarray:
    with store.read() as connection:
        earlier = registry.earlier_verdicts(connection, ran.version, ran.challenger)
    return evidence_context.unused_test_rows(store, ran.version, test, earlier)


def evidence_of(store: Store, ran: Ran) -> Evidence:
    with store.read() as connection:
        return records.read(registry.evaluation(connection, ran.judged.evaluation).evidence)


def test_new_rows_drift_and_reuse_are_measured_over_three_runs(
    store: Store, land: Land, monkeypatch: pytest.MonkeyPatch, small: Settings
) -> None:
    monkeypatch.setenv("HOUSING_SEARCH__ENSEMBLE_SIZE", "2")
    land("a.csv", 900)
    first = crowned(store)
    evidence = evidence_of(store, first)
    assert (evidence.holdout_reuse, evidence.recent, evidence.drift, evidence.former) == (
        None, None, (), None,
    )  # fmt: skip
    assert evidence.seed_variance is not None
    assert len(evidence.seed_variance.errors) == 2
    assert evidence.costs is not None
    assert evidence.costs.latency_ms > 0
    assert evidence.costs.champion_latency_ms is None

    land("b.csv", 700, seed=1)
    second = crowned(store)
    evidence = evidence_of(store, second)
    frame = datasets.read(store, second.version)
    old = datasets.read(store, first.version)
    test = frame[frame["#test"]]
    new = ~test["#key"].isin(old["#key"])
    assert evidence.holdout_reuse is not None
    assert evidence.holdout_reuse.decisions == 1
    assert evidence.holdout_reuse.fresh_rows == new.sum() > 100
    assert evidence.recent is not None
    assert evidence.recent.rows == new.sum()
    mask = unused(store, second, test)
    assert np.array_equal(mask, new)
    new_rows, dataset = evidence.drift
    assert (new_rows.rows, new_rows.reference_rows) == (700, int((~old["#test"]).sum()))
    assert dataset.rows == len(frame)
    assert new_rows.reference == f"training rows of m{first.challenger}"
    assert sum(part.rows for part in evidence.slices) == 3 * evidence.test_rows
    assert evidence.former is None, "the only champion of before is the champion of now"
    assert evidence.champion_seed_variance is not None

    land("c.csv", 200, seed=2)
    third = crowned(store)
    evidence = evidence_of(store, third)
    assert evidence.former is not None
    assert evidence.former.id == first.challenger
    assert evidence.holdout_reuse is not None
    assert evidence.holdout_reuse.decisions == 2

    with store.read() as connection:
        assert not any("has served" in n for n in notices(connection, small))
        monkeypatch.setattr("housing.pipeline.notices.TEST_SET_REUSE_WARNING", 2)
        assert any("has served 2 decisions" in n for n in notices(connection, small))


def test_near_duplicates_of_used_test_rows_are_used(store: Store, land: Land) -> None:
    known, new = landing_rows(0, 600), landing_rows(1, 150)
    land("a.csv", frame=known)
    crowned(store)
    again = known[:300].assign(population=known["population"] + 1)
    land("b.csv", frame=pd.concat([again, new]))
    second = crowned(store)
    frame = datasets.read(store, second.version)
    test = frame[frame["#test"]]
    mask = unused(store, second, test)
    assert np.array_equal(mask, test["#key"].isin(row_keys(new)))
    assert 0 < mask.sum() < 150


def _one_column(known: pd.DataFrame) -> pd.DataFrame:
    return known.assign(population=known["population"] + 1)


def _label(known: pd.DataFrame) -> pd.DataFrame:
    return known.assign(**{schema.TARGET: known[schema.TARGET] + 1000})


def _copies(known: pd.DataFrame) -> pd.DataFrame:
    """Under other ids, with one column changed in some."""
    other = known.assign(district_id=[f"copy-{i}" for i in range(len(known))])
    return pd.concat([other[:150], _one_column(other[150:])])


def _identified(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(district_id=[f"id-{i}" for i in range(len(frame))])


@pytest.mark.parametrize(
    ("change", "identified"),
    [(_one_column, False), (_one_column, True), (_label, True), (_copies, False)],
)
def test_a_delivery_without_a_new_test_row_leaves_the_rule_superior(
    store: Store, land: Land, change: Callable[[pd.DataFrame], pd.DataFrame], identified: bool
) -> None:
    known = landing_rows(0, 600)
    if identified:
        known = _identified(known)
    land("a.csv", frame=known)
    first = crowned(store)
    land("b.csv", frame=change(known[:300]))
    second = crowned(store)
    evidence = evidence_of(store, second)
    assert second.version != first.version
    assert evidence.judged_before == (first.challenger,)
    assert evidence.repeated


@pytest.mark.system
def test_a_withdrawal_leaves_the_rule_superior(store: Store, land: Land) -> None:
    land("a.csv", 600)
    first = crowned(store)
    land("b.csv", 200, seed=1)
    second = crowned(store)
    assert not evidence_of(store, second).repeated
    land("c.csv", 200, seed=2)
    third = crowned(store)
    copies.withdraw(store, 2, reason="wrong")
    fourth = crowned(store)
    found = evidence_of(store, fourth).judged_before
    assert found == (first.challenger, second.challenger, third.challenger)
    land("d.csv", 200, seed=3)
    assert not evidence_of(store, crowned(store)).repeated


def test_an_earlier_verdict_on_the_same_model_counts_where_rows_were_taken_out(
    store: Store, land: Land
) -> None:
    land("a.csv", 600)
    crowned(store)
    for name, seed in (("b", 1), ("c", 2)):
        land(f"{name}.csv", 200, seed=seed)
    second = crowned(store)
    copies.withdraw(store, 3, reason="another chance")
    with store.read() as connection:
        version = datasets.active(connection).id
        earlier = registry.earlier_verdicts(connection, version, second.challenger, manual=True)
        alike = registry.earlier_verdicts(
            connection, second.version, second.challenger, manual=True
        )
        assert second.challenger in registry.judged_before(connection, earlier)
        assert second.challenger not in registry.judged_before(connection, alike)
    test = datasets.test_rows(datasets.read(store, version))
    assert not evidence_context.unused_test_rows(store, version, test, earlier).any()


def test_rows_that_all_go_to_the_training_side_leave_the_rule_superior(
    store: Store, land: Land
) -> None:
    known = landing_rows(0, 600)
    land("a.csv", frame=known)
    first = crowned(store)
    before = datasets.test_rows(datasets.read(store, first.version))
    land("b.csv", 1, seed=1)  # a row for the training side
    ran = crowned(store)
    after = datasets.test_rows(datasets.read(store, ran.version))
    assert len(after) == len(before)
    assert ran.version != first.version
    assert evidence_of(store, ran).repeated


def test_a_test_row_with_two_corrected_values_is_new(store: Store, land: Land) -> None:
    known = _identified(landing_rows(0, 600))
    land("a.csv", frame=known)
    crowned(store)
    corrected = _label(_one_column(known[:300]))
    land("b.csv", frame=corrected)
    second = crowned(store)
    test = datasets.test_rows(datasets.read(store, second.version))
    mask = unused(store, second, test)
    assert np.array_equal(mask, test["#key"].isin(row_keys(corrected)))
    assert not evidence_of(store, second).repeated


@pytest.mark.system
def test_a_rolled_back_champion_is_not_a_former_champion_in_comparisons(
    store: Store, land: Land
) -> None:
    land("a.csv", 600)
    crowned(store)
    land("b.csv", 300, seed=1)
    second = crowned(store)
    land("c.csv", 200, seed=2)
    third = crowned(store)
    promote.roll_back(store, None, "worse in the field")  # m3 goes, m2 is champion
    promote.roll_back(store, None, "this one too")  # m2 goes, m1 is champion
    land("d.csv", 200, seed=3)
    evidence = evidence_of(store, crowned(store))
    assert evidence.former is None
    assert {second.challenger, third.challenger} == {2, 3}


def test_an_overfitted_test_set_is_reported(store: Store, land: Land) -> None:
    land("a.csv", 600)
    crowned(store)
    land("b.csv", 300, seed=1)
    ran = crowned(store)
    with store.write() as connection:
        row = registry.evaluation(connection, ran.judged.evaluation)
        difference = {"value": 0.2, "lower": 0.05, "upper": 0.35, "confidence": 0.95}
        worn = {
            **row.evidence,
            "holdout_reuse": {**row.evidence["holdout_reuse"], "difference": difference},
        }
        connection.execute(
            sa.update(evaluations).where(evaluations.c.id == row.id).values(evidence=worn)
        )
        assert any("error is 20.0 % higher" in n for n in notices(connection, load_settings()))


class Clocked:
    """A model whose predictions take known times on a clock of its own."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds, self.now, self.asked = seconds, 0.0, []

    def perf_counter(self) -> float:
        return self.now

    def predict(self, rows: pd.DataFrame) -> None:
        self.asked.append(rows[schema.FEATURES[0]].tolist())
        self.now += self.seconds[len(self.asked) - 1]


def test_latency_is_the_median_of_seven_rows_after_one_to_warm_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Clocked([9.0, 0.001, 0.002, 0.003, 0.004, 5.0, 6.0, 7.0])
    monkeypatch.setattr(evidence_context, "time", model)
    rows = simulate(5, seed=1).assign(**{schema.FEATURES[0]: range(5)})
    assert evidence_context.latency(model, rows) == pytest.approx(4.0)
    assert model.asked == [[0], [1], [2], [3], [4], [0], [1], [2]]  # a row each, round and round
    assert len(model.asked) == evidence_context.LATENCY_CALLS + 1
