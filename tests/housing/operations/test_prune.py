"""Pruning: what goes, what stays, and that nothing is lost by it."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from housing.errors import NotPossible, Pruned, RunInProgress, SettingsInvalid, StoreUnavailable
from housing.inference.loaded_model import calibration_of
from housing.operations import backup, doctor, prune
from housing.pipeline import promote
from housing.problem import MARK
from housing.settings import Settings, load_settings
from housing.store.data import datasets, packing
from housing.store.database.engine import MAINTENANCE, Store
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, models, readiness_checks, runs, utc_now
from housing.store.database.tables import searches as searches_table
from housing.store.models import artifacts, blocks, calibrations, registry, retention, searches
from housing.store.models.promotion_log import Authorship
from housing.store.objects import deletion
from housing.store.objects.recording import record_blob
from housing.store.runs import labelled, lease, monitor_windows
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen

Later = Callable[[int], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Have pruning believe that so many days have passed."""

    def pass_days(days: int) -> None:
        def then() -> object:
            return utc_now() + timedelta(days=days)

        for module in (retention, prune):
            monkeypatch.setattr(module, "utc_now", then)

    return pass_days


@pytest.fixture
def challengers(original: Store) -> list[int]:
    """Three models that never were champion, each with an artifact and golden rows of its own."""
    made = []
    with original.read() as connection:
        row = dict(registry.model(connection, 2)._mapping)
    for number in range(3):
        model = artifacts.get_model(original, row["artifact"])
        model.set_params(model__random_state=number + 100)
        facts = {
            k: v for k, v in row.items() if k not in ("id", "artifact", "golden", "created_at")
        }
        facts["version"] = 1  # not the active one: the next run will not take it up
        golden = original.blobs.put(f"golden {number}".encode(), "parquet")
        artifact = artifacts.put_model(original, model)
        made.append(
            registry.register(original, {**facts, "ensemble_size": number + 10}, artifact, golden)
        )
    return made


def files(store: Store, model: int) -> list[Path]:
    with store.read() as connection:
        row = registry.model(connection, model)
    return [
        Path(store.blobs.path(row.artifact, artifacts.FORMAT)),
        Path(store.blobs.path(row.golden, "parquet")),
    ]


def test_challengers_go_and_whatever_was_champion_stays(
    original: Store, seen: Settings, challengers: list[int], later: Later
) -> None:
    assert prune.prune(original, seen).blobs == 0
    later(91)
    looked = prune.prune(original, seen, dry_run=True)
    assert all(path.exists() for model in challengers for path in files(original, model))
    done = prune.prune(original, seen)
    assert done == looked
    assert done.blobs == 6
    for model in challengers:
        assert not any(path.exists() for path in files(original, model))
        with original.read() as connection:
            digest = registry.model(connection, model).artifact
        with pytest.raises(Pruned, match="housing reproduce"):
            artifacts.get_model(original, digest)
    for model in (1, 2):
        assert all(path.exists() for path in files(original, model))
    assert promote.roll_back(original, None, "it still works").to_model == 1
    assert prune.prune(original, seen).blobs == 0
    with original.read() as connection:
        kinds = connection.execute(sa.select(runs.c.kind, runs.c.message)).all()
    assert (
        "prune",
        f"Deleted: 6 blobs, {done.bytes:,} bytes, 0 orphans, 0 backups, 0 copies, 0 records, "
        f"{done.pages} pages, 0 packed",
    ) in [tuple(row) for row in kinds]


def test_what_interrupted_writers_left_among_the_reports_is_deleted(
    original: Store, seen: Settings
) -> None:
    folder = seen.home / "reports"
    folder.mkdir(exist_ok=True)
    old, fresh = folder / ".writing-old", folder / ".writing-fresh"
    for path in (old, fresh):
        path.write_text("half a page")
    hours = seen.retention.orphan_hours + 1
    os.utime(old, (time.time() - 3600 * hours,) * 2)
    pages = prune.prune(original, seen, dry_run=True).pages
    assert prune.prune(original, seen).pages == pages == 1
    assert (old.exists(), fresh.exists()) == (False, True)


SOURCES = ("predictions", "batches", "clock", "labels")


def _monitored(store: Store, promotion: int, hours: int) -> None:
    """Records of a monitor that ran every hour, with a label in every second window."""
    now = utc_now()
    rows = {"batch:1": {"#key": [1], "outside": [0], "above": [1]}}
    prediction = {
        "key": 1, "origin": "l1", "batch": 1, "predicted_at": now, "predicted": 1.0,
        "lower": 0.0, "upper": 2.0, "label": 1.0, "model": promotion, "shadow": False,
    }  # fmt: skip
    window = {
        "model": promotion, "promotion": promotion, "rows": 1, "labelled": 0, "signals": [],
        "errors": [], "actions": {},
    }  # fmt: skip
    with store.write() as connection:
        for hour in range(hours):
            labelled_rows = rows if hour % 2 else {}
            facts = {"cursor": {"batch": hour}, "labelled_rows": labelled_rows}
            monitor_windows.add(
                connection, [{**window, **facts, "source": source} for source in SOURCES]
            )
        logged = pd.DataFrame([prediction] * hours).add_prefix(MARK)
        labelled.add(connection, promotion, logged)


def _read_by_the_monitor(store: Store) -> list[object]:
    """What a run of the monitor reads of its records, with m2 as champion."""
    with store.read() as connection:
        found: list[object] = [len(labelled.of_promotion(connection, 2, 2))]
        for source in SOURCES:
            rows = monitor_windows.labelled_rows(connection, source, 2)
            found.append([row for row in rows if row])
            found.append(monitor_windows.last(connection, source))
            found.append(monitor_windows.recent(connection, source, promotion=2))
    return found


def test_monitoring_records_are_pruned_except_those_that_the_monitor_reads(
    original: Store, seen: Settings, later: Later
) -> None:
    _monitored(original, 1, 150)
    _monitored(original, 2, 130)
    before = _read_by_the_monitor(original)
    assert prune.prune(original, seen).records == 0
    later(91)
    gone = len(SOURCES) * (150 + 15) + 150  # 15 of m2's older windows have no label
    assert prune.prune(original, seen, dry_run=True).records == gone
    assert prune.prune(original, seen).records == gone
    assert prune.prune(original, seen).records == 0
    assert _read_by_the_monitor(original) == before


def test_old_champions_go_once_newer_ones_are_enough(
    original: Store,
    seen: Settings,
    challengers: list[int],
    later: Later,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for new, old in zip(challengers, [2, *challengers], strict=False):
        registry.change_champion(original, registry.Change("promote", new, old, "test", "test"))
    monkeypatch.setenv("HOUSING_RETENTION__CHAMPIONS", "3")
    later(89)
    assert prune.prune(original, load_settings()).blobs == 0
    later(91)
    assert prune.prune(original, load_settings()).blobs > 0
    for model, stays in ((1, False), (2, True), *((c, True) for c in challengers)):
        assert all(path.exists() for path in files(original, model)) == stays, model
    blocks.block(original, "m", 1, Authorship("test", "test"))
    blocks.unblock(original, "m", 1, Authorship("test", "test"))
    with pytest.raises(Pruned, match="m1 was deleted"):
        promote.roll_back(original, 1, "too late")


def test_the_champion_is_kept_however_old(original: Store, seen: Settings, later: Later) -> None:
    later(3000)
    prune.prune(original, seen)
    assert all(path.exists() for path in files(original, 2))
    assert all(path.exists() for path in files(original, 1))  # of the latest few


def test_nothing_within_the_horizon_is_pruned(
    original: Store, seen: Settings, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotPossible, match=r"rollback horizon is 30 days.*HORIZON_DAYS"):
        prune.prune(original, seen, days=29)
    monkeypatch.setenv("HOUSING_RETENTION__DAYS", "10")
    with pytest.raises(SettingsInvalid, match="inside the rollback horizon"):
        load_settings()


@pytest.mark.parametrize("name", ["run", MAINTENANCE])
def test_prune_is_refused_while_another_command_has_the_lease(
    original: Store, seen: Settings, name: str
) -> None:
    with (
        lease.held_lease(original, owner="somebody else", name=name),
        pytest.raises(RunInProgress, match="somebody else"),
    ):
        prune.prune(original, seen)


def test_old_unreferenced_files_are_deleted(
    original: Store, seen: Settings, tmp_path: Path
) -> None:
    orphan = original.blobs.put(b"never recorded", "bin")
    fresh = original.blobs.put(b"about to be recorded", "bin")
    path = Path(original.blobs.path(orphan.digest, "bin"))
    scratch = path.parent / ".writing-abc"
    scratch.write_bytes(b"half")
    stranger = Path(original.blobs.url) / "README.txt"
    stranger.write_text("somebody's own")
    for old in (path, scratch, stranger):
        os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    assert prune.prune(original, seen).orphans == 2
    assert not path.exists()
    assert not scratch.exists()
    assert stranger.exists()
    assert original.blobs.get(fresh.digest, "bin")


def test_a_dry_run_predicts_what_the_prune_does(
    original: Store,
    seen: Settings,
    challengers: list[int],
    later: Later,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With something of every kind, what an earlier prune has marked and not deleted among it."""
    monkeypatch.setenv("HOUSING_RETENTION__BACKUPS", "1")
    settings = load_settings()
    backup.create(original, settings)
    backup.create(original, settings)
    with original.write() as connection:
        this = blobs.c.digest == _artifact(original, challengers[0])
        connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))
    original.blobs.put(b"never recorded", "bin")
    original.backup.put(b"of no backup", "bin")
    for place in (original.blobs, original.backup):
        (Path(place.url) / ".writing-abc").write_bytes(b"half")
    original.backup.write("snapshots/20200101T000000.000000Z-abc/runs.parquet", b"half")
    later(91)
    before = _everything(original)
    looked = prune.prune(original, settings, dry_run=True)
    assert _everything(original) == before
    assert prune.prune(original, settings) == looked
    assert (looked.blobs, looked.orphans, looked.backups, looked.copies) == (6, 2, 2, 2)
    gone = len(before) - len(_everything(original))
    tables = (
        sum(name.startswith("snapshots/") for name in before) // 2
    )  # of one snapshot; the other stays
    assert gone == looked.blobs + looked.orphans + looked.copies + tables + 1
    assert prune.prune(original, settings, dry_run=True) == prune.PruneResult(*[0] * 8)


def _everything(store: Store) -> list[str]:
    return [name for place in (store.blobs, store.backup) for name in place.names(raw=True)]


@pytest.mark.parametrize("key", [None, "a passphrase of the backup"])
def test_files_of_a_killed_backup_are_pruned_encrypted_or_not(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    if key is not None:
        monkeypatch.setenv("HOUSING_BACKUP_KEY", key)
    settings = load_settings()
    with open_store(settings) as store:
        store.backup.write("snapshots/20200101T000000.000000Z-abc/runs.parquet", b"half")
        path = Path(store.backup.url) / "snapshots" / "20200101T000000.000000Z-def" / ".writing-abc"
        path.parent.mkdir()
        path.write_bytes(b"half")
        assert prune.prune(store, settings).backups == 2
        assert list(store.backup.names(raw=True)) == []


def test_a_prune_that_fails_names_what_and_is_run_again(
    original: Store, seen: Settings, challengers: list[int], later: Later
) -> None:
    stuck, other = (files(original, model)[0] for model in challengers[:2])
    whole = stuck.read_bytes()
    stuck.unlink()
    stuck.mkdir()  # which not even root can delete as a file
    later(91)
    with pytest.raises(StoreUnavailable, match=f"directory: {stuck}"):
        prune.prune(original, seen)
    with original.read() as connection:
        run = connection.execute(sa.select(runs).where(runs.c.kind == "prune")).one()
        marked = deletion.marked(connection)
    assert run.status == "failed"
    assert str(stuck) in run.error
    assert "`housing prune` resumes" in run.error
    assert len(marked) == 6, "none is said to be deleted that is not"
    with pytest.raises(Pruned, match="housing reproduce"):
        artifacts.get_model(original, _artifact(original, challengers[0]))
    stuck.rmdir()
    stuck.write_bytes(whole)
    assert prune.prune(original, seen).blobs == 6
    assert not stuck.exists()
    assert not other.exists()


def test_a_model_that_is_pruned_while_it_is_loaded_is_named(
    original: Store,
    seen: Settings,
    challengers: list[int],
    later: Later,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later(91)
    check = artifacts.check_signature

    def prune_first(store: Store, row: sa.Row[tuple[object]]) -> None:
        check(store, row)
        prune.prune(original, seen)

    monkeypatch.setattr(artifacts, "check_signature", prune_first)
    with pytest.raises(Pruned, match="housing reproduce"):
        artifacts.get_model(original, _artifact(original, challengers[0]))


def test_old_backups_are_pruned_with_their_copies(
    original: Store,
    seen: Settings,
    challengers: list[int],
    later: Later,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOUSING_RETENTION__BACKUPS", "2")
    settings = load_settings()
    first, second, third = (backup.create(original, settings).id for _ in range(3))
    assert backup.verify(original, first).good
    before = len(list(original.backup.names()))
    later(29)
    assert prune.prune(original, settings).backups == 0
    later(91)
    done = prune.prune(original, settings)
    assert done.backups == 0, "the last good one stays, and the two latest"
    assert backup.verify(original, third).good
    assert prune.prune(original, settings).backups == 1
    left = [row["backup"] for row in backup.listing(original)]
    assert sorted(left) == sorted([second, third])
    assert backup.verify(original, second).good
    fourth, fifth = (backup.create(original, settings).id for _ in range(2))
    assert backup.verify(original, fifth).good
    done = prune.prune(original, settings)
    assert done.backups == 2
    assert done.copies == 6  # the challengers', which only the dropped backups had
    assert len(list(original.backup.names())) < before
    for id_ in (fourth, fifth):
        assert backup.verify(original, id_).good


def test_a_damaged_manifest_stops_the_sweep_of_copies(
    original: Store, seen: Settings, later: Later
) -> None:
    snapshot = backup.create(original, seen)
    orphan = original.backup.put(b"left over", "bin")
    path = Path(original.backup.at(f"snapshots/{snapshot.id}/manifest.json"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    later(91)
    stopped = prune.prune(original, seen)
    assert stopped.copies == 0
    assert "No copies were deleted" in stopped.notice
    assert snapshot.id in stopped.notice
    path.write_bytes(whole)
    assert prune.prune(original, seen).copies == 1
    assert not Path(original.backup.path(orphan.digest, "bin")).exists()


def test_what_was_pruned_can_be_stored_again(
    original: Store, seen: Settings, challengers: list[int], later: Later
) -> None:
    model = artifacts.get_model(original, _artifact(original, challengers[0]))
    later(91)
    prune.prune(original, seen)
    blob = artifacts.put_model(original, model)
    with original.write() as connection:
        record_blob(connection, blob, "model")
        assert connection.execute(sa.select(models.c.id).where(models.c.artifact == blob.digest))
    assert artifacts.get_model(original, blob.digest) is not None
    with original.read() as connection:
        row = connection.execute(sa.select(blobs).where(blobs.c.digest == blob.digest)).one()
    assert (row.pruned_at, row.deleted_at) == (None, None)


def _artifact(store: Store, model: int) -> str:
    with store.read() as connection:
        return str(registry.model(connection, model).artifact)


@pytest.mark.system
def test_old_batches_are_packed_and_their_objects_go_a_day_later(
    original: Store, seen: Settings, later: Later, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packing, "LOOSE", 2)
    before, objects = datasets.read(original, 2), {*original.blobs.names()}
    looked = prune.prune(original, seen, dry_run=True)
    done = prune.prune(original, seen)
    assert done == looked
    assert (done.packed, done.blobs) == (2, 0)
    (pack,) = {*original.blobs.names()} - objects
    assert pack in original.backup.names(), "its copy comes before it is used"
    again = prune.prune(original, seen)
    assert (again.packed, again.blobs) == (0, 0), "who listed the segments may still read them"
    later(2)
    assert prune.prune(original, seen).blobs == 4, "two segments and their sides"
    backup.create(original, seen)
    assert pack in original.blobs.names()
    pd.testing.assert_frame_equal(datasets.read(original, 2), before)
    assert not doctor.examine(original, seen).damaged
    assert backup.verify(original).good
    shutil.copytree(seen.home / "keys", tmp_path / "elsewhere" / "keys")
    there = load_settings(home=tmp_path / "elsewhere")
    backup.restore(there)
    with open_store(there) as store:
        pd.testing.assert_frame_equal(datasets.read(store, 2), before)


def test_out_of_fold_predictions_and_calibrations_go_with_their_model(
    original: Store, seen: Settings, challengers: list[int], later: Later
) -> None:
    with original.read() as connection:
        of_champion = registry.model(connection, 2)
        search = dict(searches.get(connection, of_champion.search)._mapping)
    calibration_of(original, of_champion, artifacts.get_model(original, of_champion.artifact))
    blob = original.blobs.put(b"out of fold", "parquet")
    facts = {k: v for k, v in search.items() if k not in ("id", "key", "version", "out_of_fold")}
    with original.write() as connection:
        digest = record_blob(connection, blob, "out_of_fold")
        new = searches_table.insert().values(**facts, key="0" * 64, version=1, out_of_fold=digest)
        connection.execute(new)
    calibrations.put(original, challengers[0], {}, pd.DataFrame({"x": [1.0]}))
    assert prune.prune(original, seen).blobs == 0
    later(91)
    assert prune.prune(original, seen).blobs == 6 + 2, "three models, and the two"
    with original.read() as connection:
        gone = calibrations.get(connection, challengers[0])
        kept = calibrations.get(connection, 2)
    assert gone is not None
    assert kept is not None
    assert deletion.is_dropped(original, digest)
    assert deletion.is_dropped(original, gone.training_index)
    assert not deletion.is_dropped(original, kept.training_index)
    assert not deletion.is_dropped(original, of_champion.out_of_fold)


def test_a_pruned_calibration_is_computed_again(original: Store) -> None:
    with original.read() as connection:
        row = registry.model(connection, 2)
    fitted = artifacts.get_model(original, row.artifact)
    first, index = calibration_of(original, row, fitted)
    with original.write() as connection:
        its = calibrations.get(connection, 2)
        assert its is not None
        this = blobs.c.digest == its.training_index
        connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))
        original.blobs.remove(f"{its.training_index[:2]}/{its.training_index}.parquet")
    again, places = calibration_of(original, row, fitted)
    assert again == first
    assert (places.values == index.values).all()


def test_checks_of_readiness_are_pruned_but_the_last_of_each_model(
    original: Store, seen: Settings, later: Later
) -> None:
    facts = {"ready": True, "detail": "", "environment": "e", "seconds": 1.0}
    with original.write() as connection:
        for model in (1, 2, 1, 2, 1):
            new = readiness_checks.insert().values(model=model, **facts, checked_at=utc_now())
            connection.execute(new)
    assert prune.prune(original, seen).records == 0
    later(91)
    assert prune.prune(original, seen).records == 3
    with original.read() as connection:
        assert {*retention.readiness_by_model(connection)} == {1, 2}
