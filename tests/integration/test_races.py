"""What one operation deletes or writes over while another relies on it: forced, never by chance.

The table of docs/reliability.md, pair by pair. Each operation is a process of its own; whoever
prunes has a clock that is far ahead, so that no file's age protects it.
"""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from housing.errors import RunInProgress as RunInProgress
from housing.operations import backup, prune
from housing.settings import Settings, load_settings
from housing.store.backups import snapshots
from housing.store.data.segments import get_table, put_frame
from housing.store.database.engine import MAINTENANCE, WRITE_LOCK, Store, create_engine
from housing.store.database.integrity import unsound
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, leases, runs, utc_now
from housing.store.models import artifacts, promotion_log, registry, retention
from housing.store.objects import deletion
from housing.store.objects.blobs import name_of
from tests.fixtures.pausing import AFTER_PUT, Paused, Point, run
from tests.housing.operations.test_backup import s3 as s3
from tests.housing.operations.test_backup import s3_server as s3_server

PLACES = (
    ("sqlite", "folder"),
    ("postgresql", "object store"),
    ("sqlite", "object store"),
    ("postgresql", "folder"),
)


def on(short: int) -> pytest.MarkDecorator:
    """The first so many databases and places in the short form, all of them in the long one."""
    chosen = [
        pytest.param(*each, marks=() if number < short else pytest.mark.slow)
        for number, each in enumerate(PLACES)
    ]
    return pytest.mark.parametrize(("database_url", "kind"), chosen, indirect=True)


pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.xdist_group("races")]

ORPHANS = Point("housing.store.objects.deletion:delete_unreferenced")
"""A prune has decided which files nothing names."""

MARKED = Point("housing.store.objects.deletion:delete_marked")
"""What is to go is marked; its bytes are about to be deleted."""

DELETING = Point("housing.store.objects.filesystem:DurableFileSystem.remove")
"""In the middle of deleting."""


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(
    populated_home: Path,
    tmp_path: Path,
    database_url: str,
    kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """A store on either database and either kind of place, of whose models a prune drops m1."""
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(populated_home, tmp_path / "seen")
    url = str(tmp_path) if kind == "folder" else request.getfixturevalue("s3")
    source = load_settings(home=tmp_path / "seen", backup_url=f"{url}/backup")
    with open_store(source) as store:
        backup.create(store, source)
    shutil.copytree(source.home / "keys", tmp_path / "home" / "keys")
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "DATABASE_URL": database_url,
        "BLOB_URL": f"{url}/blobs",
        "BACKUP_URL": f"{url}/backup",
        "RETENTION__CHAMPIONS": "2",
    }.items():
        monkeypatch.setenv(f"HOUSING_{name}", value)
    settings = load_settings()
    backup.restore(settings)
    with open_store(settings) as store:
        _two_more_champions(store)
    return settings


def _two_more_champions(store: Store) -> None:
    with store.read() as connection:
        row = dict(registry.model(connection, 2)._mapping)
    old = 2
    for ensemble_size in (10, 11):
        model = artifacts.get_model(store, row["artifact"])
        model.set_params(model__random_state=ensemble_size)
        left = {k: v for k, v in row.items() if k not in ("id", "artifact", "golden", "created_at")}
        golden = put_frame(store, get_table(store, row["golden"]).to_pandas().head(ensemble_size))
        artifact = artifacts.put_model(store, model)
        new = registry.register(store, {**left, "ensemble_size": ensemble_size}, artifact, golden)
        registry.change_champion(store, registry.Change("promote", new, old, "test", "test"))
        old = new


def nothing_is_lost(settings: Settings) -> None:
    """Every row's bytes are there, and they are those of the row."""
    with open_store(settings) as store:
        with store.read() as connection:
            live = connection.execute(sa.select(blobs).where(blobs.c.pruned_at.is_(None))).all()
        for row in live:
            store.blobs.get(row.digest, row.suffix)
        assert unsound(store) == []


def kinds(settings: Settings, kind: str) -> list[bool]:
    """Of each blob of a kind, whether it is dropped."""
    with open_store(settings) as store, store.read() as connection:
        query = sa.select(blobs.c.pruned_at).where(blobs.c.kind == kind)
        return [at is not None for at in connection.execute(query).scalars()]


def files(settings: Settings) -> int:
    with open_store(settings) as store:
        return len(list(store.blobs.names()))


def take_over(settings: Settings, name: str) -> None:
    """What happens to the lease of a process that was asleep for longer than it lasts."""
    with open_store(settings) as store, store.write() as connection:
        connection.execute(leases.update().where(leases.c.name == name).values(held=False))


def every_snapshot_is_good(settings: Settings) -> None:
    with open_store(settings) as store:
        for id_ in snapshots.ids(store.backup):
            assert backup.verify(store, id_).problems == ()


# --- stored and not yet recorded, against prune ---------------------------------------------


@on(1)
@pytest.mark.parametrize("action", ["ingest", "log_predictions"])
def test_a_whole_prune_between_storing_and_recording(world: Settings, action: str) -> None:
    """The bytes are left by one that was killed, and found there by the next one."""
    Paused(action, AFTER_PUT).arrive().kill()
    writer = Paused(action, AFTER_PUT).arrive()
    assert run("prune_all") == "done"
    assert writer.finish() == "done"
    nothing_is_lost(world)


@on(1)
def test_stored_and_recorded_while_a_prune_is_about_to_delete(world: Settings) -> None:
    Paused("ingest", AFTER_PUT).arrive().kill()
    pruner = Paused("prune_all", ORPHANS).arrive()
    assert run("ingest") == "done"
    assert pruner.finish() == "done"
    nothing_is_lost(world)


@on(2)
def test_nobody_records_while_a_prune_deletes(world: Settings) -> None:
    """What the two above rest on: deletion and record exclude one another."""
    pruner = Paused("prune_all", DELETING).arrive()
    engine = create_engine(world.database_url.get_secret_value())
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.execute("PRAGMA busy_timeout=0")
            with pytest.raises(sa.exc.OperationalError, match="database is locked"):
                connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            lock = sa.select(sa.func.pg_try_advisory_xact_lock(WRITE_LOCK))
            assert connection.execute(lock).scalar() is False
    engine.dispose()
    assert pruner.finish() == "done"
    nothing_is_lost(world)


# --- dropped by retention, and brought back -------------------------------------------------


@on(1)
def test_a_model_is_kept_again_between_mark_and_deletion(world: Settings) -> None:
    pruner = Paused("prune_all", MARKED).arrive()
    assert run("keep_again") == "done"
    assert pruner.finish() == "done"
    nothing_is_lost(world)
    assert kinds(world, "model").count(False) == 4


@on(1)
def test_a_model_is_pruned_while_it_is_kept_again(world: Settings) -> None:
    keeper = Paused("keep_again", AFTER_PUT).arrive()
    assert run("prune_all") == "done"
    assert keeper.finish() == "done"
    nothing_is_lost(world)
    assert kinds(world, "model").count(False) == 4


@on(1)
def test_a_model_that_was_kept_again_is_as_young_as_a_new_one(
    world: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("prune_all") == "done"
    old = utc_now()
    assert run("keep_again") == "done"
    monkeypatch.setattr(retention, "utc_now", lambda: old + timedelta(days=world.retention.days))
    with open_store(world) as store:
        prune.prune(store, world)
        with store.read() as connection:
            digest = registry.model(connection, 1).artifact
        assert artifacts.get_model(store, digest) is not None


@on(1)
def test_a_server_records_again_what_another_one_lets_go(world: Settings) -> None:
    assert run("log_predictions") == "done"
    server = Paused("expire_predictions", MARKED).arrive()
    assert run("log_predictions") == "done"
    assert server.finish() == "done"
    nothing_is_lost(world)
    assert kinds(world, "answers") == [False]


@on(1)
def test_a_blob_is_healed_while_it_is_pruned(world: Settings) -> None:
    with open_store(world) as store:
        with store.read() as connection:
            digest = registry.model(connection, 1).artifact
        store.blobs.remove(name_of(digest, artifacts.FORMAT))
    before = files(world)
    healer = Paused("heal_all", AFTER_PUT).arrive()
    assert run("prune_all") == "done"
    assert healer.finish() == "done"
    nothing_is_lost(world)
    assert run("prune_all") == "done"
    assert files(world) < before, "no file is left that nothing needs"


@on(1)
def test_a_blob_is_pruned_while_it_is_about_to_be_healed(world: Settings) -> None:
    with open_store(world) as store:
        with store.read() as connection:
            digest = registry.model(connection, 1).artifact
        store.blobs.remove(name_of(digest, artifacts.FORMAT))
    healer = Paused("heal_all", Point("housing.store.backups.replication:_restore_blob")).arrive()
    assert run("prune_all") == "done"
    assert healer.finish() == "done"
    nothing_is_lost(world)


# --- backups --------------------------------------------------------------------------------


@on(1)
def test_a_backup_that_slept_through_a_prune_is_none(world: Settings) -> None:
    """The prune drops a model that the backup has copied and counts on."""
    sleeper = Paused("back_up", Point("housing.operations.backup:finish_snapshot")).arrive()
    take_over(world, MAINTENANCE)
    assert run("prune_all") == "done"
    assert sleeper.finish() == "LeaseLost"
    every_snapshot_is_good(world)
    assert run("back_up") == "done"
    every_snapshot_is_good(world)


@on(1)
def test_a_prune_that_slept_through_a_backup_drops_no_copy(world: Settings) -> None:
    with open_store(world) as store:
        store.backup.put(b"left over", "bin")  # so that there is a copy to drop
    sleeper = Paused("prune_all", Point("housing.store.objects.deletion:delete_copies")).arrive()
    take_over(world, MAINTENANCE)
    assert run("back_up") == "done"
    assert sleeper.finish() == "LeaseLost"
    every_snapshot_is_good(world)


@on(1)
def test_only_a_backup_without_a_writer_is_unfinished(world: Settings) -> None:
    """Of any age: seconds here."""
    writer = Paused("back_up", Point("housing.operations.backup:finish_snapshot")).arrive()
    with open_store(world) as store:
        (begun,) = snapshots.unfinished(store.backup)
        with pytest.raises(RunInProgress, match="the backup of"):
            prune.prune(store, world)
        assert snapshots.unfinished(store.backup) == [begun]
        writer.kill()
        looked = prune.prune(store, world, dry_run=True)
        assert looked.backups == 1
        assert snapshots.unfinished(store.backup) == [begun], "a dry run changes nothing"
        assert prune.prune(store, world) == looked
        assert list(store.backup.names(f"snapshots/{begun}")) == []
    every_snapshot_is_good(world)


@on(1)
def test_restored_while_the_empty_store_is_pruned(
    world: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "there"))
    monkeypatch.setenv("HOUSING_DATABASE_URL", f"sqlite:///{tmp_path / 'there.db'}")
    monkeypatch.setenv("HOUSING_BLOB_URL", world.blob_url.replace("/blobs", "/there"))
    there = load_settings()
    restorer = Paused("restore", Point("housing.operations.backup:_copy_rows")).arrive()
    assert run("prune_all") == "NotOwned", "the files are those of the restored database"
    assert restorer.finish() == "done"
    assert files(there) > 0
    with open_store(there) as store, store.read() as connection:
        assert promotion_log.head(connection) is not None


# --- kill -9 --------------------------------------------------------------------------------


@on(1)
@pytest.mark.parametrize("point", [MARKED, DELETING, ORPHANS], ids=["marked", "amid", "orphans"])
def test_a_killed_prune_is_simply_run_again(world: Settings, point: Point) -> None:
    Paused("ingest", AFTER_PUT).arrive().kill()
    with open_store(world) as store, store.read() as connection:
        known = len(deletion.present(connection))
    Paused("prune_all", point).arrive().kill()
    assert run("keep_again") == "done"
    nothing_is_lost(world)
    assert run("prune_all") == "done"
    nothing_is_lost(world)
    with open_store(world) as store, store.read() as connection:
        assert deletion.marked(connection) == {}
        said = connection.execute(sa.select(runs.c.status).where(runs.c.kind == "prune"))
        assert sorted(said.scalars()) == ["completed", "crashed"]
    assert files(world) < known
