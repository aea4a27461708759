"""Rollback, the run after it, release, withdrawal: what is said first is what happens then."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from scipy.stats import randint

from housing.errors import ModelBlocked
from housing.pipeline import datasets as dataset_steps
from housing.pipeline import ingest, manual_promotion
from housing.pipeline.promote import RollbackPlan, RolledBack, plan_rollback, roll_back
from housing.pipeline.run_context import NightlyParameters, start_run
from housing.pipeline.skip_check import what_next
from housing.records import RunResult
from housing.settings import Settings, load_settings
from housing.store.data import copies, datasets, near_duplicate_lookup
from housing.store.data.segments import get_table, to_frame
from housing.store.database.open import open_store
from housing.store.database.tables import backup_copies, evaluations, models, searches
from housing.store.models import artifacts, blocks, promotion_log, registry
from housing.store.models.promotion_log import Authorship
from housing.store.objects.recording import record_blob
from housing.training.candidates import FAMILIES
from tests.fixtures import dataset_operations
from tests.fixtures.prepared_home import PreparedHomes
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import SMALL, landing_rows, small_forest

pytestmark = pytest.mark.xdist_group("rounds")  # one worker builds the homes once

ROWS = {"a": 300, "b": 1500, "c": 300, "d": 300, "e": 300}
"""So few that the first model is far worse than the others, which are as good as each other."""


@pytest.fixture
def small(home: object, no_report: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """One recipe whatever is drawn, and a gate that promotes for a proven gain only."""
    changed = {"GATE__CONFIDENCE": "0.95", "GATE__MARGIN": "0", "SEARCH__N_TRIALS": "1"}
    for name, value in {**SMALL, **{f"HOUSING_{k}": v for k, v in changed.items()}}.items():
        monkeypatch.setenv(name, value)
    alike = replace(small_forest(), space={"model__max_features": randint(8, 9)})
    monkeypatch.setitem(FAMILIES, "forest", alike)  # type: ignore[arg-type]
    settings = load_settings()
    assert settings.sources.landing_dir is not None
    settings.sources.landing_dir.mkdir(parents=True)
    return settings


def _land(settings: Settings, name: str, rows: int) -> None:
    assert settings.sources.landing_dir is not None
    frame = landing_rows(ord(name), rows)
    frame.to_csv(settings.sources.landing_dir / f"{name}.csv", index=False)


def _run(settings: Settings, name: str) -> RunResult:
    _land(settings, name, ROWS[name])
    return plain_run()


def _crown(settings: Settings, model: int) -> None:
    """Make a model champion whatever the gate said: the tests are about what comes after."""
    with open_store(settings) as store:
        with store.read() as connection:
            champion = promotion_log.champion(connection)
        if champion != model:
            change = registry.Change("promote", model, champion, "test", "for the test")
            registry.change_champion(store, change)


def _champions(settings: Settings, batches: str) -> None:
    """Each batch makes a champion, but the last, whose challenger is not shown to be better."""
    for number, name in enumerate(batches[:-1], start=1):
        assert _run(settings, name).challenger == number
        _crown(settings, number)
    last = _run(settings, batches[-1])
    assert (last.challenger, last.champion) == (len(batches), len(batches) - 1), last.message


@pytest.fixture
def five(small: Settings, prepared_homes: PreparedHomes) -> Settings:
    """Champions m1 to m4, each of a batch more, and m5, which was not shown to be better."""
    prepared_homes.into(small.home, "rounds-five", partial(_champions, small, "abcde"))
    return small


def _champion(settings: Settings) -> int | None:
    with open_store(settings) as store, store.read() as connection:
        return promotion_log.champion(connection)


def _count(settings: Settings, table: sa.Table) -> int:
    with open_store(settings) as store, store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def _next(settings: Settings) -> str:
    with open_store(settings) as store:
        return what_next(store, load_settings())


def _back(settings: Settings, target: int | None, batch: int | None = None) -> RollbackPlan:
    with open_store(settings) as store:
        plan = plan_rollback(store, load_settings(), target, batch)
        roll_back(store, target, "complaints", batch=batch)
    assert plan.next_run == _next(settings).replace("complaints", "rolled back")
    return plan


def test_after_a_rollback_the_stored_challenger_is_judged_against_the_former_champion(
    five: Settings,
) -> None:
    assert plain_run().outcome == "nothing new"
    plan = _back(five, 1)
    assert plan.blocked_models == (4, 3, 2)
    assert plan.entered == {2: "b.csv", 3: "c.csv", 4: "d.csv"}
    assert "b2 (b.csv), b3 (c.csv), b4 (d.csv); `--batch b2`" in plan.suggestion(done=False)
    assert plan.next_run == (
        "Without new rows the next run judges the stored m5 against m1, without a search."
    )
    searched = _count(five, searches)
    promoted = plain_run()
    assert (promoted.outcome, promoted.challenger, promoted.champion) == ("promoted", 5, 5)
    assert _count(five, searches) == searched
    assert plain_run().outcome == "nothing new"


def test_a_delivery_of_known_rows_does_not_change_the_announced_next_run(
    five: Settings,
) -> None:
    _back(five, 1)
    before = _next(five)
    assert five.sources.landing_dir is not None
    landing_rows(ord("b"), ROWS["b"]).head(300).to_csv(
        five.sources.landing_dir / "known.csv", index=False
    )
    with open_store(five) as store:
        found = ingest.ingest(store, five, run=None)
        assert [batch.status for batch in found.batches if batch.id] == ["unchanged"]
    assert _next(five) == before
    promoted = plain_run()
    assert (promoted.outcome, promoted.challenger, promoted.version) == ("promoted", 5, 5)


@pytest.mark.system
def test_a_model_with_the_recipe_of_a_blocked_one_is_not_promoted_until_it_is_unblocked(
    five: Settings,
) -> None:
    _back(five, 1)
    assert plain_run().champion == 5
    plan = _back(five, None)
    assert (plan.to_model, plan.from_model) == (1, 5)
    assert "promotes nothing: m5 is the model of the rows of v5, and m5 is blocked" in plan.next_run
    idle = plain_run()
    assert idle.outcome == "nothing new"
    assert "(m5 against m1, blocked)" in idle.message

    twin = plain_run(NightlyParameters(seed=7))  # the same recipe on the same rows
    assert (twin.outcome, twin.challenger, twin.champion) == ("blocked", 6, 1), twin.message
    assert "m6 has the recipe of m5 on the same rows, and m5 is blocked" in twin.message
    assert "because no test row is new since m5 was judged" in twin.message
    with pytest.raises(ModelBlocked, match="m6 has the recipe of m5"):
        manual_promotion.promote_model(6, "try it", override=True)

    with open_store(five) as store:
        blocks.unblock(store, "m", 5, Authorship("tester", "it was right"))
    assert _next(five) == (
        "Without new rows the next run promotes the stored m5, which was judged against m1 before."
    )
    again = plain_run()
    assert (again.outcome, again.champion) == ("promoted", 5)


def test_models_of_a_blocked_batch_are_not_promoted_until_it_is_withdrawn(five: Settings) -> None:
    _back(five, 1)
    assert plain_run().champion == 5
    plan = _back(five, None, batch=5)
    assert "m5 was trained on b5, which is blocked" in plan.next_run
    _land(five, "f", 300)
    held = plain_run()
    assert (held.outcome, held.champion) == ("blocked", 1), held.message
    assert "trained on b5" in held.message
    with open_store(five) as store:
        dataset_operations.withdraw(store, 5, reason="polluted")
    assert "v7, which no run has read yet" in _next(five)
    clean = plain_run()
    assert (clean.outcome, clean.champion) == ("promoted", clean.challenger), clean.message


def test_a_rollback_blocks_a_batch_and_what_repeats_its_rows_at_once(two: Settings) -> None:
    again = pd.concat([landing_rows(ord("b"), ROWS["b"])[:40], landing_rows(ord("f"), 100)])
    again.to_csv(two.home / "landing" / "f.csv", index=False)
    with open_store(two) as store:
        ingest.ingest(store, two, run=None)
        datasets.append_waiting(store, reason="test", run=None)
        dataset_steps.split(store, two)
        assert copies.withdraw(store, 2, reason="wrong").staying

        def seen(connection: sa.Connection, done: RolledBack) -> None:
            assert sorted(blocks.current(connection).batches) == [2, 4]
            assert done.blocked_batches == (2, 4)

        roll_back(store, None, "complaints", batch=2, within=seen)


def test_withdrawing_the_batch_and_rolling_back_the_model_in_any_order_end_alike(
    five: Settings,
) -> None:
    """The rows of m4 again: the model of these rows is blocked, whatever the version's number."""
    with open_store(five) as store:
        dataset_operations.withdraw(store, 5, reason="in doubt")
    _back(five, 2)
    assert "v6, which no run has read yet" in _next(five)
    judged = plain_run()
    assert (judged.challenger, judged.champion) == (4, 2)
    assert judged.outcome != "nothing new"  # m4 had been judged against m3 only
    with open_store(five) as store:
        dataset_operations.roll_back(store, 5, reason="it was right")
        dataset_operations.roll_back(store, 4, reason="it was not")
    before = _count(five, searches), _count(five, evaluations)
    assert plain_run().outcome == "nothing new"
    assert (_count(five, searches), _count(five, evaluations)) == before


# --- by hand ---------------------------------------------------------------------------------


@pytest.fixture
def two(small: Settings, prepared_homes: PreparedHomes) -> Settings:
    """Champion m2, and m3, which was not shown to be better."""
    prepared_homes.into(small.home, "rounds-two", partial(_champions, small, "abc"))
    return small


def test_a_model_is_promoted_against_the_comparison_only_on_request(two: Settings) -> None:
    judged = manual_promotion.judge(3)
    assert judged.result.outcome in ("kept", "inconclusive")
    refused = manual_promotion.promote_model(3, "we want it")
    assert refused.result.outcome == judged.result.outcome
    assert "no-regression did not pass, and `--override` was not given" in refused.result.message
    assert _champion(two) == 2
    done = manual_promotion.promote_model(3, "we want it", override=True)
    assert (done.result.outcome, done.result.champion) == ("promoted", 3)
    assert "no-regression" in done.overridden
    with open_store(two) as store, store.read() as connection:
        line = promotion_log.history(connection, 1)[0]
        row = registry.model(connection, 3)
        copies = set(connection.execute(sa.select(backup_copies.c.digest)).scalars())
    assert (line.to_model, tuple(line.overridden)) == (3, done.overridden)
    assert line.reason.startswith("by hand, against ")
    assert line.run == done.result.run
    assert {row.artifact, row.golden} <= copies
    assert plain_run().outcome == "nothing new"  # the person has been told


def test_no_run_undoes_an_override_without_new_rows(two: Settings) -> None:
    """The run's own comparison is the one that the person has overridden."""
    _back(two, None)  # m1 is champion, and m3 is better than it by far
    assert plain_run().champion == 3
    assert manual_promotion.promote_model(1, "we want it", override=True).overridden
    assert _next(two) == (
        "Without new rows the next run does nothing: a person has promoted m1 in the place of m3."
    )
    again = plain_run()
    assert (again.outcome, _champion(two)) == ("nothing new", 1)
    assert "m1 against m3, promoted by hand" in again.message


def test_no_other_stored_challenger_follows_an_override_without_new_rows(five: Settings) -> None:
    """m5 is the challenger of these rows, and m4 was champion when the person promoted m1."""
    assert manual_promotion.promote_model(1, "we want it", override=True).overridden
    searched = _count(five, searches)
    for seed in (None, 7):  # the full search of a Sunday has other settings too
        assert _next(five) == (
            "Without new rows the next run does nothing: a person has promoted m1 in the place of "
            "m4."
        )
        again = plain_run(NightlyParameters(seed=seed))
        assert (again.outcome, _champion(five)) == ("nothing new", 1)
    assert _count(five, searches) == searched
    _land(five, "f", 300)
    assert plain_run().challenger == 6


def test_a_model_that_passes_the_gate_is_promoted_by_hand_without_an_override(
    two: Settings,
) -> None:
    _back(two, None)
    done = manual_promotion.promote_model(3, "better by far", override=True)
    assert (done.result.outcome, done.overridden, _champion(two)) == ("promoted", (), 3)


def test_a_veto_is_never_overridden(two: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(check: str) -> None:
        done = manual_promotion.promote_model(3, "we want it", override=True)
        assert (done.result.outcome, done.overridden) == ("kept", ())
        assert f"{check} cannot be overridden" in done.result.message
        assert _champion(two) == 2

    with monkeypatch.context() as patch:
        patch.setenv("HOUSING_GATE__THRESHOLDS__ARTIFACT_SIZE", "0.000001")
        refused("artifact-size")
    with monkeypatch.context() as patch:
        patch.setattr(near_duplicate_lookup, "leaking_rows", lambda *_: np.arange(9) < 3)
        refused("leak-proof")
    _spoil_golden(two, 3)
    monkeypatch.setenv("HOUSING_GATE__PREFLIGHT", "true")
    refused("preflight")


def _spoil_golden(settings: Settings, model: int) -> None:
    """Have a model predict something else in a fresh process than what is stored with it."""
    with open_store(settings) as store:
        with store.read() as connection:
            row = registry.model(connection, model)
        golden = to_frame(get_table(store, row.golden))
        wrong = golden.pop(artifacts.PREDICTION).to_numpy() * 1.001
        blob = artifacts.put_golden(store, golden, wrong)
        with store.write() as connection:
            digest = record_blob(connection, blob, "golden")
            here = models.c.id == model
            connection.execute(models.update().where(here).values(golden=digest))


def _entered(settings: Settings, name: str) -> None:
    """Rows in the dataset, with sides, on which no run has judged."""
    _land(settings, name, ROWS[name])
    with start_run("ingest", NightlyParameters()) as begun, open_store(settings) as store:
        ingest.ingest(store, settings, run=begun.id)
        dataset_steps.freeze(store, begun)
        dataset_steps.split(store, settings)


def _looks(settings: Settings, run: int) -> list[int]:
    with open_store(settings) as store, store.read() as connection:
        row = registry.evaluation_of_run(connection, run)
    assert row is not None
    return list(row.evidence["judged_before"])


def test_a_verdict_that_judge_only_shows_does_not_count_as_a_decision(two: Settings) -> None:
    _entered(two, "d")
    manual_promotion.judge(3)
    assert _next(two) == (
        "Without new rows the next run searches again on v4, because no finished search with "
        "these settings is stored for its rows."
    )
    result = plain_run()
    assert (result.challenger, _looks(two, result.run)) == (4, [])
    assert "`superior`" not in result.message
    # What is shown of m3 is what a promotion of it would meet, and no run takes it up.
    assert _looks(two, manual_promotion.judge(3).result.run) == [4]
    before = _next(two)
    manual_promotion.judge(1 if result.outcome == "promoted" else 4)
    assert _next(two) == before


def test_looks_by_hand_count_for_a_promotion_by_hand(two: Settings) -> None:
    _entered(two, "d")
    shown = manual_promotion.judge(1)
    asked = manual_promotion.promote_model(3, "we want it")
    assert (_looks(two, shown.result.run), _looks(two, asked.result.run)) == ([], [1])


def test_a_refused_promotion_by_hand_counts_as_a_decision_and_states_it(two: Settings) -> None:
    _entered(two, "d")
    refused = manual_promotion.promote_model(3, "we want it")
    assert refused.result.outcome != "promoted"
    said = (
        "the next run searches again on v4, because no finished search with these settings is "
        "stored for its rows; the rule is `superior`, because no test row is new since m3 was "
        "judged."
    )
    assert said in refused.result.message
    assert said in _next(two)
    result = plain_run()
    assert _looks(two, result.run) == [3]
    assert (
        "The rule is `superior`, because no test row is new since m3 was judged" in result.message
    )


def test_an_interrupted_promotion_by_hand_is_completed_by_repeating_it(
    two: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "change_champion", dies)
        with pytest.raises(KeyboardInterrupt):
            manual_promotion.promote_model(3, "we want it", override=True)
    assert _champion(two) == 2
    assert manual_promotion.promote_model(3, "we want it", override=True).result.champion == 3
    assert _count(two, models) == 3
