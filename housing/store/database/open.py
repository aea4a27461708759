"""Opening the store of some settings: its folders, its database, its schema brought up to date."""

import os
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import (
    BackupCopyMissing,
    BackupDamaged,
    NotOwned,
    ProblemDiffers,
    SchemaTooNew,
    SchemaTooOld,
    StoreUnavailable,
)
from housing.schema import PROBLEM
from housing.settings import Settings
from housing.store.database.engine import Store, create_engine, empty_engine
from housing.store.database.ownership import claim_blobs, refuse_others_files
from housing.store.database.tables import dataset_versions, metadata
from housing.store.objects.blobs import BlobStore
from housing.store.objects.encryption import Cipher
from housing.store.objects.filesystem import make_writable, named_in_errors
from housing.store.objects.signing import Signer

HEAD = "0017"
"""The newest revision this release knows; a test holds it equal to the newest script."""

OLDEST = "0015"
"""The oldest revision that can be upgraded: earlier ones were never released."""

MIGRATIONS = Path(__file__).with_name("migrations")


def open_store(
    settings: Settings, *, token: int | None = None, claim: bool = True, create: bool = True
) -> Store:
    """The store, ready to use; StoreUnavailable, SchemaTooNew or SchemaTooOld if it is not.

    With `claim` its files must be those of its database; a repair does without. A database
    without tables gets them only with `create`, and never where the blob storage has the files of
    another (NotOwned). Without `create` an empty one in memory stands in for it: for commands that
    only read, and changes that an empty store refuses.
    """
    with named_in_errors(settings.home, "folder"):
        there = create or settings.home.exists()
    if there:
        make_writable(settings.home)
    store = _connected(settings, token)
    try:
        empty = None if _has_tables(store) else _empty(store)
        if empty is not None:
            if not create:
                return empty
            empty.close()
        return _prepared(settings, store, claim=claim)
    except BaseException:
        store.close()
        raise


def _empty(store: Store) -> Store | None:
    """An empty store in memory in place of one without tables; NotOwned where files are another's.

    None where another process has made the tables meanwhile: the files are then its own.
    """
    empty = replace(store, engine=empty_engine(store.engine))
    metadata.create_all(empty.engine)
    try:
        refuse_others_files(empty)
    except NotOwned:
        empty.close()
        if _has_tables(store):
            return None
        raise
    return empty


def open_for_restore(settings: Settings) -> Store:
    """As `open_store`, whatever files the blob storage has."""
    make_writable(settings.home)
    return _prepared(settings, _connected(settings, None), claim=False)


def _connected(settings: Settings, token: int | None) -> Store:
    return Store(
        engine=create_engine(settings.database_url.get_secret_value()),
        blobs=BlobStore(settings.blob_url),
        backup=backup_storage(settings),
        signer=Signer(settings.home / "keys" / "signing.key", settings.signing_key),
        notify=settings.notify,
        token=token,
    )


def _prepared(settings: Settings, store: Store, *, claim: bool) -> Store:
    _make_database_file(settings.database_url.get_secret_value())
    migrate(store)
    newest = sa.select(dataset_versions.c.problem).order_by(dataset_versions.c.id.desc()).limit(1)
    with store.read() as connection:
        found = connection.scalar(newest)
    if found not in (None, PROBLEM.name):
        raise ProblemDiffers(store=store.url, found=found, name=PROBLEM.name)
    if claim:
        claim_blobs(store)
    return store


def _has_tables(store: Store) -> bool:
    """Whether the database has a schema; a SQLite file that is not there is not made."""
    if store.engine.dialect.name == "sqlite":
        path = Path(str(store.engine.url.database).removeprefix("file:"))
        if not path.exists() or (path.is_file() and not path.stat().st_size):
            return False
    return store.query(schema_version) is not None


def backup_storage(settings: Settings) -> BlobStore:
    """Where backups go, encrypted where there is a key for that."""
    key = settings.backup_key
    return BackupStorage(settings.backup_url, None if key is None else Cipher(key))


class BackupStorage(BlobStore):
    """The same as a blob store, under another setting."""

    role, setting = "backup", "HOUSING_BACKUP_URL"
    corrupt, missing = BackupDamaged, BackupCopyMissing


def migrate(store: Store, to: str = HEAD) -> None:
    """Bring the schema to a revision; a no-op that costs one query when it is there already."""
    found = store.query(schema_version)
    if found == to:
        return
    if found is not None and found > HEAD:
        raise SchemaTooNew(found=found, known=HEAD)
    if found is not None and found < OLDEST:
        raise SchemaTooOld(found=found, oldest=OLDEST)
    with store.unfenced().write() as connection:
        found = schema_version(connection)
        if found == to:
            return  # another process was first
        if found is None:
            _refuse_strangers(store, connection)
        _upgrade(connection, to)


def _refuse_strangers(store: Store, connection: Connection) -> None:
    """An empty database may have tables, but none that we would take for ours."""
    taken = sorted(set(sa.inspect(connection).get_table_names()) & set(metadata.tables))
    if taken:
        raise StoreUnavailable(
            what=f"The database {store.url}",
            why=f"it has the tables of another program ({', '.join(taken)})",
            next_step="Point HOUSING_DATABASE_URL to a database of its own.",
        )


def schema_version(connection: Connection) -> str | None:
    """The database's revision, or None for an empty database."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))


def _upgrade(connection: Connection, to: str) -> None:
    from alembic import command  # slow to import, and needed only when the schema changes
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _make_database_file(url: str) -> None:
    """Have a new SQLite file be its owner's alone; what SQLite writes beside it follows it.

    One that is there is never opened: to close any descriptor of it would drop the locks that
    this process's other connections hold (POSIX), and another process could take away the log
    that they use.
    """
    prefix = "sqlite:///"
    if not url.startswith(prefix) or "?" in url:
        return
    try:
        os.close(os.open(url.removeprefix(prefix), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return  # it exists, or opening the database gives a better error
