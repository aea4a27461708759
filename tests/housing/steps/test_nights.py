"""Whole nights, step by step: what comes in, what is decided, what is found again."""

import html
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from housing.errors import ChampionChanged, Corrupt, LeakFound, NoRollbackTarget, NotPossible
from housing.records import IntakeSummary
from housing.settings import Settings, load_settings
from housing.steps import datasets as dataset_steps
from housing.steps import intake, promote, tune
from housing.steps.evaluate import Judged, evaluate, prove_disjoint
from housing.steps.night import Night, conclude
from housing.steps.outcome import of_verdict
from housing.steps.report import write
from housing.steps.settled import settled
from housing.store import artifacts, datasets, registry, runs, searches
from housing.store.engine import Store
from housing.store.tables import batches, blobs, evaluations, ledger, models, split_ledger, trials
from tests.housing.steps.conftest import Land
from tests.nights import landing_rows


@dataclass(frozen=True)
class Ran:
    intake: IntakeSummary
    version: int
    search: int
    challenger: int
    judged: Judged


def run_night(store: Store, night: Night, *, promoting: bool = True) -> Ran:
    """What the flow does, without the orchestrator."""
    settings = load_settings()
    came = intake.bring_in(store, settings, run=night.run)
    version = dataset_steps.freeze(store, night).id
    dataset_steps.assign_sides(store, settings)
    search = tune.tune(store, night, version, settings)
    challenger = tune.fit_challenger(store, night, search, settings)
    judged = evaluate(store, night, version, challenger, settings)
    if judged.outcome == "promote" and promoting:
        promote.back_up(store, challenger)
        promote.promote(store, night, judged)
    return Ran(came, version, search, challenger, judged)


def champion(store: Store) -> int | None:
    with store.read() as connection:
        return registry.champion(connection)


def count(store: Store, table: sa.Table) -> int:
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_the_first_night_promotes_what_beats_the_baselines(
    store: Store, night: Night, land: Land
) -> None:
    land("a.csv")
    ran = run_night(store, night)
    assert ran.intake.accepted == 1200
    assert ran.judged.outcome == "promote", ran.judged.sentence
    assert champion(store) == ran.challenger
    with store.read() as connection:
        model = registry.model(connection, ran.challenger)
        assert sum(model.importances.values()) == pytest.approx(1)
        assert model.libraries["scikit-learn"]
        assert [t.draw.index for t in searches.trials_of(connection, ran.search)] == [0, 1]


TABLES = (batches, trials, models, evaluations, ledger, blobs)


def test_a_night_that_died_after_its_promotion_is_told_by_the_next(
    store: Store, night: Night, land: Land
) -> None:
    land("a.csv")
    first = run_night(store, night)
    before = {table: count(store, table) for table in TABLES}
    assert settled(store, first.version, load_settings()) is None  # nobody was told
    again = run_night(store, night)
    assert (again.search, again.challenger, again.judged) == (
        first.search,
        first.challenger,
        first.judged,
    )
    assert {table: count(store, table) for table in TABLES} == before
    assert [b.status for b in again.intake.batches] == ["unchanged"]


def test_a_concluded_night_has_nothing_left_to_do(store: Store, night: Night, land: Land) -> None:
    land("a.csv")
    first = run_night(store, night)
    conclude(store, night, of_verdict(night.run, first.version, first.judged, dry_run=False))
    assert settled(store, first.version, load_settings()) == first.judged
    land("b.csv", seed=1)
    intake.bring_in(store, load_settings(), run=night.run)
    assert settled(store, dataset_steps.freeze(store, night).id, load_settings()) is None


def test_work_is_looked_for_until_it_is_carried_out(
    store: Store, night: Night, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv")
    ran = run_night(store, night, promoting=False)
    conclude(store, night, of_verdict(night.run, ran.version, ran.judged, dry_run=True))
    assert settled(store, ran.version, load_settings()) is None
    promote.promote(store, night, ran.judged)
    assert settled(store, ran.version, load_settings()) is not None
    monkeypatch.setenv("HOUSING_SEARCH__N_ITER", "3")
    assert settled(store, ran.version, load_settings()) is None


def test_what_was_taken_back_is_not_promoted_by_the_next_night(
    store: Store, night: Night, land: Land
) -> None:
    land("a.csv")
    first = run_night(store, night)
    land("b.csv", seed=1)
    second = run_night(store, night)
    _make_champion(store, second)
    conclude(store, night, of_verdict(night.run, second.version, second.judged, dry_run=False))
    promote.roll_back(store, None, "worse in the field")
    assert champion(store) == first.challenger
    assert settled(store, second.version, load_settings()) is not None


def _make_champion(store: Store, ran: Ran) -> None:
    """Whatever the gate said: the test is about what comes after."""
    if champion(store) != ran.challenger:
        registry.change_champion(
            store,
            registry.Change("promote", ran.challenger, champion(store), "test", "for the test"),
        )


def test_corrections_keep_their_side_and_change_the_rows(
    store: Store, night: Night, land: Land
) -> None:
    frame = landing_rows(0, 300)
    land("a.csv", frame=frame)
    run_night(store, night)
    sides = count(store, split_ledger)
    corrected = frame.iloc[:50].assign(median_house_value=123_400.0)
    land("b.csv", frame=corrected)
    ran = run_night(store, night)
    assert count(store, split_ledger) == sides == 300
    rows = datasets.read(store, ran.version)
    assert len(rows) == 300
    assert int((rows["median_house_value"] == 123_400.0).sum()) >= 50
    with store.read() as connection:
        assert len(datasets.get(connection, ran.version).batches) == 2


def test_a_leak_stops_the_night(store: Store, night: Night, land: Land) -> None:
    """A model whose recorded training rows are test rows must never be judged."""
    land("a.csv")
    ran = run_night(store, night)
    frame = datasets.read(store, ran.version)
    with store.read() as connection:
        row = registry.model(connection, ran.challenger)
    test_keys = frame.loc[frame["test"], "key"].to_numpy()
    assert prove_disjoint(store, row, test_keys, ran.version) == 0
    leaked = np.append(test_keys, frame.loc[~frame["test"], "key"].to_numpy()[:3])
    with pytest.raises(LeakFound, match="3 of its"):
        prove_disjoint(store, row, leaked, ran.version)


def test_a_split_that_is_not_the_recorded_one_is_noticed(
    store: Store, night: Night, land: Land
) -> None:
    land("a.csv")
    ran = run_night(store, night)
    with store.write() as connection:
        connection.execute(models.update().values(train_keys="0" * 64))
    with store.read() as connection:
        row = registry.model(connection, ran.challenger)
    with pytest.raises(Corrupt, match="not those recorded"):
        prove_disjoint(store, row, np.array([1]), ran.version)


def test_a_verdict_against_a_replaced_champion_promotes_nothing(
    store: Store, night: Night, land: Land
) -> None:
    land("a.csv")
    first = run_night(store, night, promoting=False)
    _make_champion(store, first)
    stale = Judged(first.judged.evaluation, 2, 99, "promote", "stale")
    with pytest.raises(ChampionChanged, match="expected m99, found m1"):
        promote.promote(store, night, stale)
    assert count(store, ledger) == 1


def test_rollback_refuses_what_was_never_champion(store: Store, night: Night, land: Land) -> None:
    land("a.csv")
    first = run_night(store, night)
    with pytest.raises(NoRollbackTarget, match="no champion came before"):
        promote.roll_back(store, None, "why not")
    with pytest.raises(NotPossible, match="it is the champion"):
        promote.roll_back(store, first.challenger, "why not")
    land("b.csv", seed=1)
    second = run_night(store, night, promoting=False)
    assert second.challenger != first.challenger
    with pytest.raises(NotPossible, match="never champion"):
        promote.roll_back(store, second.challenger, "why not")
    assert count(store, ledger) == 1


def test_rollback_refuses_a_damaged_model(
    store: Store, night: Night, land: Land, small: Settings
) -> None:
    land("a.csv")
    first = run_night(store, night)
    land("b.csv", seed=1)
    _make_champion(store, run_night(store, night))
    with store.read() as connection:
        digest = registry.model(connection, first.challenger).artifact
    path = Path(store.blobs.path(digest, artifacts.FORMAT))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Corrupt, match="sha256"):
        promote.roll_back(store, None, "why not")
    assert count(store, ledger) == 2


def test_the_backup_is_read_back_before_the_promotion(
    store: Store, night: Night, land: Land
) -> None:
    land("a.csv")
    ran = run_night(store, night, promoting=False)
    promote.back_up(store, ran.challenger)
    with store.read() as connection:
        digest = registry.model(connection, ran.challenger).artifact
    copy = Path(store.backup.path(digest, artifacts.FORMAT))
    copy.write_bytes(b"damaged on the second disk")
    promote.back_up(store, ran.challenger)  # found by reading it back, and written anew
    assert store.backup.get(digest, artifacts.FORMAT)


def test_a_report_says_what_happened(
    store: Store, night: Night, land: Land, small: Settings
) -> None:
    bad = landing_rows(0, 300).astype({"median_income": object})
    bad.loc[3, "median_income"] = "<b>rich</b>"
    land("a.csv", frame=bad)
    ran = run_night(store, night)
    written = write(
        store, small, night, of_verdict(night.run, ran.version, ran.judged, dry_run=False)
    )
    page = Path(str(written.result.report)).read_text()
    said = " ".join(html.unescape(page).split())  # no-break spaces and line ends alike
    assert ran.judged.sentence.split(";")[0] in said
    assert "not-a-number" in page
    assert "<b>rich</b>" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert written.summary
    assert pd.notna(written.result.report)


def test_a_file_that_cannot_be_read_is_told_and_the_others_go_on(
    store: Store, night: Night, land: Land, small: Settings
) -> None:
    land("a.csv")
    broken = land("b.csv", rows=10)
    broken.write_text("longitude;latitude\n1;2\n")
    ran = run_night(store, night)
    assert [(b.name, b.status) for b in ran.intake.batches] == [
        ("a.csv", "accepted"),
        ("b.csv", "unreadable"),
    ]
    with store.read() as connection:
        (told,) = runs.not_taken_since(connection, 0)
    assert (told.name, told.status) == ("b.csv", "unreadable")
    assert "separated by ';'" in told.message
    result = of_verdict(night.run, ran.version, ran.judged, dry_run=False)
    page = Path(str(write(store, small, night, result).result.report)).read_text()
    assert "b.csv" in page
    assert broken.exists(), "a file that cannot be read is kept"
