"""Whole runs, step by step: what comes in, what is decided, what is found again."""

import html
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from housing import schema
from housing.errors import (
    ChampionChanged,
    Corrupt,
    LeakFound,
    ModelBlocked,
    NoRollbackTarget,
    NotPossible,
)
from housing.gate.evidence import read
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import load
from housing.pipeline import datasets as dataset_steps
from housing.pipeline import ingest, promote, train
from housing.pipeline.evaluate import JudgedEvaluation, assert_no_leakage, evaluate
from housing.pipeline.report import write_report
from housing.pipeline.result import of_verdict
from housing.pipeline.run_context import RunContext, finish_run
from housing.pipeline.skip_check import existing_verdict
from housing.records import IntakeSummary
from housing.schema import TARGET
from housing.settings import Settings, load_settings
from housing.store.data import datasets, split
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.tables import (
    batch_splits,
    batches,
    blobs,
    evaluations,
    models,
    promotion_log,
    split_sides,
    trials,
)
from housing.store.models import artifacts, blocks, calibrations, registry, searches
from housing.store.models import promotion_log as promotions
from housing.store.models.promotion_log import Authorship
from housing.store.runs import runs
from housing.store.runs.predictions import PREDICTED
from housing.training.near_duplicates import Ties
from tests.fixtures import dataset_operations
from tests.fixtures.small_settings import landing_rows
from tests.housing.conftest import Land

pytestmark = pytest.mark.either_database


@dataclass(frozen=True)
class Ran:
    intake: IntakeSummary
    version: int
    search: int
    challenger: int
    judged: JudgedEvaluation


def run_pipeline(store: Store, run: RunContext, *, promoting: bool = True) -> Ran:
    """What the flow does, without the orchestrator."""
    settings = load_settings()
    came = ingest.ingest(store, settings, run=run.id)
    version = dataset_steps.freeze(store, run).id
    dataset_steps.split(store, settings)
    search = train.search(store, run, version, settings)
    challenger = train.fit(store, run, search, settings)
    judged = evaluate(store, run, version, challenger, settings)
    if judged.promotes and promoting:
        promote.back_up(store, challenger)
        promote.promote(store, run, judged)
    return Ran(came, version, search, challenger, judged)


def champion(store: Store) -> int | None:
    with store.read() as connection:
        return promotions.champion(connection)


def count(store: Store, table: sa.Table) -> int:
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_the_first_run_promotes_what_beats_the_baselines(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    ran = run_pipeline(store, run)
    assert ran.intake.accepted == 1200
    assert ran.judged.outcome == "promote", ran.judged.message
    assert champion(store) == ran.challenger
    with store.read() as connection:
        model = registry.model(connection, ran.challenger)
        assert sum(model.importances.values()) == pytest.approx(1)
        assert model.libraries["scikit-learn"]
        assert [t.candidate.index for t in searches.trials_of(connection, ran.search)] == [0, 1]


def test_what_is_searched_judged_and_served_is_held_in_the_range_of_the_target(
    store: Store, run: RunContext, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    low, high = 120_000.0, 250_000.0
    monkeypatch.setattr(schema, "_RANGE", (low, high))
    land("a.csv", seed=7)  # with values beyond it; rows of no other test, whose fits may be kept
    ran = run_pipeline(store, run)
    served = load(store, ran.challenger)
    test = datasets.test_rows(datasets.read(store, ran.version))
    found = served.predictions(columns_of_frame(test))
    for values in (found.predicted, found.lower, found.upper):
        assert ((values >= low) & (values <= high)).all()
    assert low in found.lower
    assert high in found.upper
    with store.read() as connection:
        row = registry.model(connection, ran.challenger)
        evidence = read(registry.newest_evaluation(connection, ran.challenger).evidence)
    served_error = float(np.sqrt(np.mean((found.predicted - test[TARGET]) ** 2)))
    assert evidence.challenger.metrics.rmse.value == pytest.approx(served_error, rel=1e-9)
    out_of_fold_values = get_table(store, row.out_of_fold)[PREDICTED].to_numpy()
    assert (out_of_fold_values.min(), out_of_fold_values.max()) == (low, high)


TABLES = (batches, trials, models, evaluations, promotion_log, blobs)


def test_a_promotion_by_a_run_that_died_is_reported_by_the_next_run(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    before = {table: count(store, table) for table in TABLES}
    assert existing_verdict(store, first.version, load_settings()) is None  # nobody was told
    again = run_pipeline(store, run)
    assert (again.search, again.challenger, again.judged) == (
        first.search,
        first.challenger,
        first.judged,
    )
    assert {table: count(store, table) for table in TABLES} == before
    assert [b.status for b in again.intake.batches] == ["unchanged"]


def test_a_finished_run_leaves_no_work(store: Store, run: RunContext, land: Land) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    finish_run(store, run, of_verdict(run.id, first.version, first.judged, dry_run=False))
    assert existing_verdict(store, first.version, load_settings()) == first.judged
    land("b.csv", seed=1)
    ingest.ingest(store, load_settings(), run=run.id)
    assert existing_verdict(store, dataset_steps.freeze(store, run).id, load_settings()) is None


def test_a_verdict_that_was_not_carried_out_is_work_for_the_next_run(
    store: Store, run: RunContext, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv")
    ran = run_pipeline(store, run, promoting=False)
    finish_run(store, run, of_verdict(run.id, ran.version, ran.judged, dry_run=True))
    assert existing_verdict(store, ran.version, load_settings()) is None
    promote.promote(store, run, ran.judged)
    assert existing_verdict(store, ran.version, load_settings()) is not None
    monkeypatch.setenv("HOUSING_SEARCH__N_TRIALS", "3")
    assert existing_verdict(store, ran.version, load_settings()) is None


@dataclass(frozen=True)
class TakenBack:
    first: Ran
    second: Ran
    promoting: JudgedEvaluation  # what the gate says of the second, were it to promote it


def _take_back(store: Store, run: RunContext, land: Land, *, batch: int | None = None) -> TakenBack:
    """Two champions, of which the second is rolled back after its run came to its end."""
    land("a.csv")
    first = run_pipeline(store, run)
    land("b.csv", seed=1)
    second = run_pipeline(store, run, promoting=False)
    with store.write() as connection:  # whatever the gate said: the test is about what comes after
        this = evaluations.c.id == second.judged.evaluation
        connection.execute(evaluations.update().where(this).values(outcome="promote"))
    judged = replace(second.judged, outcome="promote")
    promote.promote(store, run, judged)
    finish_run(store, run, of_verdict(run.id, second.version, judged, dry_run=False))
    done = promote.roll_back(store, None, "worse in the field", batch=batch)
    assert (done.to_model, done.blocked_models) == (first.challenger, (second.challenger,))
    return TakenBack(first, second, judged)


def test_a_blocked_model_is_not_promoted_until_it_is_unblocked(
    store: Store, run: RunContext, land: Land
) -> None:
    taken = _take_back(store, run, land)
    version, second = taken.second.version, taken.second.challenger
    standing = existing_verdict(store, version, load_settings())
    assert standing is not None
    assert f"m{second} is blocked (worse in the field)" in standing.block_reason
    assert run_pipeline(store, run).judged == standing
    assert champion(store) == taken.first.challenger
    with pytest.raises(ModelBlocked):
        promote.promote(store, run, taken.promoting)

    blocks.unblock(store, "m", second, Authorship("tester", "it was not its fault"))
    assert existing_verdict(store, version, load_settings()) is None
    assert run_pipeline(store, run).judged.promotes
    assert champion(store) == second
    assert existing_verdict(store, version, load_settings()) is not None


def test_a_run_trains_on_a_blocked_batch_and_does_not_promote(
    store: Store, run: RunContext, land: Land
) -> None:
    taken = _take_back(store, run, land, batch=2)
    land("c.csv", seed=2)
    third = run_pipeline(store, run)
    assert third.challenger not in (taken.first.challenger, taken.second.challenger)
    assert "trained on b2, which is blocked" in third.judged.block_reason
    assert not third.judged.promotes
    assert champion(store) == taken.first.challenger
    result = of_verdict(
        run.id, third.version, replace(third.judged, outcome="promote"), dry_run=False
    )
    assert result.outcome == "blocked"
    assert "`housing unblock b2`" in result.message

    dataset_operations.withdraw(store, 2, reason="polluted")
    fourth = run_pipeline(store, run)
    assert fourth.judged.block_reason == ""


def test_a_rollback_blocks_only_a_batch_that_the_champion_was_trained_on(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    land("b.csv", seed=1)
    _make_champion(store, run_pipeline(store, run, promoting=False))
    land("c.csv", seed=2)
    ingest.ingest(store, load_settings(), run=run.id)
    with pytest.raises(NotPossible, match="m2 was trained on v2, which does not have it"):
        promote.roll_back(store, first.challenger, "why not", batch=3)
    assert count(store, promotion_log) == 2


@pytest.mark.system
def test_twice_in_a_row_goes_back_two(store: Store, run: RunContext, land: Land) -> None:
    made = []
    for number, name in enumerate("abc"):
        land(f"{name}.csv", seed=number)
        ran = run_pipeline(store, run, promoting=False)
        _make_champion(store, ran)
        made.append(ran.challenger)
    assert promote.roll_back(store, None, "worse").to_model == made[1]
    assert promote.roll_back(store, None, "still worse").to_model == made[0]
    with pytest.raises(NoRollbackTarget):
        promote.roll_back(store, None, "once more")
    with pytest.raises(ModelBlocked, match=f"m{made[1]}"):
        promote.roll_back(store, made[1], "back again")
    blocks.unblock(store, "m", made[1], Authorship("tester", "it was all right"))
    assert promote.roll_back(store, made[1], "back again").blocked_models == (made[0],)


def _make_champion(store: Store, ran: Ran) -> None:
    """Whatever the gate said: the test is about what comes after."""
    if champion(store) != ran.challenger:
        registry.change_champion(
            store,
            registry.Change("promote", ran.challenger, champion(store), "test", "for the test"),
        )


def test_corrections_keep_their_side_and_change_the_rows(
    store: Store, run: RunContext, land: Land
) -> None:
    frame = landing_rows(0, 300)
    land("a.csv", frame=frame)
    run_pipeline(store, run)
    sides = count(store, split_sides)
    corrected = frame.iloc[:50].assign(median_house_value=123_400.0)
    land("b.csv", frame=corrected)
    ran = run_pipeline(store, run)
    assert count(store, split_sides) == sides == 300
    rows = datasets.read(store, ran.version)
    assert len(rows) == 300
    assert int((rows["median_house_value"] == 123_400.0).sum()) >= 50
    with store.read() as connection:
        assert len(datasets.get(connection, ran.version).batches) == 2


def test_a_leak_stops_the_run(store: Store, run: RunContext, land: Land) -> None:
    """A model whose recorded training rows are test rows must never be judged."""
    land("a.csv")
    ran = run_pipeline(store, run)
    frame = datasets.read(store, ran.version)
    with store.read() as connection:
        row = registry.model(connection, ran.challenger)
    test_keys = frame.loc[frame["#test"], "#key"].to_numpy()
    assert assert_no_leakage(store, row, test_keys, ran.version) == 0
    leaked = np.append(test_keys, frame.loc[~frame["#test"], "#key"].to_numpy()[:3])
    with pytest.raises(LeakFound, match="3 of its"):
        assert_no_leakage(store, row, leaked, ran.version)


def test_a_near_duplicate_in_training_fails_the_leak_proof_of_the_run(
    store: Store, run: RunContext, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a split that ties no rows, the gate sees what it let through, and refuses."""
    first = land("a.csv")
    run_pipeline(store, run)
    with store.read() as connection:
        evidence = connection.execute(sa.select(evaluations.c.evidence)).scalar_one()
    assert evidence["challenger"]["near_duplicates"] == 0
    nothing = np.empty(0, dtype=np.int64)
    untied = Ties(nothing, nothing, nothing)
    monkeypatch.setattr(split, "ties", lambda *given: (untied, given[-1]))
    twins = pd.read_csv(first)
    land("b.csv", frame=twins.assign(population=twins["population"] + 1))
    ran = run_pipeline(store, run)
    with store.read() as connection:
        query = sa.select(evaluations).order_by(evaluations.c.id.desc()).limit(1)
        row = connection.execute(query).one()
    assert row.evidence["challenger"]["near_duplicates"] > 50
    assert row.evidence["champion"]["near_duplicates"] > 20
    failed = [check for check in row.verdict["checks"] if check["outcome"] == "failed"]
    assert "leak-proof" in [check["name"] for check in failed]
    assert ran.judged.outcome != "promote"


def test_a_split_that_is_not_the_recorded_one_is_noticed(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    ran = run_pipeline(store, run)
    with store.write() as connection:
        connection.execute(models.update().values(train_keys="0" * 64))
    with store.read() as connection:
        row = registry.model(connection, ran.challenger)
    with pytest.raises(Corrupt, match="not those recorded"):
        assert_no_leakage(store, row, np.array([1]), ran.version)


def test_a_verdict_against_a_replaced_champion_promotes_nothing(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    first = run_pipeline(store, run, promoting=False)
    _make_champion(store, first)
    stale = JudgedEvaluation(first.judged.evaluation, 2, 99, "promote", "stale")
    with pytest.raises(ChampionChanged, match="expected m99, found m1"):
        promote.promote(store, run, stale)
    assert count(store, promotion_log) == 1


def test_rollback_refuses_what_was_never_champion(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    with pytest.raises(NoRollbackTarget, match="no champion came before"):
        promote.roll_back(store, None, "why not")
    with pytest.raises(NotPossible, match="it is the champion"):
        promote.roll_back(store, first.challenger, "why not")
    land("b.csv", seed=1)
    second = run_pipeline(store, run, promoting=False)
    assert second.challenger != first.challenger
    with pytest.raises(NotPossible, match="never champion"):
        promote.roll_back(store, second.challenger, "why not")
    assert count(store, promotion_log) == 1


def _damage(path: str) -> None:
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 2] ^= 1
    Path(path).write_bytes(bytes(data))


def test_rollback_heals_a_damaged_model_from_its_backup_or_refuses(
    store: Store, run: RunContext, land: Land, small: Settings
) -> None:
    land("a.csv")
    first = run_pipeline(store, run)
    promote.back_up(store, first.challenger)
    land("b.csv", seed=1)
    second = run_pipeline(store, run, promoting=False)
    _make_champion(store, second)
    with store.read() as connection:
        row = registry.model(connection, first.challenger)
    copy = Path(store.backup.path(row.artifact, artifacts.FORMAT))
    whole = copy.read_bytes()
    _damage(store.blobs.path(row.artifact, artifacts.FORMAT))
    _damage(str(copy))
    with pytest.raises(Corrupt, match="and so is its copy in the backup"):
        promote.roll_back(store, None, "why not")
    assert count(store, promotion_log) == 2
    copy.write_bytes(whole)
    Path(store.blobs.path(row.golden, "parquet")).unlink()
    done = promote.roll_back(store, None, "worse")
    assert sorted(done.healed) == sorted([row.artifact, row.golden])
    assert Path(store.blobs.path(row.artifact, artifacts.FORMAT)).read_bytes() == whole
    assert champion(store) == first.challenger


def must_be_in_the_backup(store: Store, model: int) -> None:
    """Whatever a model needs after the loss of the first place is whole in the second."""
    query = (
        sa.select(batches.c.segment, batch_splits.c.sides)
        .join(batch_splits, batch_splits.c.batch == batches.c.id)
        .order_by(batches.c.id)
    )
    with store.read() as connection:
        row = registry.model(connection, model)
        members = datasets.get(connection, row.version).batches
        parts = connection.execute(query.where(batches.c.id.in_(members))).all()
        calibration = calibrations.get(connection, model)
    assert len(parts) == len(members) > 0
    assert calibration is not None
    tables = [
        row.golden,
        calibration.training_index,
        *(digest for part in parts for digest in part),
    ]
    assert store.backup.get(row.artifact, artifacts.FORMAT)
    for digest in tables:
        assert pq.ParquetFile(io.BytesIO(store.backup.get(digest, "parquet"))).metadata.num_rows


def test_the_backup_holds_all_that_a_model_needs(store: Store, run: RunContext, land: Land) -> None:
    land("a.csv", rows=600)
    run_pipeline(store, run, promoting=False)
    land("b.csv", seed=1, rows=600)
    ran = run_pipeline(store, run, promoting=False)
    promote.back_up(store, ran.challenger)
    must_be_in_the_backup(store, ran.challenger)


def test_the_backup_is_read_back_before_the_promotion(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    ran = run_pipeline(store, run, promoting=False)
    promote.back_up(store, ran.challenger)
    with store.read() as connection:
        digest = registry.model(connection, ran.challenger).artifact
    copy = Path(store.backup.path(digest, artifacts.FORMAT))
    copy.write_bytes(b"damaged on the second disk")
    promote.back_up(store, ran.challenger)  # found by reading it back, and written again
    assert store.backup.get(digest, artifacts.FORMAT)


def test_the_report_names_outcome_and_models(
    store: Store, run: RunContext, land: Land, small: Settings
) -> None:
    bad = landing_rows(0, 300).astype({"median_income": object})
    bad.loc[3, "median_income"] = "<b>rich</b>"
    land("a.csv", frame=bad)
    ran = run_pipeline(store, run)
    written = write_report(
        store, small, run, of_verdict(run.id, ran.version, ran.judged, dry_run=False)
    )
    page = Path(str(written.result.report)).read_text()
    said = " ".join(html.unescape(page).split())  # no-break spaces and line ends alike
    assert ran.judged.message.split(";")[0] in said
    assert "not-a-number" in page
    assert "<b>rich</b>" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert pd.notna(written.result.report)
    card = f"card-m{ran.challenger}"
    assert f'<a href="{card}.html">' in page  # it lies beside the report
    assert written.card == (small.home / "reports" / f"{card}.md").read_text()
    assert written.card.startswith(f"# Model card of m{ran.challenger}")
    assert f"{card}.html" in written.summary


def test_a_card_that_cannot_be_made_leaves_the_report(
    store: Store, run: RunContext, land: Land, small: Settings
) -> None:
    land("a.csv")
    ran = run_pipeline(store, run)
    with store.read() as connection:
        digest = registry.model(connection, ran.challenger).artifact
    Path(store.blobs.path(digest, artifacts.FORMAT)).write_bytes(b"damaged")
    result = of_verdict(run.id, ran.version, ran.judged, dry_run=False)
    written = write_report(store, small, run, result)
    page = Path(str(written.result.report)).read_text()
    assert written.card == ""
    assert "card-m" not in page
    assert ran.judged.message.split(";")[0] in " ".join(html.unescape(page).split())


def test_an_unreadable_file_is_reported_and_the_others_are_ingested(
    store: Store, run: RunContext, land: Land, small: Settings
) -> None:
    land("a.csv")
    broken = land("b.csv", rows=10)
    broken.write_text("longitude;latitude\n1;2\n")
    ran = run_pipeline(store, run)
    assert [(b.name, b.status) for b in ran.intake.batches] == [
        ("a.csv", "accepted"),
        ("b.csv", "unreadable"),
    ]
    with store.read() as connection:
        (told,) = runs.skipped_files_since(connection, 0)
    assert (told.name, told.status) == ("b.csv", "unreadable")
    assert "separated by ';'" in told.message
    result = of_verdict(run.id, ran.version, ran.judged, dry_run=False)
    page = Path(str(write_report(store, small, run, result).result.report)).read_text()
    assert "b.csv" in page
    assert broken.exists(), "a file that cannot be read is kept"
