"""Which database the files of the blob storage, or of the backup, belong to.

Each is marked with the id of its database: any other database has no rows of these files, and its
prune would delete them all. The mark also names the newest rows of the database that last wrote
there: a database without them is a copy or an older state, and lacks rows of newer files.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import Corrupt, HousingError, NotOwned
from housing.store.database.engine import Store
from housing.store.database.tables import (
    blobs,
    dataset_versions,
    promotion_log,
    runs,
    store_identity,
)
from housing.store.objects.blobs import BLOB_NAME, BlobStore
from housing.store.objects.deletion import digest_in
from housing.store.objects.filesystem import DurableFileSystem

_MARK = re.compile(r"(?P<id>[0-9a-f]{32})(?P<rows>( [rlv]\d{1,18} \S+)*)")
_PAGE_COPY = re.compile(r"\.(html|md|svg)(\.enc)?$")
"""Copies of reports in a backup: no row names them."""

MARK = "store-id"
"""The file in a storage with the id of its database and its newest rows; never encrypted."""

_ROWS = {
    "r": ("run", runs.c.id, runs.c.started_at),
    "l": ("entry of the promotion log", promotion_log.c.seq, promotion_log.c.at),
    "v": ("dataset version", dataset_versions.c.id, dataset_versions.c.created_at),
}
"""Rows that are never deleted, by number and time: two copies of a database make them at other
instants."""


def claim(store: Store, storage: BlobStore) -> None:
    """Mark a storage location with this database and its newest rows, before files are added to it.

    NotOwned where it belongs to another database, or this one lacks rows of its files.
    """
    mark = must_own(store, storage)
    ours = _mark(store)
    if mark != ours:
        set_mark(storage, ours)


def renew(store: Store) -> None:
    """Mark the blob storage after a change of the database that added no files.

    One that cannot be written, or that another database wrote to, keeps its mark.
    """
    with suppress(HousingError, OSError):
        claim(store, store.blobs)


def refuse_others_files(store: Store) -> None:
    """NotOwned where the blob storage has files, for a store without rows.

    One that cannot be read is reported by what needs it.
    """
    try:
        must_own(store, store.blobs)
    except NotOwned:
        raise
    except HousingError:
        return


def claim_blobs(store: Store) -> None:
    """Claim an unmarked blob storage, and compare the id in the mark of any other.

    One that cannot be read or written is reported by what needs it.
    """
    try:
        mark = _local_mark(store.blobs) or mark_of(store.blobs)
    except (HousingError, OSError):
        return
    if mark is not None:
        _must_have_id(store, store.blobs, mark)
        return
    try:
        claim(store, store.blobs)
    except HousingError as error:
        if isinstance(error, NotOwned):
            raise


def _local_mark(storage: DurableFileSystem) -> str | None:
    """The mark of a local folder, read without the file system library."""
    path = Path(storage.url) / MARK
    return path.read_text(errors="replace").strip() if storage.local and path.is_file() else None


def must_own(store: Store, storage: BlobStore) -> str | None:
    """The mark of a storage, None without one; NotOwned where its files may be another's."""
    mark = mark_of(storage)
    if mark is None and (why := _unknown_files(store, storage)):
        mark = mark_of(storage)  # another process may have marked it and added files meanwhile
        if mark is None:
            raise _refusal(storage, f"it has no file {MARK}, and {why}")
    if mark is None:
        return None
    _must_have_id(store, storage, mark)
    with store.read() as connection:
        _must_have_rows(store, connection, storage, mark)
    return mark


def problems(store: Store) -> Iterator[str]:
    """Why a run would refuse the files of local storage: one message a storage location."""
    for storage in (store.blobs, store.backup):
        if storage.local:
            try:
                must_own(store, storage)
            except NotOwned as error:
                yield str(error)
            except HousingError:
                continue  # it cannot be read, which is reported elsewhere


def _must_have_id(store: Store, storage: DurableFileSystem, mark: str) -> None:
    """Called with a mark that was read before: another process may make id and mark meanwhile."""
    found = store.query(identity)
    known = _MARK.fullmatch(mark)
    if known is None:
        raise NotOwned(
            what=f"The {storage.role} {storage.url}",
            why=f"its file {MARK} is damaged",
            next_step="Run `housing heal`, which writes it again.",
        )
    if known["id"] != found:
        new = "" if found else ", which is new"
        raise _refusal(storage, f"it belongs to another database than {store.url}{new}")


def _must_have_rows(
    store: Store, connection: Connection, storage: DurableFileSystem, mark: str
) -> None:
    _, *words = mark.split()
    rows = zip(words[::2], words[1::2], strict=True)
    name, at = next((row for row in rows if _time_of(connection, row[0]) != row[1]), ("", ""))
    if not name:
        return
    raise NotOwned(
        what=f"The {storage.role} {storage.url}",
        why=f"the database that last wrote there has the {_ROWS[name[0]][0]} {name} of {at[:19]} "
        f"UTC, which is not in {store.url}: this one is an older state or a copy of it",
        next_step="If it is older, run `housing backup restore` with an empty HOUSING_HOME; if it "
        f"is a copy, set {storage.setting} to a location of its own; to use it although it lacks "
        "what was written since, run `housing heal --take-over`.",
    )


def _refusal(storage: DurableFileSystem, why: str) -> NotOwned:
    return NotOwned(
        what=f"The {storage.role} {storage.url}",
        why=why,
        next_step="Set HOUSING_DATABASE_URL to the database of these files; if that is lost, run "
        f"`housing backup restore`; for a new store, set {storage.setting} to an empty location. "
        "If they belong to this database, run `housing heal --take-over`.",
    )


def repair(store: Store, storage: BlobStore, *, take_over: bool = False) -> None:
    """Write a damaged mark again where the objects of a storage are those of this database.

    That is where one has the digest that SQL holds, and none is unknown to SQL; NotOwned where
    they are not. With `take_over` a storage location is claimed if SQL knows one of its objects.
    """
    mark = mark_of(storage)
    if not take_over and (mark is None or _MARK.fullmatch(mark)):
        must_own(store, storage)
        return
    if why := _unknown_files(store, storage, any_known=take_over):
        raise _refusal(storage, why)
    set_mark(storage, _mark(store))


def _unknown_files(store: Store, storage: BlobStore, *, any_known: bool = False) -> str:
    """Why the objects of a storage are not those of this database; "" if they are."""
    with store.read() as connection:
        known = {row.digest: row.suffix for row in connection.execute(sa.select(blobs))}
    names = (name for name in storage.names(raw=True) if BLOB_NAME.fullmatch(name))
    there = {digest_in(name) for name in names if not _PAGE_COPY.search(name)}
    ours = sorted(there & known.keys())
    unknown = len(there) - len(ours)
    if unknown and not (ours and any_known):
        return f"{unknown:,} of its {len(there):,} objects are unknown to {store.url}"
    if there and not any(_whole(storage, digest, known[digest]) for digest in ours):
        return f"none of its {len(there):,} objects is intact"
    return ""


def _whole(storage: BlobStore, digest: str, suffix: str) -> bool:
    try:
        storage.get(digest, suffix)
    except Corrupt:
        return False
    return True


def mark_of(storage: DurableFileSystem) -> str | None:
    """The mark of a storage location, or None."""
    try:
        return storage.raw().read(MARK).decode(errors="replace").strip()
    except FileNotFoundError:
        return None


def id_in(storage: DurableFileSystem) -> str | None:
    """The id of the database that a storage location belongs to, or None."""
    mark = mark_of(storage)
    return None if mark is None else mark.partition(" ")[0]


def set_mark(storage: DurableFileSystem, mark: str) -> None:
    """Have a storage location belong to a database."""
    storage.raw().write(MARK, mark.encode())


def identity(connection: Connection) -> str | None:
    """The id of a database, or None before its first use."""
    return connection.scalar(sa.select(store_identity.c.id))


def _mark(store: Store) -> str:
    with store.read() as connection:
        words = [identity(connection) or _made_id(store)]
        for letter, (_, number, _) in _ROWS.items():
            name = f"{letter}{connection.scalar(sa.select(sa.func.max(number))) or 0}"
            at = _time_of(connection, name)
            words += [] if at is None else [name, at]
    return " ".join(words)


def _time_of(connection: Connection, name: str) -> str | None:
    """When a row that a mark names was made, ISO 8601; None if there is none."""
    _, number, time = _ROWS[name[0]]
    at = connection.scalar(sa.select(time).where(number == int(name[1:])))
    return None if at is None else str(at.isoformat())


def _made_id(store: Store) -> str:
    with store.unfenced().write() as connection:
        found = identity(connection)
        if found is None:
            found = uuid.uuid4().hex
            connection.execute(store_identity.insert().values(id=found))
        return found
