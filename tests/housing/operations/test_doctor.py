"""`housing doctor` finds every kind of damage, names the command that fixes it, changes nothing."""

import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from housing.operations import backup, doctor
from housing.operations.heal import heal
from housing.settings import Settings, load_settings
from housing.store.backups.replication import copy_verified
from housing.store.database.engine import LEASES, Store
from housing.store.database.open import open_store
from housing.store.database.tables import backup_copies, batch_splits, blobs, leases, utc_now
from housing.store.database.tables import runs as runs_table
from housing.store.models import registry
from housing.store.objects.recording import record_blob
from housing.store.runs import lease, runs
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen


@pytest.fixture
def sound(original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a good backup, of which only the disk is shared with it.

    Examined without a fresh process each time, which takes seconds to start.
    """
    monkeypatch.delitem(doctor.CHECKS, "readiness")
    backup.create(original, seen)
    assert backup.verify(original).good
    return original


def findings(store: Store, settings: Settings) -> list[tuple[str, str, str]]:
    """Area, what and cure of all but the remark that the backup is on the same disk."""
    found = doctor.examine(store, settings).findings
    return [(f.area, f.what, f.fix) for f in found if "same disk" not in f.what]


def areas(store: Store, settings: Settings) -> list[str]:
    return [area for area, _, _ in findings(store, settings)]


def test_a_sound_store_has_no_findings(sound: Store, seen: Settings) -> None:
    examined = doctor.examine(sound, seen)
    assert findings(sound, seen) == []
    assert not examined.damaged
    assert set(examined.checks) == set(doctor.CHECKS)


def test_a_champion_that_cannot_be_loaded_is_found(original: Store, seen: Settings) -> None:
    """With the fresh process, and without a backup."""
    with original.write() as connection:
        this = blobs.c.digest == _row(original, "model").digest
        connection.execute(blobs.update().where(this).values(signature=None))
    assert areas(original, seen) == ["signatures", "backup", "readiness"]


def test_an_empty_store_has_only_no_backup(store: Store, settings: Settings) -> None:
    assert [a for a in areas(store, settings) if a != "permissions"] == ["backup"]


def _row(store: Store, kind: str) -> sa.Row[tuple[object, ...]]:
    with store.read() as connection:
        query = sa.select(blobs).where(blobs.c.kind == kind).order_by(blobs.c.digest)
        return connection.execute(query).first()  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["segment", "sides", "rejected", "model", "golden", "predictions"])
def test_a_damaged_object_is_named_and_healed(sound: Store, seen: Settings, kind: str) -> None:
    row = _row(sound, kind)
    path = Path(sound.blobs.path(row.digest, row.suffix))
    whole = path.read_bytes()
    for damage in (whole[:-1] + bytes([whole[-1] ^ 1]), None):
        path.unlink() if damage is None else path.write_bytes(damage)
        examined = doctor.examine(sound, seen)
        (found, *_) = [f for f in examined.findings if f.area == "objects"]
        assert examined.damaged
        assert row.digest[:12] in found.what
        assert "housing heal" in found.fix
        assert path.exists() == (damage is not None), "doctor changed it"
        assert heal(sound).healed == (row.digest,)
        assert path.read_bytes() == whole
    assert findings(sound, seen) == []


def test_an_object_lost_in_store_and_backup_is_named(sound: Store, seen: Settings) -> None:
    row = _row(sound, "golden")
    for place in (sound.blobs, sound.backup):
        Path(place.path(row.digest, row.suffix)).unlink()
    assert ("objects", "no whole copy in the backup") in [
        (area, fix[:27]) for area, _, fix in findings(sound, seen)
    ]
    done = heal(sound)
    assert (done.healed, len(done.lost)) == ((), 1)
    assert row.digest[:12] in done.lost[0]


def test_strays_signatures_and_permissions(sound: Store, seen: Settings) -> None:
    orphan = sound.blobs.put(b"never recorded", "bin")
    path = Path(sound.blobs.path(orphan.digest, "bin"))
    assert findings(sound, seen) == [], "it may be about to be recorded"
    os.utime(path, (time.time() - 90_000,) * 2)
    assert [(a, m) for a, _, m in findings(sound, seen)] == [("orphans", "`housing prune`")]
    path.unlink()
    with sound.write() as connection:
        this = blobs.c.digest == _row(sound, "model").digest
        connection.execute(blobs.update().where(this).values(signature=None))
    assert areas(sound, seen) == ["signatures"]
    with sound.write() as connection:
        connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))
    key = seen.home / "keys" / "signing.key"
    key.chmod(0o644)
    found = findings(sound, seen)
    assert ("permissions", f"`chmod -R go= {key}`") in [(a, m) for a, _, m in found]
    assert ("objects", "`housing prune`") in [(a, m) for a, _, m in found]


def test_another_key_is_found(sound: Store, seen: Settings) -> None:
    with open_store(load_settings(signing_key="some other key of 32 characters!!")) as other:
        found = findings(other, load_settings(signing_key="some other key of 32 characters!!"))
    assert {area for area, _, _ in found} == {"signatures"}


def test_dead_owners_and_runs_are_named(sound: Store, seen: Settings) -> None:
    with sound.write() as connection:
        run = runs.start(connection, "nightly", {})
    assert findings(sound, seen) == [
        (
            "leases",
            f"r{run}: marked running, without a process",
            "`housing retrain` marks them crashed and continues",
        )
    ]
    for name in LEASES:
        lease.acquire(sound, owner="a killed process", name=name)
    with sound.write() as connection:
        connection.execute(leases.update().values(process_started=1.0))
    *held, _ = (what for _, what, _ in findings(sound, seen))
    assert held == [
        f"the lease `{name}` is held by a killed process, which has ended" for name in LEASES
    ]
    with sound.write() as connection:
        connection.execute(leases.update().values(held=False))
        connection.execute(runs_table.update().values(status="crashed"))
    assert findings(sound, seen) == []


def test_a_clock_that_went_back_is_named(sound: Store, seen: Settings) -> None:
    with sound.write() as connection:
        run = runs.start(connection, "ingest", {})
        ahead = utc_now().replace(year=utc_now().year + 1)
        connection.execute(
            runs_table.update()
            .where(runs_table.c.id == run)
            .values(started_at=ahead, status="completed")
        )
    assert areas(sound, seen) == ["clock"]


def test_a_broken_ledger_and_a_broken_split_are_found(sound: Store, seen: Settings) -> None:
    with sound.write() as connection:
        for name in ("promotion_log_refuses_DELETE", "batch_splits_refuses_UPDATE"):
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        sides = connection.execute(sa.select(batch_splits.c.sides)).scalars().all()
        connection.execute(
            batch_splits.update().where(batch_splits.c.sides == sides[1]).values(sides=sides[1])
        )
        connection.exec_driver_sql("DELETE FROM promotion_log WHERE seq = 1")
        connection.exec_driver_sql("UPDATE models SET train_keys = 'x' WHERE id = 2")
    found = findings(sound, seen)
    assert [area for area, _, _ in found] == ["database", "split"]
    assert "entry 0 to entry 2" in found[0][1]
    assert "m2" in found[1][1]


def test_backups_that_are_old_untried_or_bad_are_named(
    sound: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = backup.create(sound, seen)
    assert [(a, m) for a, _, m in findings(sound, seen)] == [("backup", "`housing backup verify`")]
    Path(sound.backup.at(f"snapshots/{second.id}/promotion_log.parquet")).unlink()
    assert not backup.verify(sound).good
    examined = doctor.examine(sound, seen)
    assert examined.damaged
    assert "cannot be restored" in next(f.what for f in examined.findings if f.area == "backup")


@pytest.mark.parametrize("file", ["models.parquet", "manifest.json", "an object", "no object"])
def test_every_backup_is_examined_and_the_named_command_repairs_it(
    sound: Store, seen: Settings, file: str
) -> None:
    """An older one too: the command that the finding names makes a whole backup."""
    (first,) = (row["backup"] for row in backup.listing(sound))
    backup.create(sound, seen)
    assert backup.verify(sound).good
    row = _row(sound, "model")
    name = f"{row.digest[:2]}/{row.digest}.{row.suffix}"
    path = Path(sound.backup.at(f"snapshots/{first}/{file}" if "." in file else name))
    if file == "no object":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    ((area, what, cure),) = findings(sound, seen)
    assert (area, path.name.partition(".")[0][:12] in what) == ("backup", True)
    assert "housing heal" not in what
    assert doctor.examine(sound, seen).damaged
    if "object" in file:
        verify = re.search(r"`housing backup verify (\S+)`", cure)
        assert verify is not None
        (problem,) = backup.verify(sound, verify[1]).problems
        assert "housing backup create" in problem
    third = backup.create(sound, seen)
    assert backup.verify(sound, third.id).good
    if "." in file:
        shutil.rmtree(cure.rpartition(" ")[2])
    else:
        assert backup.verify(sound, verify[1]).good
    assert findings(sound, seen) == []


@pytest.mark.parametrize("damage", [b"other bytes", None])
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_damaged_copy_made_by_a_promotion_is_found_and_the_next_backup_repairs_it(
    original: Store,
    seen: Settings,
    monkeypatch: pytest.MonkeyPatch,
    damage: bytes | None,
    snapshot: bool,
) -> None:
    monkeypatch.delitem(doctor.CHECKS, "readiness")
    if snapshot:
        backup.create(original, seen)
    with original.write() as connection:
        blob = original.blobs.put(b"a model", "bin")
        record_blob(connection, blob, "golden")
    copy_verified(original, [blob.digest])
    copy = Path(original.backup.path(blob.digest, "bin"))
    copy.unlink() if damage is None else copy.write_bytes(damage)
    examined = doctor.examine(original, seen)
    (found,) = [f for f in examined.findings if blob.digest[:12] in f.what]
    assert (found.severity, found.fix) == ("damaged", "`housing backup create`")
    backup.create(original, seen)
    assert backup.verify(original).good
    assert not doctor.examine(original, seen).damaged


def test_a_backup_verifies_copies_that_were_not_verified_for_a_week(
    sound: Store, seen: Settings
) -> None:
    row = _row(sound, "model")
    Path(sound.backup.path(row.digest, row.suffix)).write_bytes(b"other bytes")
    with sound.write() as connection:
        old = utc_now() - timedelta(days=8)
        connection.execute(backup_copies.update().values(verified_at=old))
    assert backup.create(sound, seen).copied == row.size
    assert backup.verify(sound).good
    assert backup.create(sound, seen).copied == 0
    with sound.read() as connection:
        here = backup_copies.c.url == sound.backup.url
        times = connection.execute(sa.select(backup_copies.c.verified_at).where(here)).scalars()
        assert min(times) > old + timedelta(days=1)


def test_one_examination_that_fails_does_not_stop_the_others(
    sound: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from housing.errors import StoreUnavailable

    def unreachable(*_: object) -> object:
        raise StoreUnavailable(what="The blob store s3://x", why="no network", next_step="Wait.")

    monkeypatch.setitem(doctor.CHECKS, "orphans", unreachable)
    found = findings(sound, seen)
    assert [area for area, _, _ in found] == ["orphans"]
    assert "no network" in found[0][1]


def test_the_champion_is_examined(sound: Store, seen: Settings) -> None:
    """The checker itself must fail when it should: here the split's proof."""
    with sound.read() as connection:
        champion = registry.model(connection, 2)
    with sound.write() as connection:
        connection.exec_driver_sql("UPDATE models SET version = 1 WHERE id = 2")
    assert champion.version == 2
    assert areas(sound, seen) == ["split"]
