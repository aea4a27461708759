"""Opening, migrating, and what a database that cannot be used says."""

import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from housing.errors import (
    DiskFull,
    SchemaTooNew,
    SchemaTooOld,
    SettingsInvalid,
    StoreBusy,
    StoreUnavailable,
)
from housing.settings import Settings, load_settings
from housing.store.database import bulk, engine
from housing.store.database import open as opening
from housing.store.database.engine import WRITE_LOCK, create_engine
from housing.store.database.open import HEAD, MIGRATIONS, migrate, open_store, schema_version
from housing.store.database.tables import metadata, split_sides, utc_now
from housing.store.database.tables import runs as runs_table
from housing.store.runs import runs

OPENER = """
import sys
from housing.store.objects.blobs import BlobStore
from housing.store.database.engine import Store, create_engine
from housing.store.database.open import migrate

print("ready", flush=True)
for line in sys.stdin:
    blobs = BlobStore("memory://x")
    with Store(create_engine(line.strip()), blobs, blobs, signer=None) as s:
        try:
            migrate(s)
            print("done", flush=True)
        except Exception as error:
            print(type(error).__name__, error, flush=True)
"""


def count(store, table):
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def start(store):
    with store.write() as connection:
        return runs.start(connection, "nightly", {})


@pytest.mark.parametrize("create", [True, False])
def test_a_process_that_makes_the_tables_meanwhile_is_no_other_database(
    home, database_url, monkeypatch, create
):
    settings, real = load_settings(database_url=database_url), opening.refuse_others_files

    def meanwhile(empty):
        monkeypatch.setattr(opening, "refuse_others_files", real)
        open_store(settings).close()
        real(empty)

    monkeypatch.setattr(opening, "refuse_others_files", meanwhile)
    with open_store(settings, create=create) as store, store.read() as connection:
        assert schema_version(connection) == HEAD


# --- the schema -----------------------------------------------------------------------------


def test_a_new_database_is_brought_to_the_newest_schema(store):
    with store.read() as connection:
        assert schema_version(connection) == HEAD
        assert connection.execute(sa.text("SELECT count(*) FROM current_champion")).scalar() == 0


def test_the_migrations_make_the_tables_that_the_code_knows(store):
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_head_is_the_newest_script_and_there_is_one_line_of_them():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"v{script.revision}_")
        assert script.down_revision is None or script.down_revision < script.revision


def test_a_postgresql_database_without_an_encoding_serves_as_well(home, postgres_server):
    bare = "CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(bare)
    url = make_url(postgres_server).set(database="plain").render_as_string(hide_password=False)
    with open_store(load_settings(database_url=url)) as store:
        with store.write() as connection:
            run = runs.start(connection, "nightly", {"name": "Géron"})
        with store.read() as connection:
            assert runs.get(connection, run).parameters == {"name": "Géron"}


def test_a_database_without_onnx_copies_gets_their_table_and_columns(settings, store):
    with store.write() as connection:
        connection.execute(sa.text("DROP TABLE onnx_copies"))
        for column in ("onnx_ready", "onnx_detail"):
            connection.execute(sa.text(f"ALTER TABLE readiness_checks DROP COLUMN {column}"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0016'"))
    migrate(store)
    with store.read() as connection:
        assert schema_version(connection) == HEAD
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_opening_again_changes_nothing(settings, store):
    run = start(store)
    with open_store(settings) as again:
        migrate(again)
        with again.read() as connection:
            assert schema_version(connection) == HEAD
            assert runs.get(connection, run).status == "running"


def test_processes_that_open_a_new_database_at_once_do_not_disturb_one_another(
    child, database_url, tmp_path, postgres_server
):
    if database_url.startswith("sqlite"):
        urls = [f"sqlite:///{tmp_path}/{i}.db" for i in range(10)]
    else:
        urls = [database_url]
    openers = [child(OPENER) for _ in range(2)]
    assert [opener.stdout.readline() for opener in openers] == ["ready\n"] * 2
    for url in urls:
        for opener in openers:
            opener.stdin.write(f"{url}\n")
            opener.stdin.flush()
        assert [opener.stdout.readline() for opener in openers] == ["done\n"] * 2


def test_a_new_file_that_another_process_is_writing_is_waited_for(tmp_path):
    other = sqlite3.connect(
        tmp_path / "new.db", isolation_level=None, check_same_thread=False, timeout=0
    )
    other.execute("CREATE TABLE theirs (x)")
    other.execute("BEGIN IMMEDIATE")
    end = threading.Timer(0.3, other.execute, ["COMMIT"])
    end.start()
    opened = create_engine(f"sqlite:///{tmp_path / 'new.db'}")
    with opened.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert end.finished.is_set()
    opened.dispose()
    other.close()


def test_a_database_from_a_newer_release_is_left_alone(settings, store):
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match=rf"9999.*{HEAD}"):
        open_store(settings)
    with store.read() as connection:
        assert schema_version(connection) == "9999"


def test_a_database_from_before_the_first_release_is_left_alone(settings, store):
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0007'"))
    with pytest.raises(SchemaTooOld, match=r"0007.*Start over with an empty HOUSING_HOME"):
        open_store(settings)
    with store.read() as connection:
        assert schema_version(connection) == "0007"


def test_a_database_of_another_program_is_left_alone(settings, database_url):
    foreign = sa.create_engine(make_url(create_engine(database_url).url))
    with foreign.begin() as connection:
        connection.execute(sa.text("CREATE TABLE models (name TEXT)"))
    with pytest.raises(StoreUnavailable, match="another program \\(models\\)"):
        open_store(settings)
    with foreign.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["models"]
    foreign.dispose()


def test_a_migration_that_fails_leaves_nothing_behind(settings, database_url, monkeypatch):
    from housing.store.database.migrations import append_only

    monkeypatch.setattr(append_only, "_SQLITE", "nonsense")
    monkeypatch.setattr(append_only, "_POSTGRES", "nonsense")
    with pytest.raises((sa.exc.DBAPIError, StoreUnavailable)):
        open_store(settings)
    monkeypatch.undo()
    plain = create_engine(database_url)
    with plain.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    plain.dispose()


# --- transactions ---------------------------------------------------------------------------


def test_a_write_is_all_or_nothing(store):
    class Stopped(Exception):
        pass

    def begin_and_stop():
        with store.write() as connection:
            runs.start(connection, "nightly", {})
            raise Stopped

    with pytest.raises(Stopped):
        begin_and_stop()
    assert count(store, runs_table) == 0


def test_readers_do_not_wait_for_a_writer(store):
    with store.write() as connection:
        runs.start(connection, "nightly", {})
        assert count(store, runs_table) == 0
    assert count(store, runs_table) == 1


def test_a_database_that_stays_locked_is_busy(settings, database_url, monkeypatch, store):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.3)
    began = time.monotonic()
    with open_store(settings) as other, store.write(), pytest.raises(StoreBusy, match="status"):
        start(other)
    assert 0.25 < time.monotonic() - began < 2
    start(store)


def test_a_lock_that_ends_in_time_is_waited_for(settings, store):
    with open_store(settings) as other:
        with store.write():
            waiting = threading.Thread(target=start, args=(other,))
            waiting.start()
            time.sleep(0.3)
            assert count(store, runs_table) == 0
        waiting.join()
    assert count(store, runs_table) == 1


def test_the_busy_message_does_not_depend_on_the_servers_language(settings, store, monkeypatch):
    if store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite speaks English only")
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.2)
    with open_store(settings) as other, store.engine.begin() as connection:
        lock = sa.select(sa.func.pg_advisory_xact_lock(WRITE_LOCK))
        connection.execute(lock)
        with pytest.raises(sa.exc.OperationalError) as caught, other.engine.begin() as late:
            late.execute(lock)
    error = caught.value.orig
    error.args = ("Abbruch wegen Zeitüberschreitung",)
    assert isinstance(engine.translate_error(store.engine, error), StoreBusy)


def test_errors_of_our_own_sql_are_not_translated(store):
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        connection.execute(runs_table.insert().values(kind=None))


# --- databases that cannot be used ----------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "postgresql://ann:hunter2@host:port/name",
        "postgresql://ann:hunter2@[::1/name",
        "postgresql://ann@host:hunter2/name",
        "mysql://ann:hunter2@host/name",
        "nosuch://ann:hunter2@host/name",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_an_unusable_database_url_is_reported_as_a_wrong_setting(url):
    with pytest.raises(SettingsInvalid, match="HOUSING_DATABASE_URL") as caught:
        create_engine(url)
    assert caught.value.exit_code == 2
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_every_spelling_of_postgresql_uses_the_driver_that_is_installed(scheme):
    assert create_engine(f"{scheme}://ann@host/name").dialect.driver == "psycopg"


def test_an_unreachable_server_is_named_without_the_password(home, monkeypatch):
    monkeypatch.setenv("HOUSING_DATABASE_URL", "postgresql://ann:hunter2@127.0.0.1:1/name")
    with pytest.raises(StoreUnavailable, match="server runs") as caught:
        open_store(load_settings())
    assert "127.0.0.1" in str(caught.value)
    chain = [caught.value, caught.value.__cause__, caught.value.__cause__.__cause__]
    assert not [error for error in chain if "hunter2" in f"{error}{error!r}"]


def test_a_database_that_the_server_lacks_is_named(home, postgres_server, monkeypatch):
    url = make_url(postgres_server).set(database="nosuch").render_as_string(hide_password=False)
    monkeypatch.setenv("HOUSING_DATABASE_URL", url)
    with pytest.raises(StoreUnavailable, match="nosuch"):
        open_store(load_settings())


def test_a_file_that_is_no_database_is_named_and_kept(home):
    home.mkdir()
    file = home / "housing.db"
    file.write_bytes(b"district_id,longitude\n" * 500)
    with pytest.raises(StoreUnavailable, match=r"not a database.*housing backup restore"):
        open_store(load_settings())
    assert file.read_bytes() == b"district_id,longitude\n" * 500


def test_a_damaged_database_is_named(home):
    with open_store(load_settings()) as store:
        for _ in range(200):
            start(store)
    file = home / "housing.db"
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    with pytest.raises(StoreUnavailable, match="malformed"):
        open_store(load_settings())


def test_a_missing_folder_is_named(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOUSING_DATABASE_URL", f"sqlite:///{tmp_path}/missing/housing.db")
    with pytest.raises(StoreUnavailable, match="missing exists and is writable"):
        open_store(load_settings())


def test_a_home_that_is_a_file_is_named(home):
    home.write_text("")
    with pytest.raises(StoreUnavailable, match="HOUSING_HOME"):
        open_store(load_settings())


def test_home_is_for_its_owner_alone(home):
    open_store(load_settings()).close()
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["a b", "a#b", "100%25", "ä€", "a&b;c", "a'b"])
def test_a_home_with_an_odd_name_works(tmp_path, name):
    with open_store(Settings(home=tmp_path / name)) as store:
        start(store)
    assert (tmp_path / name / "housing.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


# --- disks ----------------------------------------------------------------------------------


def test_a_read_only_home_is_named(home, small_disk, read_only, monkeypatch):
    disk = small_disk("8m")
    monkeypatch.setenv("HOUSING_HOME", str(disk / "home"))
    open_store(load_settings()).close()
    read_only(disk)
    with pytest.raises(StoreUnavailable, match="HOUSING_HOME"):
        open_store(load_settings())


def test_a_read_only_database_is_named(home, small_disk, read_only, monkeypatch):
    disk = small_disk("8m")
    monkeypatch.setenv("HOUSING_DATABASE_URL", f"sqlite:///{disk}/housing.db")
    open_store(load_settings()).close()
    read_only(disk)
    with pytest.raises(StoreUnavailable, match="is writable, or set HOUSING_HOME"):
        open_store(load_settings())


def test_a_disk_that_fills_up_undoes_the_write_and_works_again_afterwards(
    home, small_disk, monkeypatch
):
    disk = small_disk("4m")
    monkeypatch.setenv("HOUSING_DATABASE_URL", f"sqlite:///{disk}/housing.db")
    ballast = disk / "ballast"
    keys = np.arange(300_000)
    with open_store(load_settings()) as store:
        ballast.write_bytes(bytes(3 * 2**20))
        with store.read() as connection:  # so small a cache spills before the transaction ends
            connection.exec_driver_sql("PRAGMA cache_size=10")
        with pytest.raises(DiskFull, match="housing prune"), store.write() as connection:
            bulk.insert_sides(connection, 0, keys, keys % 5 == 0)
        assert count(store, split_sides) == 0
        with pytest.raises(DiskFull), store.write() as connection:
            connection.execute(
                runs_table.insert(),
                [
                    {
                        "id": number,
                        "kind": "t",
                        "status": "t",
                        "parameters": {"x": "x" * 10_000},
                        "actor": "t",
                        "started_at": utc_now(),
                    }
                    for number in range(1, 501)
                ],
            )
        ballast.unlink()
        with store.write() as connection:
            bulk.insert_sides(connection, 0, keys[:10_000], keys[:10_000] % 5 == 0)
        assert count(store, split_sides) == 10_000
        assert count(store, runs_table) == 0
    with closing(sqlite3.connect(disk / "housing.db")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_disk_without_a_free_byte_is_named_as_full(home, small_disk, monkeypatch):
    disk = small_disk("4m")
    monkeypatch.setenv("HOUSING_HOME", str(disk / "home"))
    open_store(load_settings()).close()
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))
    with pytest.raises(DiskFull):
        open_store(load_settings())
    (disk / "ballast").unlink()
    open_store(load_settings()).close()


def test_a_home_that_fills_up_while_it_is_made_is_made_once_there_is_space(
    home, small_disk, monkeypatch
):
    disk = small_disk("1m")
    monkeypatch.setenv("HOUSING_HOME", str(disk / "home"))
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(990 * 1024))
    with pytest.raises((DiskFull, StoreUnavailable)):
        open_store(load_settings())
    ballast.unlink()
    with open_store(load_settings()) as store:
        assert count(store, runs_table) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_opening_again_keeps_the_locks_that_this_process_holds(store, settings):
    """A process that closes any descriptor of a file loses its locks on it (POSIX). Another one
    that opens and closes the database would then take itself for the last, and drop the log
    that is in use here: the next statement would fail with a disk I/O error."""
    other = (
        "import sys; from housing.settings import load_settings;"
        "from housing.store.database.open import open_store\n"
        "with open_store(load_settings()) as s, s.read() as c: pass"
    )
    start(store)
    with store.read() as outer:
        outer.execute(sa.select(runs_table.c.id)).all()
        with open_store(settings):
            pass
        subprocess.run([sys.executable, "-c", other], check=True, timeout=120)
        for _ in range(3):
            with open_store(settings) as again:
                start(again)
    assert count(store, runs_table) == 4
